"""Counted against planned: examples, tokens, what is cut and dropped; and by template."""

import dataclasses

import numpy as np
import pytest

from flantune import testing
from flantune.audit.ledger import (
    comparison as ledger_comparison,
    counts as ledger_counts,
    plan as ledger,
)
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib
from flantune.data.input import loading
from flantune.data.vocabularies import vocabulary
from flantune.prompting import Template

BYTES = vocabulary.ByteVocabulary()
TASKS = [
    testing.make_task(
        f"t:{name}",
        {
            "train": [
                {"text": "x" * (row % 7 + 1), "answer": f"{row}", "more": "z" * (row % 4 * 6)}
                for row in range(rows)
            ]
        },
        templates=[
            Template(inputs="{text};"),
            Template(inputs="{more}: {text}", held_out=True),
            Template(inputs="{text}\n{more}"),
        ],
        **changes,
    )
    for name, rows, changes in (("a", 40, {}), ("b", 8, {"may_cut": ("more",)}))
]
MIXTURE = Mixture(name="both", rates={"t:a": 3, "t:b": 1})
DATA = DataConfig(
    mixture="both",
    modules=(),
    vocabulary="bytes",
    inputs_length=20,
    targets_length=12,
    batch_size=8,
    lanes=4,
    block_size=16,
)
STEPS = 50


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The plan and the counts of a run."""
    root = tmp_path_factory.mktemp("store")
    store = testing.prepare(TASKS, root)
    with testing.task_module("compared_tasks", TASKS, [MIXTURE]):
        catalog = catalog_lib.load(["compared_tasks"], store, root)
    bound = loading.bind_mixture(catalog, store, "both", split="train")
    dataset = loading.train_dataset(bound, DATA, BYTES, seed=0, with_shortfall=True)
    counted = ledger_counts.Counted(iter(dataset), {"t:a": 3, "t:b": 3})
    for _ in range(STEPS):
        next(counted)
    planned = ledger.plan(
        catalog, store, bound, DATA, BYTES, num_steps=STEPS, seed=0, num_examples=16
    )
    return planned, counted.counts, counted.cells


def test_what_was_counted_agrees_with_the_plan(run):
    planned, counts, cells = run
    a, b = ledger_comparison.compare(planned, counts, cells)
    for one in (a, b):
        # What is dropped and how long the others are is planned from 16 examples of each task.
        assert one.counted_examples == pytest.approx(one.planned_examples, rel=0.2)
        assert one.counted_tokens == pytest.approx(one.planned_tokens, rel=0.2)
        assert abs(one.deviations) < 4
    # Only a's long prompts cannot be cut, only b's may be.
    assert a.counted_dropped == pytest.approx(a.planned_dropped, rel=0.4)
    assert a.counted_dropped > 20
    assert b.counted_cut == pytest.approx(b.planned_cut, rel=0.4)
    assert b.counted_cut > 10
    assert (a.counted_cut, a.planned_cut, b.counted_dropped, b.planned_dropped) == (0, 0, 0, 0)
    visits = np.array([a.counted_examples + a.counted_dropped, b.counted_examples])
    assert visits / visits.sum() == pytest.approx([0.75, 0.25], abs=0.005)
    assert a.epochs == pytest.approx(visits[0] / 40)


def test_a_task_that_was_not_planned_so_stands_out(run):
    planned, counts, cells = run
    factor = np.array([1, 1, 1, 2, 2, 2])  # of the two tasks' three templates
    wrong = dataclasses.replace(counts, inputs_tokens=counts.inputs_tokens * factor)
    a, b = ledger_comparison.compare(planned, wrong, cells)
    assert abs(a.deviations) < 4 < b.deviations


def test_templates_add_up_to_their_task(run):
    planned, counts, cells = run
    templates = {task.name: task.templates for task in TASKS}
    found = ledger_comparison.by_template(templates, counts, cells)
    assert [(one.task, one.template) for one in found] == [
        ("t:a", 0), ("t:a", 2), ("t:b", 0), ("t:b", 2),
    ]  # fmt: skip  # the held-out one gave nothing
    assert found[1].wording == "{text}\n{more}"
    for task in ledger_comparison.compare(planned, counts, cells):
        own = [one for one in found if one.task == task.task]
        assert sum(one.share for one in own) == pytest.approx(1)
        assert sum(one.examples for one in own) == task.counted_examples
        assert sum(one.inputs_tokens + one.targets_tokens for one in own) == task.counted_tokens
        assert sum(one.cut for one in own) == task.counted_cut
    assert found[2].cut == 0 < found[3].cut
    # Three standard deviations of some 120 draws between two templates.
    assert found[2].share == pytest.approx(0.5, abs=0.14)
