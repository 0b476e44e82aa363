"""Plain SeqIO tasks: what SeqIO gives after its preprocessors is what is trained on; what is refused, and `lint`."""

import dataclasses

import numpy as np
import pytest

from flantune import testing
from flantune.audit.lint import job as lint_job
from flantune.data import Mixture
from flantune.data.input import loading
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.vocabularies import vocabulary as vocabulary_lib

from .seqio_place import (
    CUT,
    LENGTHS,
    LINES,
    SPANS,
    TEXT,
    WHOLE,
    make_config,
    prepared,
    tokenized,
)

seqio = pytest.importorskip("seqio")


def seqio_rows(name):
    dataset = seqio.get_mixture_or_task(name.removeprefix("seqio:")).get_dataset(
        LENGTHS, "train", shuffle=False, seed=0
    )
    return [(e["inputs"].tolist(), e["targets"].tolist()) for e in dataset.as_numpy_iterator()]


# ---- the same ids


@pytest.mark.parametrize("name", [SPANS, WHOLE, CUT])
def test_ids_equal_those_that_seqio_trains_on(span_ready, name):
    kept = [pair for pair in seqio_rows(name) if all(pair)]
    assert [(one.inputs, one.targets) for one in tokenized(span_ready, name)] == kept
    assert len(kept) > 25


def test_span_corruption_by_hand(span_ready):
    """Inputs and targets together hold the line, each span once, with the same sentinels in both."""
    vocabulary = vocabulary_lib.load("bytes+100")
    one = tokenized(span_ready, SPANS)[5]
    assert one.inputs[-1] == one.targets[-1] == vocabulary.eos_id
    spans, current = {}, None
    for token in [*one.inputs[:-1], *one.targets[:-1]]:
        if token > 258:
            current = token
        else:
            spans.setdefault(current, []).append(token)
    sentinels = [token for token in one.inputs if token > 258]
    assert sentinels == [vocabulary.sentinel_id(number) for number in range(len(sentinels))]
    assert sum(len(span) for span in spans.values()) == len(LINES[5][:24])
    text = vocabulary.decode([token for token in one.inputs if token < 259])
    assert 0 < len(text) < len(LINES[5])


def test_rows_too_long_lose_their_end_as_in_seqio_and_are_counted(span_ready):
    found = tokenized(span_ready, CUT)
    texts = [*LINES, "", "last"]
    assert [one.cut for one in found] == [len(text) + 1 > 20 for text in texts]
    assert all(len(one.targets) <= 20 and len(one.inputs) <= 24 for one in found)
    assert not any(one.cut for one in tokenized(span_ready, WHOLE))


def test_rows_without_ids_are_dropped_and_counted(span_ready):
    manifest = span_ready.store.manifest(span_ready.catalog.task(CUT), "train")
    # An empty line is only an end of sequence, which is an example; SeqIO says so too.
    assert (manifest.rows, manifest.dropped, manifest.malformed.count) == (32, 0, 0)
    row = {"inputs": np.array([], np.int32), "targets": np.array([5])}
    lengths = {"inputs_length": 4, "targets_length": 4, "vocabulary_size": 9}
    assert seqio_tasks.to_fields(row, **lengths) is None


def test_fields_by_hand():
    row = {"inputs": np.array([3, 4, 5], np.int32), "targets": np.array([8, 1], np.int64)}
    lengths = {"inputs_length": 2, "targets_length": 2, "vocabulary_size": 9}
    assert seqio_tasks.to_fields(row, **lengths) == {"inputs": "3 4", "answer": "8 1", "cut": True}
    with pytest.raises(ValueError, match="from 1 to 8, not 3 to 9"):
        seqio_tasks.to_fields({**row, "targets": np.array([3, 9])}, **lengths)
    with pytest.raises(ValueError, match="from 1 to 8, not 0 to 3"):
        seqio_tasks.to_fields({**row, "inputs": np.array([3, 0])}, **lengths)
    with pytest.raises(TypeError, match=r"a list of ids, not float32 of shape \(1, 1\)"):
        seqio_tasks.to_fields({**row, "inputs": np.zeros((1, 1), np.float32)}, **lengths)


