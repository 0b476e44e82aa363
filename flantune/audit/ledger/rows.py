"""How many examples of a mixture share a packed row: the first blocks of its schedule, packed as training packs them.

Read `plan.py` next.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from flantune.configs import DataConfig
from flantune.data.input import loading, packing, prompts, tokenize as tokenize_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib

_MIN_BLOCKS = 2  # so that they can differ


@dataclasses.dataclass(frozen=True, kw_only=True)
class Density:
    """How the examples of a mixture fill rows: visits and kept examples of a row, and the latter's standard error."""

    visits_per_row: float
    examples_per_row: float
    error: float


def measure_density(
    bound: loading.BoundMixture,
    data: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    *,
    seed: int,
    num_packed: int,
) -> Density:
    """How many examples share a row, from the first blocks of the schedule, `num_packed` examples or a little more.

    Raises:
        ValueError: none of their examples fits.
    """
    lengths = {"inputs_length": data.inputs_length, "targets_length": data.targets_length}
    tokenizer = tokenize_lib.Tokenizer(vocabulary, seed=seed, **lengths)
    schedule = loading.make_schedule(bound, data, seed)
    visits, kept, rows = [], [], []
    for block in range(max(_MIN_BLOCKS, -(-num_packed // data.block_size))):
        requests = [
            prompts.Request(bound.members[visit.task], visit.row, visit.epoch)
            for visit in schedule.block(block)
        ]
        results = [result for result in tokenizer.tokenize(requests) if result is not None]
        visits.append(len(requests))
        kept.append(len(results))
        rows.append(_num_rows(results, data))
    if not sum(rows):
        raise ValueError(
            f"None of the first {sum(visits):,} examples of {bound.name!r} fits: raise DataConfig.inputs_length."
        )
    per_row = np.asarray(kept) / np.maximum(rows, 1)
    return Density(
        visits_per_row=sum(visits) / sum(rows),
        examples_per_row=sum(kept) / sum(rows),
        error=float(per_row.std(ddof=1) / np.sqrt(len(per_row))),
    )


def _num_rows(results: Sequence[tokenize_lib.Tokenized], data: DataConfig) -> int:
    if not data.pack:
        return len(results)
    return len(
        packing.assign_rows(
            [len(result.inputs) for result in results],
            [len(result.targets) for result in results],
            inputs_length=data.inputs_length,
            targets_length=data.targets_length,
        )
    )
