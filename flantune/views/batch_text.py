"""The examples in a batch as text, for people who look for what is wrong with them.

a packed row of two examples  ->  {"row": 0, "task": "sst2:sst2", "template": 3, "inputs": "...", "targets": "..."}, ...
"""

from collections.abc import Mapping, Sequence

import numpy as np

from flantune.data.vocabularies import vocabulary as vocabulary_lib

Batch = Mapping[str, np.ndarray]


def examples(
    batch: Batch, vocabulary: vocabulary_lib.Vocabulary, names: Sequence[str]
) -> list[dict[str, object]]:
    """Each example of this process's rows, in order.

    Args:
        batch: as the pipeline gives it: ids [rows, length], and segment ids that count from 1 in each row.
        vocabulary: of the ids.
        names: of the tasks, by task id.
    """
    return [
        _example(batch, row, segment, vocabulary, names)
        for row, segments in enumerate(batch["decoder_segment_ids"])
        for segment in range(1, int(segments.max(initial=0)) + 1)
    ]


def _example(
    batch: Batch,
    row: int,
    segment: int,
    vocabulary: vocabulary_lib.Vocabulary,
    names: Sequence[str],
) -> dict[str, object]:
    inputs = batch["encoder_input_tokens"][row][batch["encoder_segment_ids"][row] == segment]
    own = batch["decoder_segment_ids"][row] == segment
    targets = batch["decoder_target_tokens"][row][own]
    first = int(np.argmax(own))
    return {
        "row": row,
        "task": names[int(batch["decoder_task_ids"][row][first])],
        "template": int(batch["decoder_template_ids"][row][first]),
        "inputs": vocabulary.decode(inputs.tolist()),
        "targets": vocabulary.decode(targets.tolist()),
        "loss_weights": sorted({float(w) for w in batch["decoder_loss_weights"][row][own]}),
    }
