"""Plain SeqIO tasks: what SeqIO gives after its preprocessors is what is trained on, without SeqIO."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

from flantune import lint as lint_job, testing
from flantune.configs import DataConfig
from flantune.data import (
    Mixture,
    catalog as catalog_lib,
    equal,
    loading,
    prepare as prepare_lib,
    prompts,
    proportional,
    registry,
    seqio_features,
    seqio_modules,
    seqio_tasks,
    tokenize,
    vocabulary as vocabulary_lib,
)

seqio = pytest.importorskip("seqio")

# T5's objective (https://arxiv.org/abs/1910.10683, section 3.1.4) in a few lines of TensorFlow.
MODULE = '''
import os

import seqio
import tensorflow as tf

from span_package.spans import NOISE_SPAN

FILES = {"train": os.environ["SPAN_DATA"]}
VOCABULARY = seqio.ByteVocabulary(extra_ids=100)
FEATURES = {
    "inputs": seqio.Feature(VOCABULARY, add_eos=True),
    "targets": seqio.Feature(VOCABULARY, add_eos=True),
}


@seqio.map_over_dataset
def to_text(line):
    return {"inputs": "", "targets": line}


@seqio.map_over_dataset
def take_length(example, sequence_length):
    """As many ids as the inputs may have, before a third of them goes to the targets."""
    return {"targets": example["targets"][: sequence_length["inputs"]]}


@seqio.map_over_dataset(num_seeds=1)
def corrupt_spans(example, output_features, seed):
    ids = example["targets"]
    start = tf.random.stateless_uniform([], seed, 0, NOISE_SPAN, tf.int32)
    noise = (tf.range(tf.size(ids)) + start) % (3 * NOISE_SPAN) < NOISE_SPAN
    size = output_features["targets"].vocabulary.vocab_size
    return {
        "inputs": with_sentinels(ids, noise, size),
        "targets": with_sentinels(ids, ~noise, size),
    }


def with_sentinels(ids, hidden, size):
    """One sentinel for each hidden span, the last id for the first span."""
    follows = hidden & tf.concat([[False], hidden[:-1]], 0)
    first = hidden & ~follows
    sentinels = size - tf.cumsum(tf.cast(first, tf.int32))
    return tf.boolean_mask(tf.where(first, sentinels, ids), ~follows)


def add(name, preprocessors, features=FEATURES):
    seqio.TaskRegistry.add(
        name,
        source=seqio.TextLineDataSource(FILES),
        preprocessors=[to_text, *preprocessors],
        output_features=features,
    )


add(
    "spans:bytes",
    [seqio.preprocessors.tokenize, take_length, corrupt_spans, seqio.preprocessors.append_eos],
)
add("whole_lines", [copy_text := seqio.map_over_dataset(
    lambda example: {"inputs": example["targets"], "targets": example["targets"]}
), seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim])
add("cut_lines", [copy_text, seqio.preprocessors.tokenize, seqio.preprocessors.append_eos])
add("only_targets", [seqio.preprocessors.tokenize], {"targets": FEATURES["targets"]})
add("no_sentinels", [copy_text, seqio.preprocessors.tokenize], {
    name: seqio.Feature(seqio.ByteVocabulary()) for name in ("inputs", "targets")
})
seqio.MixtureRegistry.add("span_mixture", [("spans:bytes", 3), ("whole_lines", lambda task: 1)])
'''
LINES = [f"line {row} " + "abc" * (row % 12) for row in range(30)]
SPANS, WHOLE, CUT = "seqio:spans:bytes", "seqio:whole_lines", "seqio:cut_lines"
OTHERS = ("seqio:span_mixture", "seqio:only_targets", "seqio:no_sentinels", "seqio:whole_line")
LENGTHS = {"inputs": 24, "targets": 20}
TEXT = testing.make_task(
    "s:text", {"train": [{"text": f"t{row}", "answer": f"{row}"} for row in range(20)]}
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the user's package and its data."""
    folder = tmp_path_factory.mktemp("place")
    package = folder / "span_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "spans.py").write_text("NOISE_SPAN = 3\n")
    (package / "tasks.py").write_text(MODULE)
    (folder / "lines.txt").write_text("\n".join([*LINES, "", "last"]) + "\n")
    with pytest.MonkeyPatch.context() as patch, testing.temporary_registries():
        patch.syspath_prepend(str(folder))
        patch.setenv("SPAN_DATA", str(folder / "lines.txt"))
        yield folder
        for name in [name for name in sys.modules if name.startswith("span_package")]:
            del sys.modules[name]


