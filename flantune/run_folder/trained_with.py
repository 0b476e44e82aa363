"""What a run is trained with, as its folder keeps it in `trained_with.json`: model, mixture, vocabulary.

A start that says otherwise would train on with other ids, other batches or another function: it is refused unless it asks
for that (`check`). A folder of a version that did not write the file is known by its `start.json` and `mixture.json`.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
import dataclasses
import json
from typing import Any

from etils import epath

from flantune.configs import ModelConfig
from flantune.run_folder import start_record

FILE = "trained_with.json"
MIXTURE_FILE = "mixture.json"
MODEL, MIXTURE, VOCABULARY = KINDS = ("model", "mixture", "vocabulary")
# What may change in a run: the same parameters, the same function of them.
_FREE_FIELDS = frozenset({"dropout_rate", "dtype", "layer_loop", "remat", "lora"})
_LORA_FIELDS = ("rank", "alpha", "targets")
# What may be allowed to change: the parameters keep their names and shapes.
_SAME_SHAPES = frozenset({"relative_attention_max_distance", "alpha"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """A run's vocabulary: as `DataConfig.vocabulary` named it, and what it is."""

    name: str
    fingerprint: str
    size: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainedWith:
    """What a run is trained with.

    Attributes:
        model: its dimensions and switches; None: not known.
        mixture: its name; None: not known.
        tasks: a row for each task, of which "task", "rate" and "rows" count; None: not known.
        vocabulary: None: not known.
    """

    model: ModelConfig | None
    mixture: str | None
    tasks: Sequence[Mapping[str, object]] | None
    vocabulary: Vocabulary | None

    def files(self) -> dict[str, str]:
        """What the run folder keeps of it, by file name."""
        kept = {
            name: value and dataclasses.asdict(value)
            for name, value in ((MODEL, self.model), (VOCABULARY, self.vocabulary))
        }
        return {
            FILE: json.dumps({**kept, MIXTURE: self.mixture}, indent=2, sort_keys=True) + "\n",
            MIXTURE_FILE: json.dumps(list(self.tasks or ()), indent=1) + "\n",
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A difference between what a run was trained with and what it is to go on with.

    Attributes:
        kind: one of KINDS.
        what: of which `before` and `after` are the values.
        fits: whether the run's parameters have a place in what it would become.
    """

    kind: str
    what: str
    before: object
    after: object
    fits: bool = True

    def text(self) -> str:
        """Both values, in one clause."""
        return f"{self.what} {self.before}, and now {self.after}"


def read(run_dir: epath.PathLike) -> TrainedWith:
    """What the run in a folder was trained with, as far as the folder says.

    Raises:
        ValueError: a file cannot be understood.
    """
    folder = epath.Path(run_dir)
    kept = _json(folder / FILE) or {}
    record = start_record.read(folder)
    of_start = None if record is None else record.model
    try:
        return TrainedWith(
            model=start_record.model_of(kept[MODEL]) if kept.get(MODEL) else of_start,
            mixture=kept.get(MIXTURE),
            tasks=_json(folder / MIXTURE_FILE),
            vocabulary=Vocabulary(**kept[VOCABULARY]) if kept.get(VOCABULARY) else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / FILE} cannot be read: {error}.") from error


def changes(before: TrainedWith, after: TrainedWith) -> list[Change]:
    """What differs, as far as both sides are known; names of the vocabulary are compared only by who has its pieces."""
    return [*_model_changes(before.model, after.model), *_mixture_changes(before, after)]


def check(
    run_dir: epath.PathLike, found: Sequence[Change], allowed: Collection[str] = ()
) -> list[Change]:
    """The changes that were allowed.

    Raises:
        ValueError: there are others; the message has both values.
    """
    refused = [change for change in found if change.kind not in allowed or not change.fits]
    if not refused:
        return list(found)
    listed = "; ".join(one.text() for one in refused[:5])
    more = f"; and {len(refused) - 5} more" if len(refused) > 5 else ""
    said = f"{run_dir} was trained with {listed}{more}."
    if not all(one.fits for one in refused):
        raise ValueError(f"{said} Its parameters do not fit that model: name another --run_dir.")
    kinds = " ".join(f"--allow_other {kind}" for kind in KINDS if kind in {c.kind for c in refused})
    raise ValueError(
        f"{said} To train from it with other values, start a new run folder with "
        f"--gin.InitConfig.path={run_dir}; {kinds} continues this one all the same."
    )


def _model_changes(before: ModelConfig | None, after: ModelConfig | None) -> Iterator[Change]:
    if before is None or after is None:
        return
    for field in dataclasses.fields(ModelConfig):
        if field.name not in _FREE_FIELDS:
            yield from _field_change(before, after, field.name)
    if before.lora is None or after.lora is None:
        if before.lora != after.lora:
            yield _change(MODEL, "ModelConfig.lora", before.lora, after.lora, fits=False)
        return
    for name in _LORA_FIELDS:
        yield from _field_change(before.lora, after.lora, name)


def _field_change(before: object, after: object, name: str) -> Iterator[Change]:
    old, new = getattr(before, name), getattr(after, name)
    if old != new:
        fits = name in _SAME_SHAPES or (name == "mlp_activations" and len(old) == len(new))
        yield _change(MODEL, f"{type(before).__name__}.{name}", old, new, fits=fits)


def _mixture_changes(before: TrainedWith, after: TrainedWith) -> Iterator[Change]:
    if None not in (before.mixture, after.mixture) and before.mixture != after.mixture:
        yield _change(MIXTURE, "DataConfig.mixture", before.mixture, after.mixture)
        return
    if before.tasks is None or after.tasks is None:
        return
    old, new = ({row["task"]: row for row in rows} for rows in (before.tasks, after.tasks))
    for task in dict.fromkeys((*old, *new)):
        if task not in new or task not in old:
            there, gone = "in the mixture", "not in it"
            pair = (there, gone) if task in old else (gone, there)
            yield Change(kind=MIXTURE, what=f"the task {task}", before=pair[0], after=pair[1])
            continue
        for fact, what in (("rows", "rows"), ("rate", "rate")):
            if old[task].get(fact) != new[task].get(fact):
                yield _change(MIXTURE, f"{what} of {task}", old[task].get(fact), new[task][fact])
                break


def _change(kind: str, what: str, before: object, after: object, *, fits: bool = True) -> Change:
    return Change(kind=kind, what=f"{what} =", before=repr(before), after=repr(after), fits=fits)


def _json(path: epath.Path) -> Any:  # Any: whatever JSON holds
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error
