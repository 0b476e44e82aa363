"""Packing: which examples of a block share a row, encoder and decoder side together.

Sorted best-fit: longest first, each into the fullest row that still has room on both sides. Read `pipeline.py` next.
"""

from collections.abc import Sequence
import dataclasses

from jaxtyping import Int
import numpy as np


def assign_rows(
    inputs_lengths: Sequence[int],
    targets_lengths: Sequence[int],
    *,
    inputs_length: int,
    targets_length: int,
) -> list[list[int]]:
    """Positions of the examples in each row.

    Example: lengths (3, 2, 2) and (1, 1, 1) for rows of 5 and 4 give [[0, 1], [2]].

    Raises:
        ValueError: an example is longer than a row.
    """
    inputs = np.asarray(inputs_lengths, np.int64)
    targets = np.asarray(targets_lengths, np.int64)
    if len(inputs) and (inputs.max() > inputs_length or targets.max() > targets_length):
        raise ValueError(
            f"An example of {inputs.max()} + {targets.max()} tokens does not fit a row of "
            f"{inputs_length} + {targets_length}."
        )
    fill = np.maximum(inputs / inputs_length, targets / targets_length)
    order = np.argsort(-fill, kind="stable")
    free_inputs = np.full(len(inputs), inputs_length)
    free_targets = np.full(len(inputs), targets_length)
    rows: list[list[int]] = []
    for example in order:
        used = len(rows)
        left_inputs = free_inputs[:used] - inputs[example]
        left_targets = free_targets[:used] - targets[example]
        slack = left_inputs / inputs_length + left_targets / targets_length
        slack[(left_inputs < 0) | (left_targets < 0)] = np.inf
        row = int(np.argmin(slack)) if used else 0
        if not used or np.isinf(slack[row]):
            row = used
            rows.append([])
        rows[row].append(int(example))
        free_inputs[row] -= inputs[example]
        free_targets[row] -= targets[example]
    return rows


@dataclasses.dataclass(frozen=True, slots=True)
class Example:
    """One tokenised example: ids with EOS, and where it came from."""

    inputs: Int[np.ndarray, " inputs"]
    targets: Int[np.ndarray, " targets"]
    task: int
    template: int
    epoch: int
    row: int


BATCH_KEYS = (
    "encoder_input_tokens",
    "encoder_segment_ids",
    "encoder_positions",
    "decoder_input_tokens",
    "decoder_target_tokens",
    "decoder_loss_weights",
    "decoder_segment_ids",
    "decoder_positions",
    "decoder_task_ids",
    "decoder_template_ids",
)


def make_row(
    examples: Sequence[Example], *, inputs_length: int, targets_length: int
) -> dict[str, np.ndarray]:
    """One row of a batch: ids int32, weights float32, 0 where padded, task and template ids -1 where padded."""
    row = {
        key: np.zeros(inputs_length if key.startswith("encoder") else targets_length, np.int32)
        for key in BATCH_KEYS
    }
    row["decoder_loss_weights"] = np.zeros(targets_length, np.float32)
    row["decoder_task_ids"] -= 1
    row["decoder_template_ids"] -= 1
    start, target_start = 0, 0
    for segment, example in enumerate(examples, 1):
        encoder = slice(start, start + len(example.inputs))
        decoder = slice(target_start, target_start + len(example.targets))
        row["encoder_input_tokens"][encoder] = example.inputs
        row["encoder_segment_ids"][encoder] = segment
        row["encoder_positions"][encoder] = np.arange(len(example.inputs))
        row["decoder_target_tokens"][decoder] = example.targets
        row["decoder_input_tokens"][decoder.start + 1 : decoder.stop] = example.targets[:-1]
        row["decoder_loss_weights"][decoder] = 1.0
        row["decoder_segment_ids"][decoder] = segment
        row["decoder_positions"][decoder] = np.arange(len(example.targets))
        row["decoder_task_ids"][decoder] = example.task
        row["decoder_template_ids"][decoder] = example.template
        start, target_start = encoder.stop, decoder.stop
    return row
