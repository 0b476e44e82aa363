"""A user's package of plain SeqIO tasks, and its prepared store: what the tests of such tasks share."""

import dataclasses
import pathlib

from flantune import testing
from flantune.configs import DataConfig
from flantune.data.input import loading, prompts, tokenize
from flantune.data.store import prepare as prepare_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib

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


def write_package(folder):
    """Writes the package and its data."""
    package = folder / "span_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "spans.py").write_text("NOISE_SPAN = 3\n")
    (package / "tasks.py").write_text(MODULE)
    (folder / "lines.txt").write_text("\n".join([*LINES, "", "last"]) + "\n")


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


def tokenized(ready, name, vocabulary="bytes+100"):
    bound = loading.bind_mixture(ready.catalog, ready.store, name, split="train")
    (member,) = bound.members
    tokenizer = tokenize.Tokenizer(
        vocabulary_lib.load(vocabulary), inputs_length=24, targets_length=20, seed=0
    )
    return tokenizer.tokenize(
        [prompts.Request(member, row, 0) for row in range(len(member.reader))]
    )
