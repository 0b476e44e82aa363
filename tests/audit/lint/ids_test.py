"""Plain SeqIO tasks in `lint`: what ids alone tell, in rows that can be checked by hand."""

import functools

import numpy as np
import pytest

from flantune import testing
from flantune.audit.lint import check as lint_lib, job as lint_job
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib, sources
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.store import prepare, reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import Template

BYTES = vocabulary_lib.ByteVocabulary()
EOS, UNK = BYTES.eos_id, vocabulary_lib.UNK_ID
A, B = 68, 69  # "A" and "B" in bytes


def make_task(pairs):
    """A task of prepared ids, as SeqIO's preprocessors leave them."""
    rows = [{"inputs": np.array(x, np.int32), "targets": np.array(y, np.int32)} for x, y in pairs]
    return seqio_tasks.TokensTask(
        name="seqio:ids",
        stored_name="seqio:ids.0",
        source=sources.InMemory(train=rows),
        to_fields=functools.partial(
            seqio_tasks.to_fields, inputs_length=6, targets_length=4, vocabulary_size=BYTES.size
        ),
        templates=(Template(inputs="{inputs}"),),
        cluster="seqio",
        metrics=(),
        extra_fields=("cut",),
    )


def findings(pairs, root):
    """Messages by code."""
    task = make_task(pairs)
    store = store_lib.Store(root)
    prepare.prepare([(task, ("train",))], store, root, num_processes=0).raise_if_failed()
    catalog = catalog_lib.Catalog(modules=(), tasks={task.name: task}, mixtures={})
    found = lint_lib.lint(catalog, store, BYTES, splits={task.name: "train"})
    assert {one.task for one in found} <= {"seqio:ids"}
    return {one.code: one.message for one in found}


def good(row):
    return [A + row % 20, B + row // 20, EOS], [A + row * 7 % 60, EOS]


GOOD = [good(row) for row in range(60)]


def test_sound_rows_have_no_findings(tmp_path):
    assert findings(GOOD, tmp_path) == {}


@pytest.mark.parametrize(
    ("pair", "code", "message"),
    [
        (([A, UNK, B, B, EOS], [A, EOS]), "unknown_ids", "The inputs of 1 of 61 rows hold the un"),
        (([A, B, B, B, EOS], [UNK, EOS]), "unknown_ids", "The targets of 1 of 61 rows hold the"),
        (([A, EOS, B, B, EOS], [A, EOS]), "inner_eos", "The inputs of 1 of 61 rows go on after"),
        (([A, B, B, B, EOS], [A, EOS, B]), "inner_eos", "The targets of 1 of 61 rows go on after"),
        (([A, B, B, B, EOS], [A, B]), "no_eos", "The targets of 1 of 61 rows have no end of"),
        (([A] * 6 + [EOS], [A, EOS]), "cut_ids", "1 of 61 rows lose the end of their inputs"),
        (([A, B, B, B, EOS], [A] * 4 + [EOS]), "cut_ids", "1 of 61 rows lose the end"),
        (([], [A, EOS]), "no_ids", "1 of 61 rows have no inputs or no targets."),
        (([A, B, B, B, EOS], []), "no_ids", "1 of 61 rows have no inputs or no targets."),
        ((good(7)[0], [B, B, EOS]), "conflicting_duplicates", "2 of 61 rows share 1 inputs"),
    ],
)
def test_one_bad_row_is_found(pair, code, message, tmp_path):
    found = findings([*GOOD, pair], tmp_path)
    assert found.pop(code).startswith(message)
    assert set(found) <= {"no_eos"}  # what goes on after an end has none at its end


def test_inputs_may_lack_an_end_and_cut_targets_too(tmp_path):
    found = findings([*GOOD, ([A, B, B, B], [B, A, EOS]), ([A, A, A], [A] * 5)], tmp_path)
    assert set(found) == {"cut_ids"}


def test_degenerate_targets_are_shown_as_text(tmp_path):
    single = [(inputs, [A, B, EOS]) for inputs, _ in GOOD]
    assert "'AB'" in findings(single, tmp_path / "single")["single_label"]
    ordered = [(inputs, [A if row < 30 else B, EOS]) for row, (inputs, _) in enumerate(GOOD)]
    assert set(findings(ordered, tmp_path / "sorted")) == {"label_sorted"}


# ---- the job


def config(tmp_path, **changes):
    values = {
        "mixture": "",
        "modules": ("ids_mixtures",),
        "vocabulary": "bytes",
        "inputs_length": 6,
        "targets_length": 4,
        "batch_size": 1,
        "prepared_dir": str(tmp_path / "prepared"),
    }
    return DataConfig(**(values | changes))


@pytest.fixture
def mixtures():
    text = testing.make_task(
        "i:text", {"train": [{"text": f"{n}", "answer": f"{n}"} for n in range(9)]}
    )
    mixture = Mixture(name="i_both", rates={"i:text": 1, "seqio:ids": 1})
    with testing.task_module("ids_mixtures", [text], [mixture]):
        yield


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "needs the module that registers it in DataConfig.seqio_modules"),
        (
            {"vocabulary": "sentencepiece:400", "seqio_modules": ("nowhere",)},
            "Make one first, with flantune vocab",
        ),
    ],
)
def test_members_that_cannot_be_looked_at_are_named(mixtures, changes, reason, tmp_path):
    report = lint_job.lint(data=config(tmp_path, **changes))
    assert set(report.splits) == {"i:text"}
    assert reason in report.skipped["seqio:ids"]
    assert report.as_json()["skipped"] == report.skipped