def make_config(place, **changes):
    values = {
        "mixture": SPANS,
        "modules": (),
        "vocabulary": "bytes+100",
        "inputs_length": LENGTHS["inputs"],
        "targets_length": LENGTHS["targets"],
        "batch_size": 4,
        "block_size": 32,
        "seqio_modules": ("span_package.tasks",),
        "prepared_dir": str(place / "prepared"),
    }
    return DataConfig(**{**values, **changes})


def prepared(config, names, mixtures=(), num_processes=0):
    """The catalog and store of a run, and what became of its splits."""
    store = loading.open_store(config)
    with testing.task_module("seqio_text", [TEXT], mixtures):
        config = dataclasses.replace(config, modules=("seqio_text",))
        catalog = loading.load_catalog(config, store, names)
    wanted = loading.splits_needed(catalog, [(name, "train") for name in names])
    tasks = [(catalog.tasks[name], splits) for name, splits in wanted]
    report = prepare_lib.prepare(tasks, store, pathlib.Path(), num_processes=num_processes)
    return catalog, store, report


@pytest.fixture(scope="module")
def ready(place):
    """The store with all that the tests ask for, prepared by processes of its own."""
    config = make_config(place)
    names = [SPANS, WHOLE, CUT, *OTHERS]
    empty = catalog_lib.Catalog(modules=(), tasks={}, mixtures={})
    seqio_tasks.extend(empty, names, config, loading.open_store(config))
    catalog, store, report = prepared(config, [SPANS, WHOLE, CUT], num_processes=1)
    report.raise_if_failed()
    seqio_modules.import_all(config.seqio_modules)
    return types.SimpleNamespace(catalog=catalog, store=store)


def tokenized(ready, name, vocabulary="bytes+100"):
    bound = loading.bind_mixture(ready.catalog, ready.store, name, split="train")
    (member,) = bound.members
    tokenizer = tokenize.Tokenizer(
        vocabulary_lib.load(vocabulary), inputs_length=24, targets_length=20, seed=0
    )
    return tokenizer.tokenize(
        [prompts.Request(member, row, 0) for row in range(len(member.reader))]
    )


def seqio_rows(name):
    dataset = seqio.get_mixture_or_task(name.removeprefix("seqio:")).get_dataset(
        LENGTHS, "train", shuffle=False, seed=0
    )
    return [(e["inputs"].tolist(), e["targets"].tolist()) for e in dataset.as_numpy_iterator()]


# ---- the same ids


@pytest.mark.parametrize("name", [SPANS, WHOLE, CUT])
def test_ids_equal_those_that_seqio_trains_on(ready, name):
    kept = [pair for pair in seqio_rows(name) if all(pair)]
    assert [(one.inputs, one.targets) for one in tokenized(ready, name)] == kept
    assert len(kept) > 25


def test_span_corruption_by_hand(ready):
    """Inputs and targets together hold the line, each span once, with the same sentinels in both."""
    vocabulary = vocabulary_lib.load("bytes+100")
    one = tokenized(ready, SPANS)[5]
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


def test_rows_too_long_lose_their_end_as_in_seqio_and_are_counted(ready):
    found = tokenized(ready, CUT)
    texts = [*LINES, "", "last"]
    assert [one.cut for one in found] == [len(text) + 1 > 20 for text in texts]
    assert all(len(one.targets) <= 20 and len(one.inputs) <= 24 for one in found)
    assert not any(one.cut for one in tokenized(ready, WHOLE))


def test_rows_without_ids_are_dropped_and_counted(ready):
    manifest = ready.store.manifest(ready.catalog.task(CUT), "train")
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


# ---- mixtures


def test_a_seqio_mixture_brings_its_rates(place, ready):
    catalog, store, report = prepared(make_config(place), ["seqio:span_mixture"])
    assert {result.status for result in report.results} == {"fresh"}
    bound = loading.bind_mixture(catalog, store, "seqio:span_mixture", split="train")
    shares = dict(zip([member.name for member in bound.members], bound.rates, strict=True))
    assert shares == {SPANS: 0.75, WHOLE: 0.25}


