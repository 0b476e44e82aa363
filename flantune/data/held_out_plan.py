"""`HeldOutPlan`: what a run must not have trained on. A module exports its plans as PLANS; data only.

    PLANS = (
        HeldOutPlan(
            name="no_entailment",
            clusters=("natural_language_inference",),
            evaluation={"nli:*": "test"},
            waivers=(Waiver(evaluation="nli:a", training="qa:b", reason="both quote one proverb", max_rows=2),),
        ),
    )

A mixture leaves out what a plan rules out by `Mixture.held_out`. Read `held_out_names.py` next.
"""

from collections.abc import Mapping
import dataclasses
import fnmatch

from flantune.data import names as names_lib, task as task_lib

NGRAM = 13  # as GPT-3 counts (https://arxiv.org/abs/2005.14165, appendix C)
MIN_WORDS = 5  # a shorter text ("in the kitchen") is found everywhere and tells nothing
KINDS = ("task", "cluster", "ngram", "lineage")  # of violations, the surest first
BY_NAME = ("task", "cluster", "lineage")  # those that need no rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Waiver:
    """Violations that a plan accepts.

    Attributes:
        evaluation: name or pattern of evaluation tasks; of the cluster or held-out task for those kinds.
        training: name or pattern of training tasks.
        reason: why it is no leak, or one that is accepted; it stands in the report.
        kinds: of violations.
        max_rows: accepts an overlap of at most so many evaluation rows; None: of any number.
    """

    evaluation: str
    training: str
    reason: str
    kinds: tuple[str, ...] = KINDS
    max_rows: int | None = None

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise ValueError(
                f"The waiver of {self.evaluation!r} and {self.training!r} must give a reason."
            )
        for kind in self.kinds:
            if kind not in KINDS:
                raise ValueError(names_lib.unknown("A waiver is for the kind", kind, KINDS))

    def covers(self, *, kind: str, evaluation: str, training: str, rows: int) -> bool:
        """Whether it accepts a violation between two tasks, by so many evaluation rows."""
        return (
            kind in self.kinds
            and fnmatch.fnmatchcase(evaluation, self.evaluation)
            and fnmatch.fnmatchcase(training, self.training)
            and (self.max_rows is None or rows <= self.max_rows)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutPlan:
    """What training must leave out.

    Attributes:
        clusters: no task of these may be trained on.
        tasks: names or patterns of tasks that may not be trained on.
        evaluation: mixtures, tasks or patterns, with their split, whose rows must not be in training prompts; a run's
            suites of held-out tasks are checked too, and all of its suites where a plan names nothing.
        lineage: whether training tasks may not share a source dataset with held-out or evaluation tasks.
        ngram: words in a row that an evaluation row may not share with a training prompt; None: rows are not compared.
    """

    name: str
    clusters: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    evaluation: Mapping[str, str] = dataclasses.field(default_factory=dict)
    lineage: bool = True
    ngram: int | None = NGRAM
    waivers: tuple[Waiver, ...] = ()

    def __post_init__(self) -> None:
        if self.ngram is not None and self.ngram <= MIN_WORDS:
            raise ValueError(
                f"HeldOutPlan {self.name!r}: ngram must be above {MIN_WORDS} or None, not {self.ngram}: "
                "fewer words in a row are in every text."
            )

    def holds_out(self, task: task_lib.InstructionTask) -> bool:
        """Whether training must leave a task out."""
        return task.cluster in self.clusters or any(
            fnmatch.fnmatchcase(task.name, pattern) for pattern in self.tasks
        )

    def waiver(self, kind: str, evaluation: str, training: str, rows: int = 0) -> Waiver | None:
        """The first waiver that covers a violation; see `Waiver.covers`."""
        facts = {"kind": kind, "evaluation": evaluation, "training": training}
        return next((one for one in self.waivers if one.covers(**facts, rows=rows)), None)
