"""`InstructionTask` and `TaskFamily`: what a task module exports as TASKS. Data only: nothing is read here.

Read `mixture.py` next, then `catalog.py`, which loads modules and finds tasks by name.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import pathlib
import re
from typing import Any, Protocol, runtime_checkable

from flantune import metrics as metrics_lib, prompting
from flantune.data.publication import Publication
from flantune.prompting import dialog as dialog_lib, rendering, template as template_lib

Row = Mapping[str, Any]  # as a source gives it
Fields = Mapping[str, rendering.FieldValue]  # as templates see it
_LARGEST_FLOAT32 = 3.4e38
_NAME = re.compile(r"[A-Za-z0-9_.\-]+:[A-Za-z0-9_.\-]+\Z")


@runtime_checkable
class Source(Protocol):
    """Where rows come from; `data/sources/plain.py` has the implementations."""

    @property
    def splits(self) -> tuple[str, ...]: ...

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[Row]:
        """Rows of a split, in a fixed order."""
        ...

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Changes when the rows may have changed; None where the source is not here."""
        ...

    def describe(self) -> dict[str, object]:
        """Kind, location and version, for the manifest."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class InstructionTask:
    """A dataset phrased as instructions.

    Attributes:
        name: "family:dataset".
        source: where its rows come from.
        to_fields: a row's fields, or None to drop the row (drops are counted). Holds "answer" (a text or a list of
            references), or "label" (an index) where the task has answer choices.
        templates: its wordings.
        cluster: the kind of task; held-out evaluation is by cluster.
        metrics: from `flantune.metrics`, on the references and the extracted predictions.
        answer_choices: the choices, the same for every row, or the name of the field that lists a row's own.
        first_reference: the target is the first of a row's references, such as the answer before its aliases; else one is
            drawn for each example.
        postprocess: applied to a prediction before the metrics.
        lineage: names of the datasets that this one was made from, for leakage checks.
        licence: of the data, as its publisher states it.
        publication: where the data are published; None: nobody says, or the task's family does.
        constants: fields that are the same for every row; kept once in the manifest.
        loss_weight: of each target token: a number, or the name of a field with each row's own. Only ratios count, since
            the loss is divided by the sum of weights; near 1 they keep that sum near the number of tokens. 0: the
            example is read and packed, but nothing is learned from it.
        extra_fields: fields that no template shows and the task keeps nevertheless. Any other such field is an error.
        may_drop: fields and constants that a prompt which is too long goes without, the first one first, before
            anything is cut.
        may_cut: fields that then may lose their end (a list, such as turns, its first items), the first one first.
            Nothing else is cut.
        metadata: kept in the manifest; a `TaskFamily` rebuilds the task from it where the source is absent.
        published_rows: rows of a split as published, for plans that are made before any data are there
            (`flantune ledger --published`). Training counts the prepared rows.
    """

    name: str
    source: Source
    to_fields: Callable[[Row], Fields | None]
    templates: tuple[prompting.Template, ...]
    cluster: str
    metrics: tuple[metrics_lib.AnyMetric, ...]
    answer_choices: tuple[str, ...] | str | None = None
    first_reference: bool = False
    postprocess: Callable[[str], str] | None = None
    lineage: tuple[str, ...] = ()
    licence: str = "unknown"
    publication: Publication | None = None
    constants: Mapping[str, str] = dataclasses.field(default_factory=dict)
    may_drop: tuple[str, ...] = ()
    may_cut: tuple[str, ...] = ()
    extra_fields: tuple[str, ...] = ()
    loss_weight: float | int | str = 1.0
    metadata: Mapping[str, object] = dataclasses.field(default_factory=dict)
    published_rows: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _NAME.match(self.name):
            raise ValueError(
                f"Task name {self.name!r} must be 'family:dataset', of letters, digits, '_', '.', '-'."
            )
        if not self.templates:
            raise ValueError(f"Task {self.name!r} has no template.")
        if not any(not template.held_out for template in self.templates):
            raise ValueError(f"Task {self.name!r} has only held-out templates; training needs one.")
        for template in self.templates:
            self._check_template(template)
        shown = {field for template in self.templates for field in template.fields}
        for name in (*self.may_drop, *self.may_cut):
            if name not in shown:
                raise ValueError(
                    f"Task {self.name!r} may drop or cut {name!r}, which no template shows."
                )
        self._check_loss_weight()

    def _check_loss_weight(self) -> None:
        weight = self.loss_weight
        if not isinstance(weight, str):
            check_loss_weight(self.name, weight)
        elif weight in self.constants:
            raise ValueError(
                f"Task {self.name!r}: its loss_weight names the constant {weight!r}, a text. Give the number itself, or a "
                "field of the rows."
            )

    def _check_template(self, template: prompting.Template) -> None:
        if template.shows_options and self.answer_choices is None:
            raise ValueError(
                f"Task {self.name!r} has no answer_choices, but a template shows {{options}}: {template.inputs!r}."
            )
        words = template.label_words
        if words is None:
            return
        if not isinstance(self.answer_choices, tuple) or len(words) != len(self.answer_choices):
            raise ValueError(
                f"Task {self.name!r}: label_words {words} must rename its answer_choices {self.answer_choices}, "
                "one for one."
            )

    @property
    def family(self) -> str:
        return self.name.split(":")[0]

    @property
    def is_tokenized(self) -> bool:
        """Whether its rows hold ids instead of text (`data/plain_seqio/tasks.py`)."""
        return False

    @property
    def stored_as(self) -> str:
        """Its name in the prepared store."""
        return self.name

    def needed_fields(self) -> tuple[str, ...]:
        """Fields that its rows must have: those of templates that no constant supplies, of the answer and of the weight."""
        names = [name for template in self.templates for name in template.fields]
        names.append(template_lib.ANSWER if self.answer_choices is None else rendering.LABEL)
        if isinstance(self.answer_choices, str):
            names.append(self.answer_choices)
        if isinstance(self.loss_weight, str):
            names.append(self.loss_weight)
        return tuple(name for name in dict.fromkeys(names) if name not in self.constants)

    def weight_of(self, fields: Fields) -> float:
        """The loss weight of a prepared row's target tokens."""
        if isinstance(self.loss_weight, str):
            return float(fields[self.loss_weight])  # type: ignore[arg-type]  # `prepare` checked it
        return float(self.loss_weight)

    def known_fields(self) -> tuple[str, ...]:
        """Fields that its rows may have: what it needs, the answer, who speaks, and `extra_fields`."""
        may = (template_lib.ANSWER, rendering.LABEL, dialog_lib.ROLES)
        names = (*self.needed_fields(), *may, *self.constants, *self.extra_fields)
        return tuple(dict.fromkeys(names))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Declared:
    """What is known of a family's task before its file is there.

    Attributes:
        rows: of each split, as published.
        num_templates: training templates that a setting may use.
    """

    rows: Mapping[str, int]
    num_templates: Callable[[prompting.PromptSetting], int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskFamily:
    """Tasks that a folder of files defines, found when a run starts (importing a module reads nothing).

    Attributes:
        name: the family, the part of a task's name before the colon.
        files: the file of each dataset below a data directory; empty where the folder is absent.
        read_metadata: what `make_task` needs of a file (JSON values); cached in the prepared store.
        make_task: the task of a dataset from its metadata.
        declared: tasks by name, "family:dataset", of which something is known before their files are there.
        folders: where `files` looks, below the data directory.
        licence: of the data as a whole; each task states its own.
        publication: where the data are published, of each task that says nothing else.
    """

    name: str
    files: Callable[[pathlib.Path], Mapping[str, pathlib.Path]]
    read_metadata: Callable[[pathlib.Path], Mapping[str, object]]
    make_task: Callable[[str, Mapping[str, object]], InstructionTask]
    declared: Mapping[str, Declared] = dataclasses.field(default_factory=dict)
    folders: tuple[str, ...] = ()
    licence: str = "unknown"
    publication: Publication | None = None


def check_loss_weight(task: str, weight: object, where: str = "") -> None:
    """Raises ValueError where a loss weight is no finite number of at least 0."""
    if (
        isinstance(weight, bool)
        or not isinstance(weight, int | float)
        or not 0 <= weight <= _LARGEST_FLOAT32  # not a number is neither
    ):
        raise ValueError(
            f"Task {task!r}: the loss weight must be a finite number of at least 0, not {weight!r}"
            f"{f' ({where})' if where else ''}."
        )


def split_name(name: str) -> tuple[str, str]:
    """Task and setting of "family:dataset#setting"; the setting is "" where there is none."""
    task, _, setting = name.partition("#")
    return task, setting