def test_text_and_ids_mix_and_pack_together(place, ready):
    mixture = Mixture(name="s_both", rates={"s:text": 1, SPANS: proportional(), CUT: equal()})
    config = make_config(place, mixture="s_both")
    catalog, store, report = prepared(config, ["s_both"], [mixture])
    report.raise_if_failed()
    bound = loading.bind_mixture(catalog, store, "s_both", split="train")
    assert [member.name for member in bound.members] == ["s:text", SPANS, CUT]
    assert bound.rates == pytest.approx((1 / 34, 32 / 34, 1 / 34))
    vocabulary = vocabulary_lib.load("bytes+100")
    dataset = loading.train_dataset(bound, config, vocabulary, seed=0)
    batch = next(iter(dataset))
    assert set(np.unique(batch["decoder_task_ids"])) <= {-1, 0, 1, 2}
    assert set(np.unique(batch["decoder_template_ids"])) == {-1, 0}
    assert dataset.packer.counts.cut[2] <= dataset.packer.counts.examples[2]
    known = {tuple(one.targets) for one in tokenized(ready, SPANS)}
    for tokens, segments, tasks in zip(
        batch["decoder_target_tokens"],
        batch["decoder_segment_ids"],
        batch["decoder_task_ids"],
        strict=True,
    ):
        for segment in set(segments[tasks == 1]):
            assert tuple(tokens[segments == segment]) in known


def test_a_pattern_never_brings_ids(place, ready):
    mixture = Mixture(name="s_all", rates={"*:*": equal()})
    catalog, _, _ = prepared(make_config(place), [SPANS, "s_all"], [mixture])
    assert catalog.members("s_all") == ("s:text",)


def test_both_ways_of_seqio_agree_on_a_mixture(place, ready):
    """The mixture of text and ids, published: SeqIO's shares are those of training, its ids SeqIO's own."""
    mixture = Mixture(name="s_published", rates={"s:text": 1, SPANS: 2, CUT: proportional(cap=8)})
    features = seqio_features.features(vocabulary_lib.load("bytes+100"))
    with testing.task_module("seqio_published", [TEXT], [mixture]):
        arguments = {
            "seqio_modules": ("span_package.tasks",),
            "prepared_dir": str(place / "prepared"),
        }
        with pytest.raises(ValueError, match="needs lengths"):
            registry.register(["seqio_published"], features, **arguments)
        names = registry.register(["seqio_published"], features, lengths=LENGTHS, **arguments)
        assert set(names) == {"s_published", "s:text"}
        found = seqio.get_mixture_or_task("s_published")
        rates = {task.name: found.get_rate(task) for task in found.tasks}
    catalog, store, _ = prepared(make_config(place), ["s_published"], [mixture])
    bound = loading.bind_mixture(catalog, store, "s_published", split="train")
    ours = {
        registry.seqio_name(member.name): rate
        for member, rate in zip(bound.members, bound.rates, strict=True)
    }
    assert rates == pytest.approx(ours)
    assert ours == pytest.approx({"s:text": 1 / 11, "spans:bytes": 2 / 11, "cut_lines": 8 / 11})


# ---- the store


def test_other_lengths_and_vocabularies_have_their_own_rows(place, ready):
    config = make_config(place, inputs_length=12)
    catalog, store, report = prepared(config, [SPANS])
    assert [result.status for result in report.results] == ["prepared"]
    bound = loading.bind_mixture(catalog, store, SPANS, split="train")
    assert max(len(row["inputs"].split()) for row in bound.members[0].reader.fetch(range(32))) <= 12
    _, _, report = prepared(make_config(place), [SPANS])
    assert [result.status for result in report.results] == ["fresh"]