# ---- errors


def test_a_split_that_is_missing_raises(span_place, span_ready):
    with pytest.raises(KeyError, match=r"'seqio:whole_lines' is asked for the split 'test'"):
        loading.check_split(span_ready.catalog, WHOLE, "test")


def test_an_unknown_name_is_explained(span_place, span_ready):
    catalog = loading.load_catalog(make_config(span_place), span_ready.store, ["seqio:whole_line"])
    with pytest.raises(KeyError, match="seqio:whole_line"):
        catalog.members("seqio:whole_line")
    assert "do not register 'whole_line'" in " ".join(catalog.problems)
    assert "Did you mean 'whole_lines'" in " ".join(catalog.problems)


def test_a_missing_module_is_asked_for(span_place):
    config = make_config(span_place, seqio_modules=())
    mixture = Mixture(name="s_needs", rates={SPANS: 1})
    with testing.task_module("seqio_needs", [TEXT], [mixture]):
        catalog = loading.load_catalog(
            dataclasses.replace(config, modules=("seqio_needs",)),
            loading.open_store(config),
            ["s_needs"],
        )
    with pytest.raises(KeyError, match=r"needs the module that registers it in DataConfig\.seqio_"):
        catalog.members("s_needs")


def test_a_module_that_cannot_be_imported_is_named(span_place, tmp_path):
    config = make_config(
        span_place, seqio_modules=("span_package.nowhere",), prepared_dir=str(tmp_path / "empty")
    )
    with pytest.raises(ValueError, match=r"seqio_modules names 'span_package\.nowhere', which can"):
        loading.load_catalog(config, loading.open_store(config), [SPANS])


def test_another_vocabulary_is_refused(span_place, span_ready):
    (result,) = prepared(make_config(span_place), ["seqio:no_sentinels"])[2].results
    assert "uses the vocabulary" in result.error
    assert "Set DataConfig.vocabulary to it" in result.error
    with pytest.raises(ValueError, match="Make one first, with flantune vocab"):
        prepared(make_config(span_place, vocabulary="sentencepiece:500"), [SPANS])
    bound = loading.bind_mixture(span_ready.catalog, span_ready.store, SPANS, split="train")
    with pytest.raises(ValueError, match="whose content is not that of the run's vocabulary"):
        loading.train_dataset(bound, make_config(span_place), vocabulary_lib.load("bytes"), seed=0)


def test_a_task_without_inputs_is_refused(span_place, span_ready):
    (result,) = prepared(make_config(span_place), ["seqio:only_targets"])[2].results
    assert "has no feature 'inputs'" in result.error


def test_settings_are_refused(span_ready):
    with pytest.raises(ValueError, match="asks for a setting, but its rows are ids"):
        loading.bind_mixture(
            span_ready.catalog, span_ready.store, SPANS + "#no_options", split="train"
        )


# ---- lint


def test_lint_checks_the_seqio_tasks_that_a_run_reaches(span_place, span_ready):
    mixtures = [
        Mixture(name="s_linted", rates={"s:text": 1, CUT: 1}),
        Mixture(name="s_misspelt", rates={"s:text": 1, "seqio:whole_line": 1}),
    ]
    config = make_config(span_place, mixture="s_linted", modules=("seqio_linted",))
    misspelt = make_config(span_place, mixture="s_misspelt", modules=("seqio_linted",))
    with testing.task_module("seqio_linted", [TEXT], mixtures):
        report = lint_job.lint(data=config)
        with pytest.raises(KeyError, match="Did you mean 'whole_lines'") as raised:
            lint_job.lint(data=misspelt)
    assert report.splits == {"s:text": "train", CUT: "train"}
    found = {one.code: one.message for one in report.findings if one.task == CUT}
    cut = sum(len(line) + 1 > LENGTHS["targets"] for line in LINES)
    assert found["cut_ids"].startswith(f"{cut} of 32 rows lose the end")
    assert str(raised.value).count("seqio_modules do not register") == 1
    assert set(lint_job.lint(data=make_config(span_place), tasks=(SPANS,)).splits) == {SPANS}
