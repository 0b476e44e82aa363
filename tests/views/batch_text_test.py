"""Batches as text."""

import numpy as np

from flantune.data.input import packing
from flantune.data.vocabularies import vocabulary
from flantune.views import batch_text


def test_each_example_of_a_packed_row_with_its_task_and_template():
    words = vocabulary.load("bytes")

    def example(inputs, targets, task, template):
        ids = [
            np.array([*words.encode(text), words.eos_id], np.int32) for text in (inputs, targets)
        ]
        return packing.Example(*ids, task, template, 0, 0)

    rows = [[example("ab", "c", 1, 4), example("d", "ef", 0, 2)], [example("g", "h", 1, 0)]]
    batch = packing.make_rows(rows, inputs_length=16, targets_length=16)
    found = batch_text.examples(batch, words, ["x:first", "x:second"])
    assert [(one["row"], one["task"], one["template"]) for one in found] == [
        (0, "x:second", 4),
        (0, "x:first", 2),
        (1, "x:second", 0),
    ]
    assert [(one["inputs"], one["targets"]) for one in found] == [
        ("ab", "c"),
        ("d", "ef"),
        ("g", "h"),
    ]
    assert found[0]["loss_weights"] == [1.0]
