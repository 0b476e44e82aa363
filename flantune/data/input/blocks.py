"""Blocks of the schedule as packed rows: fetch, render, tokenise, pack.

Nothing here needs Grain or JAX. Read `pipeline.py` next: it deals blocks to lanes and rows to batches.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from flantune.data import members as members_lib
from flantune.data.input import packing, prompts, schedule as schedule_lib, tokenize as tokenize_lib
from flantune.prompting import choice

Batch = dict[str, np.ndarray]
Row = list[packing.Example]


@dataclasses.dataclass(kw_only=True)
class Counts:
    """What this process's pipeline did since it started, by position of the task in the mixture."""

    examples: np.ndarray
    cut: np.ndarray
    dropped: np.ndarray
    input_tokens: np.ndarray
    target_tokens: np.ndarray

    @classmethod
    def zeros(cls, num_tasks: int) -> "Counts":
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: np.zeros(num_tasks, np.int64) for name in names})


@dataclasses.dataclass(frozen=True, slots=True)
class PackedBlock:
    """A block of the schedule as rows, in the order in which batches take them, and the tasks of its dropped examples."""

    rows: list[Row]
    dropped: list[int]


class BlockPacker:
    """Turns a block of the schedule into rows."""

    def __init__(
        self,
        *,
        members: Sequence[members_lib.Member],
        schedule: schedule_lib.Schedule,
        tokenizer: tokenize_lib.Tokenizer,
        inputs_length: int,
        targets_length: int,
        pack: bool,
        mean_targets: float | None = None,
    ) -> None:
        """Args: `mean_targets`, the target tokens of a mean example, where all examples weigh the same in the loss."""
        self._members = members
        self._schedule = schedule
        self._tokenizer = tokenizer
        self._lengths = {"inputs_length": inputs_length, "targets_length": targets_length}
        self._pack = pack
        self._mean_targets = mean_targets
        self.counts = Counts.zeros(len(members))

    def examples(self, block: int) -> list[packing.Example]:
        """The block's examples as ids; those that do not fit are dropped and counted."""
        return self._read(block)[0]

    def _read(self, block: int) -> tuple[list[packing.Example], list[int]]:
        """The block's examples, and the tasks of those that do not fit."""
        visits = self._schedule.block(block)
        requests = [
            prompts.Request(self._members[visit.task], visit.row, visit.epoch) for visit in visits
        ]
        examples: list[packing.Example] = []
        dropped: list[int] = []
        for visit, result in zip(visits, self._tokenizer.tokenize(requests), strict=True):
            self.counts.examples[visit.task] += 1
            if result is None:
                self.counts.dropped[visit.task] += 1
                dropped.append(visit.task)
                continue
            self.counts.cut[visit.task] += result.cut
            self.counts.input_tokens[visit.task] += len(result.inputs)
            self.counts.target_tokens[visit.task] += len(result.targets)
            examples.append(
                packing.Example(
                    np.asarray(result.inputs, np.int32),
                    np.asarray(result.targets, np.int32),
                    visit.task,
                    result.prompt.template,
                    visit.epoch,
                    visit.row,
                    self._token_weight(result),
                    result.cut,
                )
            )
        return examples, dropped

    def _token_weight(self, result: tokenize_lib.Tokenized) -> float:
        if self._mean_targets is None:
            return result.weight
        return result.weight * self._mean_targets / len(result.targets)

    def rows(self, block: int) -> list[Row]:
        """The block's rows, in the order in which batches take them."""
        return self.packed(block).rows

    def packed(self, block: int) -> "PackedBlock":
        """The block's rows, and what it has lost."""
        examples, dropped = self._read(block)
        return PackedBlock(self._rows(block, examples), dropped)

    def _rows(self, block: int, examples: Sequence[packing.Example]) -> list[Row]:
        if not self._pack:
            return [[example] for example in examples]
        assignment = packing.assign_rows(
            [len(example.inputs) for example in examples],
            [len(example.targets) for example in examples],
            **self._lengths,
        )
        # The longest examples share the first rows: a hashed order spreads lengths over batches.
        order = np.random.Generator(np.random.PCG64(choice.hash64(block, "row_order"))).permutation(
            len(assignment)
        )
        return [[examples[index] for index in assignment[row]] for row in order]

    def batch(self, rows: Sequence[Row]) -> Batch:
        """The arrays of some rows."""
        return packing.make_rows(rows, **self._lengths)
