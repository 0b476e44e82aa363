"""Counted against planned, task by task; and what was counted of each template. Read `counts.py` first."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

from flantune import prompting
from flantune.audit.ledger.counts import Cells, Counts
from flantune.audit.ledger.plan import Ledger, TaskEntry


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """A task's counts beside its plan, for the same number of batches."""

    task: str
    planned_examples: float
    counted_examples: int
    planned_tokens: float
    counted_tokens: int
    planned_targets: float
    counted_targets: int
    planned_cut: float
    counted_cut: int
    planned_dropped: float
    counted_dropped: int
    epochs: float
    deviations: float


def compare(planned: Ledger, counts: Counts, cells: Cells) -> list[Comparison]:
    """Counts beside a plan of as many steps as were counted, in the ledger's order.

    `deviations` says how many standard errors lie between the tokens planned and counted.
    """
    by_task = (counts.examples, counts.inputs_tokens, counts.targets_tokens, counts.cut)
    columns = [*map(cells.by_task, by_task), counts.dropped]
    return [
        _comparison(planned, entry, *numbers)
        for entry, *numbers in zip(
            planned.tasks, *(column.tolist() for column in columns), strict=True
        )
    ]


def _comparison(
    planned: Ledger,
    entry: TaskEntry,
    examples: int,
    inputs: int,
    targets: int,
    cut: int,
    dropped: int,
) -> Comparison:
    error = _tokens_error(planned, entry)
    difference = inputs + targets - entry.tokens
    return Comparison(
        task=entry.task,
        planned_examples=entry.examples,
        counted_examples=examples,
        planned_tokens=entry.tokens,
        counted_tokens=inputs + targets,
        planned_targets=entry.targets_tokens,
        counted_targets=targets,
        planned_cut=entry.cut * entry.visits,
        counted_cut=cut,
        planned_dropped=entry.dropped * entry.visits,
        counted_dropped=dropped,
        epochs=(examples + dropped) / max(1, entry.rows),
        deviations=difference / error if error else 0.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TemplateTotal:
    """What training got of a template.

    Attributes:
        template: its position in the task.
        wording: its inputs.
        share: of the task's examples.
        cut: those of the examples that are shortened.
    """

    task: str
    template: int
    kind: str
    wording: str
    examples: int
    share: float
    inputs_tokens: int
    targets_tokens: int
    cut: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actual:
    """Counted against planned, and by template.

    Attributes:
        step: of the checkpoint that holds the counts.
        batches: that were counted; fewer than `step` where counting began later.
        on_device: target tokens that the training steps themselves counted until then; None where they cannot be compared:
            the counts began later, or the steps summed loss weights other than 1.
        planned: the ledger of as many steps as batches were counted, each of the size that it had.
        unknown_sizes: batches whose size the run folder does not say; they are planned with that of its config.
    """

    step: int
    batches: int
    on_device: int | None
    planned: Ledger
    unknown_sizes: int
    tasks: tuple[Comparison, ...]
    templates: tuple[TemplateTotal, ...]

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "planned": self.planned.to_json()}


def by_template(
    tasks: Mapping[str, Sequence[prompting.Template]], counts: Counts, cells: Cells
) -> list[TemplateTotal]:
    """The counts of every template of some tasks, in their order; without those that gave no example."""
    examples = cells.by_task(counts.examples)
    named = list(tasks.items())
    found = []
    for cell, (task, position) in enumerate(cells.pairs()):
        name, templates = named[task]
        if counts.examples[cell]:
            found.append(
                TemplateTotal(
                    task=name,
                    template=position,
                    kind=templates[position].kind,
                    wording=templates[position].inputs,
                    examples=int(counts.examples[cell]),
                    share=float(counts.examples[cell] / examples[task]),
                    inputs_tokens=int(counts.inputs_tokens[cell]),
                    targets_tokens=int(counts.targets_tokens[cell]),
                    cut=int(counts.cut[cell]),
                )
            )
    return found


def _tokens_error(planned: Ledger, entry: TaskEntry) -> float:
    """The standard error of a task's planned tokens against those of a run, which are a sample too.

    It has four parts: the mean length, known from `measured` examples and realised in `examples`; the share that is
    dropped, likewise; how many examples share a row; and one example for where the blocks are cut.
    """
    per_example = entry.mean_inputs_tokens + entry.mean_targets_tokens
    # Inputs and targets may be long together, so their errors add up.
    mean_error = entry.inputs_error + entry.targets_error
    both = 1 + entry.examples / max(1.0, entry.measured * (1 - entry.dropped))
    drop_variance = entry.dropped * (1 - entry.dropped) * entry.visits
    variances = (
        entry.examples * mean_error**2 * entry.measured * (1 - entry.dropped) * both,
        per_example**2 * drop_variance * (1 + entry.visits / max(1, entry.measured)),
        (entry.tokens * planned.examples_per_row_error / planned.examples_per_row) ** 2,
        per_example**2,
    )
    return math.sqrt(sum(variances))
