"""`PromptSetting`: how a task's prompts are made, apart from their wording; and the names of settings.

A member of a mixture asks for a setting by name: "family:dataset#few_shot", or for several at once, joined by dots:
"family:dataset#few_shot.no_options". A module may export SETTINGS, a dictionary of its own. Read `few_shot.py` next.
"""

from collections.abc import Mapping
import dataclasses
import difflib
import re

KINDS = ("direct", "cot", "inversion", "dialog")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Separators:
    r"""What stands around exemplars and query.

    exemplar   inputs_prefix + inputs + x_y_delimiter + targets_prefix + targets
    query      inputs_prefix + inputs + x_y_delimiter + targets_prefix + final_suffix, white space at the end removed

    FLAN 2021's are `Separators(inputs_prefix="0 ", targets_prefix="1 ", x_y_delimiter=" X ", example_separator=" X ",
    final_suffix="FLAN")`. The defaults are those of the Flan Collection (https://arxiv.org/abs/2301.13688).
    """

    inputs_prefix: str = ""
    targets_prefix: str = ""
    x_y_delimiter: str = "\n\n"
    example_separator: str = "\n\n\n"
    final_suffix: str = ""

    def __post_init__(self) -> None:
        if not self.example_separator:
            raise ValueError(
                "Separators.example_separator must not be empty: exemplars would run together."
            )
        if not self.x_y_delimiter + self.targets_prefix:
            raise ValueError(
                "Separators need an x_y_delimiter or a targets_prefix: an exemplar's input and target would run together."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptSetting:
    """How a task's prompts are made, apart from their wording.

    Attributes:
        shots: exemplars of a prompt: a number, or several of which one is drawn for each example.
        chain_of_thought: uses the templates of kind "cot" instead of "direct" and "dialog".
        inversion: uses the templates of kind "inversion" instead.
        with_inversions: uses the templates of kind "inversion" too, each as often as any other, as FLAN 2021 and T0 train.
            Evaluation leaves them out again.
        options: "in_prompt" fills `{options}`; "none" leaves options out, so the target is the answer's text, and uses no
            template that lists the choices itself (promptsource's `choices_in_prompt`).
        option_order: "shuffled" draws an order for the example; "fixed" keeps that of the answer choices.
        label_balanced: chooses exemplars so that their answers differ as much as the candidates allow.
        separators: one is drawn for each example; () stands for `Separators()` around exemplars and for nothing in a
            prompt without shots. A template's own separators win where there are shots.
        max_input_tokens: exemplars may not make a prompt longer than this; None: than DataConfig.inputs_length.
        group: uses the templates of this group; "": those that are in none.
    """

    shots: int | tuple[int, ...] = 0
    chain_of_thought: bool = False
    inversion: bool = False
    with_inversions: bool = False
    options: str = "in_prompt"
    option_order: str = "shuffled"
    label_balanced: bool = False
    separators: tuple[Separators, ...] = ()
    max_input_tokens: int | None = None
    group: str = ""

    def __post_init__(self) -> None:
        if not self.shot_counts or any(
            not isinstance(count, int) or count < 0 for count in self.shot_counts
        ):
            raise ValueError(
                f"PromptSetting.shots must be a whole number from 0, or several, not {self.shots!r}."
            )
        if self.chain_of_thought and self.inversion:
            raise ValueError(
                "PromptSetting.chain_of_thought and inversion exclude each other: inverted rationales are templates of "
                "kind 'inversion'."
            )
        if self.inversion and self.with_inversions:
            raise ValueError(
                "PromptSetting.inversion and with_inversions exclude each other: the one has inversions alone."
            )
        self._check_choice("options", ("in_prompt", "none"))
        self._check_choice("option_order", ("shuffled", "fixed"))
        if self.label_balanced and not self.is_few_shot:
            raise ValueError("PromptSetting.label_balanced needs shots: it chooses exemplars.")
        if self.max_input_tokens is not None and self.max_input_tokens < 1:
            raise ValueError(
                f"PromptSetting.max_input_tokens must be at least 1, not {self.max_input_tokens}."
            )

    def _check_choice(self, name: str, allowed: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if value not in allowed:
            raise ValueError(
                f"PromptSetting.{name} must be {' or '.join(map(repr, allowed))}, not {value!r}."
            )

    @property
    def shot_counts(self) -> tuple[int, ...]:
        """The numbers of shots of which one is drawn."""
        return (self.shots,) if isinstance(self.shots, int) else tuple(self.shots)

    @property
    def is_few_shot(self) -> bool:
        return max(self.shot_counts) > 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of the templates that it uses."""
        if self.inversion:
            return ("inversion",)
        own = ("cot",) if self.chain_of_thought else ("direct", "dialog")
        return (*own, "inversion") if self.with_inversions else own


# What each word of a setting's name changes. "few_shot" draws from one to five exemplars; "3_shot" always has three.
WORDS: dict[str, dict[str, object]] = {
    "few_shot": {"shots": (1, 2, 3, 4, 5)},
    "label_balanced": {"label_balanced": True},
    "chain_of_thought": {"chain_of_thought": True},
    "inversion": {"inversion": True},
    "with_inversions": {"with_inversions": True},
    "no_options": {"options": "none"},
    "fixed_options": {"option_order": "fixed"},
}
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_SHOTS = re.compile(r"(\d{1,3})_shot\Z")


def parse(name: str, own: Mapping[str, PromptSetting] | None = None) -> PromptSetting:
    """The setting of a name: words joined by dots, the first of which may be one of a module's `own` settings.

    Example: `parse("5_shot.no_options")` is `PromptSetting(shots=5, options="none")`; "" is the default.

    Raises:
        KeyError: a word that nobody knows.
        ValueError: two words change the same, or the words exclude each other.
    """
    own = own or {}
    if not name:
        return PromptSetting()
    first, *rest = name.split(".")
    start, words = (own[first], rest) if first in own else (PromptSetting(), [first, *rest])
    changes: dict[str, object] = {}
    for word in words:
        change = _change(word, name, own)
        twice = changes.keys() & change.keys()
        if twice:
            raise ValueError(f"The setting {name!r} sets {', '.join(twice)} twice.")
        changes |= change
    return dataclasses.replace(start, **changes)  # type: ignore[arg-type]  # WORDS holds their types


def check_name(name: str) -> None:
    """Raises ValueError where a module's own setting has a name that member names cannot hold, or that is taken."""
    if not _NAME.match(name) or name in WORDS or _SHOTS.match(name):
        raise ValueError(
            f"SETTINGS has {name!r}: a setting's name is lower-case letters, digits and '_', and none of "
            f"{', '.join(WORDS)}, N_shot."
        )


def _change(word: str, name: str, own: Mapping[str, PromptSetting]) -> dict[str, object]:
    if word in WORDS:
        return WORDS[word]
    shots = _SHOTS.match(word)
    if shots:
        return {"shots": int(shots[1])}
    if word in own:
        raise ValueError(
            f"The setting {name!r} must begin with {word!r}, a module's own setting, and may have only one."
        )
    known = [*own, *WORDS]
    meant = re.fullmatch(r"(\d{1,3})\W*shots?", word.replace("_", ""))
    near = f"{meant[1]}_shot" if meant else difflib.get_close_matches(word, known, cutoff=0.0)[0]
    raise KeyError(
        f"The setting {name!r} has the word {word!r}, which does not exist. Did you mean {near!r}? Words: "
        f"{', '.join(known)}, 1_shot, 2_shot, ...; several are joined by dots, a module's own setting first."
    )
