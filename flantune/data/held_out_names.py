"""What a `HeldOutPlan` rules out by names alone: `violations` of a set of training tasks, and `ruled_out` of candidates.

    training tasks {"nli:a" of cluster "nli", "qa:b" from "squad"}, plan of the cluster "nli", "qa:exam" from "SQuAD"
    ->  cluster: nli:a; lineage: qa:b comes from "squad", as qa:exam does

No rows are read. Read `audit/held_out.py` next, which checks the words of training prompts too.
"""

from collections.abc import Collection, Iterable, Mapping
import dataclasses
import functools
import re

from flantune.data import task as task_lib
from flantune.data.held_out_plan import HeldOutPlan

Tasks = Mapping[str, task_lib.InstructionTask]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Violation:
    """A training task that a plan does not allow.

    Attributes:
        kind: one of `KINDS`.
        evaluation: the evaluation or held-out task; the cluster where the kind is "cluster".
        shared: names of the source datasets that both come from.
        rows: evaluation rows that the training task holds anything of, out of `of` of the split; `by_ngram` of them
            share words in a row, the others are short and held whole.
        training_rows: rows of the training task that hold any of them.
        samples: evaluation row, training row, the piece of it, the words.
    """

    kind: str
    evaluation: str
    training: str
    shared: tuple[str, ...] = ()
    split: str = ""
    rows: int = 0
    by_ngram: int = 0
    of: int = 0
    training_rows: int = 0
    samples: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def share(self) -> float:
        """The part of the evaluation rows that is touched."""
        return self.rows / self.of if self.of else 0.0

    def sentence(self) -> str:
        """What is wrong, in one sentence, with an example."""
        if self.kind == "cluster":
            return f"{self.training} is of the held-out cluster {self.evaluation!r}."
        if self.kind == "task":
            return f"{self.training} is held out and trained on."
        if self.kind == "lineage":
            shared = ", ".join(map(repr, self.shared))
            return f"{self.training} comes from {shared}, as {self.evaluation} does."
        row, training_row, where, words = self.samples[0]
        return (
            f"{self.rows:,} of {self.of:,} rows of {self.evaluation} ({self.split}) are in {self.training_rows:,} rows of "
            f'{self.training}, as {row} is in the {where} of {training_row}: "{words}".'
        )


def violations(
    tasks: Tasks, training: Iterable[str], evaluation: Iterable[str], plan: HeldOutPlan
) -> list[Violation]:
    """What a plan does not allow, waived or not.

    Args:
        tasks: all that there are, by name.
        training: names of those trained on.
        evaluation: names of those evaluated; one that is trained on too may share sources with the others.
    """
    trained = {name: tasks[name] for name in training}
    held_out = {name: task for name, task in tasks.items() if plan.holds_out(task)}
    found = []
    for task in trained.values():
        if task.cluster in plan.clusters:
            found.append(Violation(kind="cluster", evaluation=task.cluster, training=task.name))
        elif task.name in held_out:
            found.append(Violation(kind="task", evaluation=task.name, training=task.name))
    if plan.lineage:
        others = {name: tasks[name] for name in evaluation if name not in trained}
        allowed = [task for name, task in trained.items() if name not in held_out]
        found += _shared_sources(held_out | others, allowed)
    return found


def ruled_out(
    tasks: Tasks, candidates: Collection[str], evaluation: Collection[str], plan: HeldOutPlan
) -> frozenset[str]:
    """Candidates for training that a plan does not allow, by task, cluster or source dataset, without a waiver.

    What is left of the candidates has no violation by name.
    """
    left = dict.fromkeys(candidates)
    while True:
        found = {
            one.training
            for one in violations(tasks, left, evaluation, plan)
            if plan.waiver(one.kind, one.evaluation, one.training) is None
        }
        if not found:
            return frozenset(candidates).difference(left)
        # Again: an evaluated task that was ruled out now forbids its sources to the others.
        left = {name: None for name in left if name not in found}


def _shared_sources(
    evaluated: Tasks, training: Iterable[task_lib.InstructionTask]
) -> list[Violation]:
    """A violation for each evaluated task and each training task that come from one dataset."""
    by_source: dict[str, list[task_lib.InstructionTask]] = {}
    for other in training:
        for source in _sources(other.lineage):
            by_source.setdefault(source, []).append(other)
    found = []
    for task in evaluated.values():
        shared: dict[str, list[str]] = {}
        for source in sorted(_sources(task.lineage)):
            for other in by_source.get(source, ()):
                if other.name != task.name:
                    shared.setdefault(other.name, []).append(source)
        found += [
            Violation(kind="lineage", evaluation=task.name, training=name, shared=tuple(names))
            for name, names in shared.items()
        ]
    return found


@functools.lru_cache(maxsize=65_536)
def _sources(lineage: tuple[str, ...]) -> frozenset[str]:
    """Names of source datasets, spelled alike: "commonsense_qa" and "CommonsenseQA" are one."""
    return frozenset(re.sub(r"[^a-z0-9]", "", name.casefold()) for name in lineage)