def test_a_changed_file_or_module_is_prepared_anew(place, ready):
    shutil.copytree(place / "prepared", place / "changing")
    config = make_config(place, prepared_dir=str(place / "changing"))
    assert prepared(config, [CUT])[2].results[0].status == "fresh"
    before = (place / "lines.txt").stat()
    text = (place / "lines.txt").read_text()
    try:
        os.utime(place / "lines.txt", ns=(1, 1))  # as after a fresh copy
        assert prepared(config, [CUT])[2].results[0].status == "fresh"
        (place / "lines.txt").write_text(text + "new\n")
        assert prepared(config, [CUT])[2].results[0].status == "prepared"
    finally:
        (place / "lines.txt").write_text(text)
        os.utime(place / "lines.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    before = seqio_modules.source_fingerprint(("span_package.tasks",))
    spans = place / "span_package" / "spans.py"
    spans.write_text("NOISE_SPAN = 3  # changed\n")
    try:
        assert seqio_modules.source_fingerprint(("span_package.tasks",)) != before
        assert prepared(config, [CUT])[2].results[0].status == "prepared"
    finally:
        spans.write_text("NOISE_SPAN = 3\n")


def test_a_module_or_file_that_is_not_here_has_no_fingerprint(place, ready):
    assert seqio_modules.source_fingerprint(("span_package.tasks",)) is not None
    assert seqio_modules.source_fingerprint(("span_package.nowhere",)) is None
    assert seqio_modules.source_fingerprint(("nowhere.at.all",)) is None
    gone = dataclasses.replace(
        ready.catalog.task(CUT).source, files={"train": (str(place / "gone.txt"),)}
    )
    assert gone.fingerprint("train", place) is None
    assert gone.content_sha256("train", place) is None


# ---- errors


def test_a_split_that_is_missing_raises(place, ready):
    with pytest.raises(KeyError, match=r"'seqio:whole_lines' is asked for the split 'test'"):
        loading.check_split(ready.catalog, WHOLE, "test")


def test_an_unknown_name_is_explained(place, ready):
    catalog = loading.load_catalog(make_config(place), ready.store, ["seqio:whole_line"])
    with pytest.raises(KeyError, match="seqio:whole_line"):
        catalog.members("seqio:whole_line")
    assert "do not register 'whole_line'" in " ".join(catalog.problems)
    assert "Did you mean 'whole_lines'" in " ".join(catalog.problems)


def test_a_missing_module_is_asked_for(place):
    config = make_config(place, seqio_modules=())
    mixture = Mixture(name="s_needs", rates={SPANS: 1})
    with testing.task_module("seqio_needs", [TEXT], [mixture]):
        catalog = loading.load_catalog(
            dataclasses.replace(config, modules=("seqio_needs",)),
            loading.open_store(config),
            ["s_needs"],
        )
    with pytest.raises(KeyError, match=r"needs the module that registers it in DataConfig\.seqio_"):
        catalog.members("s_needs")


def test_a_module_that_cannot_be_imported_is_named(place, tmp_path):
    config = make_config(
        place, seqio_modules=("span_package.nowhere",), prepared_dir=str(tmp_path / "empty")
    )
    with pytest.raises(ValueError, match=r"seqio_modules names 'span_package\.nowhere', which can"):
        loading.load_catalog(config, loading.open_store(config), [SPANS])


def test_another_vocabulary_is_refused(place, ready):
    (result,) = prepared(make_config(place), ["seqio:no_sentinels"])[2].results
    assert "uses the vocabulary" in result.error
    assert "Set DataConfig.vocabulary to it" in result.error
    with pytest.raises(ValueError, match="Make one first, with flantune vocab"):
        prepared(make_config(place, vocabulary="sentencepiece:500"), [SPANS])
    bound = loading.bind_mixture(ready.catalog, ready.store, SPANS, split="train")
    with pytest.raises(ValueError, match="whose content is not that of the run's vocabulary"):
        loading.train_dataset(bound, make_config(place), vocabulary_lib.load("bytes"), seed=0)


def test_a_task_without_inputs_is_refused(place, ready):
    (result,) = prepared(make_config(place), ["seqio:only_targets"])[2].results
    assert "has no feature 'inputs'" in result.error


def test_settings_are_refused(ready):
    with pytest.raises(ValueError, match="asks for a setting, but its rows are ids"):
        loading.bind_mixture(ready.catalog, ready.store, SPANS + "#no_options", split="train")


# ---- lint


def test_lint_checks_the_seqio_tasks_that_a_run_reaches(place, ready):
    mixture = Mixture(name="s_linted", rates={"s:text": 1, CUT: 1, "seqio:whole_line": 1})
    config = make_config(place, mixture="s_linted", modules=("seqio_linted",))
    with testing.task_module("seqio_linted", [TEXT], [mixture]):
        report = lint_job.lint(data=config)
    assert report.splits == {"s:text": "train", CUT: "train"}
    found = {one.code: one.message for one in report.findings if one.task == CUT}
    cut = sum(len(line) + 1 > LENGTHS["targets"] for line in LINES)
    assert found["cut_ids"].startswith(f"{cut} of 32 rows lose the end")
    assert "Did you mean 'whole_lines'" in report.skipped["seqio:whole_line"]
    assert set(lint_job.lint(data=make_config(place), tasks=SPANS).splits) == {SPANS}


# ---- the whole way


RUN = testing.run_file(
    {
        "DataConfig.mixture": "both_tasks",
        "DataConfig.modules": ("span_mixtures",),
        "DataConfig.seqio_modules": ("span_package.tasks",),
        "DataConfig.vocabulary": "bytes+100",
        "DataConfig.inputs_length": 24,
        "DataConfig.targets_length": 20,
        "DataConfig.batch_size": 4,
        "DataConfig.block_size": 16,
        "CheckpointConfig.save_every_steps": 3,
        "train.num_steps": 3,
        "train.log_every_steps": 1,
    },
    dataclasses.replace(testing.MODEL, vocab_size=368),
)
MIXTURES = """
from flantune import metrics
from flantune.data import InstructionTask, Mixture, sources
from flantune.prompting import Template


def to_fields(row):
    return row


TASKS = (
    InstructionTask(
        name="s:words",
        cluster="words",
        source=sources.InMemory(train=[{"text": "a", "answer": "b"}, {"text": "c", "answer": "d"}]),
        to_fields=to_fields,
        templates=(Template(inputs="Say {text}"),),
        metrics=(metrics.exact_match,),
    ),
)
MIXTURES = (Mixture(name="both_tasks", rates={"s:words": 1, "seqio:spans:bytes": 3}),)
"""
# Put on the path of every process of a training host: TensorFlow and SeqIO cannot be imported there.
WITHOUT_TENSORFLOW = """
import sys

for name in ("tensorflow", "tensorflow_text", "tensorflow_datasets", "seqio"):
    sys.modules[name] = None
"""


READ = """
import jaxtyping  # as in the process that prepared: fingerprints see the checks

jaxtyping.install_import_hook("flantune", "beartype.beartype")
import pathlib
import sys

from flantune.configs import DataConfig
from flantune.data import loading, prepare, vocabulary

config = DataConfig(
    mixture=sys.argv[1], modules=(), vocabulary="bytes+100", inputs_length=24, targets_length=20,
    batch_size=4, block_size=32, seqio_modules=("span_package.tasks",), prepared_dir=sys.argv[2],
)
store = loading.open_store(config)
catalog = loading.load_catalog(config, store, [config.mixture])
wanted = loading.splits_needed(catalog, [(config.mixture, "train")])
tasks = [(catalog.tasks[name], splits) for name, splits in wanted]
print({result.status for result in prepare.prepare(tasks, store, pathlib.Path()).results})
bound = loading.bind_mixture(catalog, store, config.mixture, split="train")
dataset = loading.train_dataset(bound, config, vocabulary.load("bytes+100"), seed=0)
print(next(iter(dataset))["encoder_input_tokens"].shape)
"""


@pytest.fixture
def host(tmp_path):
    """A folder that, on the path, makes a training host: no TensorFlow, no SeqIO, and no user's package."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "sitecustomize.py").write_text(WITHOUT_TENSORFLOW)
    return tmp_path / "host"


def run(folder, path, *arguments):
    source = pathlib.Path(seqio_tasks.__file__).parents[2]
    environment = {
        **os.environ,
        "FLANTUNE_PREPARED_DIR": str(folder / "prepared"),
        "PYTHONPATH": os.pathsep.join(map(str, (path, source))),
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def test_prepared_ids_are_read_without_tensorflow_seqio_and_the_module(ready, place, host):
    done = run(host.parent, host, "-c", READ, "seqio:span_mixture", str(place / "prepared"))
    assert done.stdout.splitlines() == ["{'fresh'}", "(4, 24)"]


@pytest.mark.slow
def test_it_trains_without_tensorflow_once_it_is_prepared(place, host, tmp_path):
    (tmp_path / "run.gin").write_text(RUN)
    (tmp_path / "span_mixtures.py").write_text(MIXTURES)
    run(tmp_path, place, "-m", "flantune", "prepare", "run.gin")
    done = run(tmp_path, host, "-m", "flantune", "train", "run.gin")
    assert "75.00 %  seqio:spans:bytes (32 rows)" in done.stderr
    lines = (tmp_path / "runs" / "run" / "metrics.jsonl").read_text().splitlines()
    assert any("train/loss" in json.loads(line) for line in lines)
