"""Rows that packing needs, and its speed: ours, best-fit over 64 open rows, SeqIO's, Grain's two, and no packing.

The same examples in the same order for all, rows of 1,024 + 256 tokens. Three mixtures: a generated one with a long
tail and, where the real data lies beside the checkout, Natural Instructions and everything that is there. The bound is
the number of rows that all tokens fill on the fuller side. Speeds are of one process, from ids in memory to arrays.

    python tests/benchmarks/packing.py [--blocks 48]
"""

import argparse
import dataclasses
import importlib
import os
import pathlib
import pkgutil
import tempfile
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import rich.console
import rich.table

from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib, proportional
from flantune.data.input import loading, mixture_vocabulary, packing
from flantune.data.store import prepare
from flantune.data.vocabularies import vocabulary as vocabulary_lib
import tasks

INPUTS, TARGETS = 1024, 256
LENGTHS = {"inputs": INPUTS, "targets": TARGETS}
ROW = {"inputs_length": INPUTS, "targets_length": TARGETS}
BLOCK, OPEN_ROWS = 1024, 64
SHORT_BLOCKS = 4  # of a lane's start (`data/input/schedule.py`)
REAL_DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"


def long_tail(blocks):
    """Log-normal lengths with the medians and means of a T0 mixture before it is cut to a row.

    Inputs 91 and 215, targets 9 and 28 tokens. With that median and mean a log-normal distribution has its 99th
    percentile at 1,920 and 300 tokens; the real one has 1,840 and 442. The two sides are drawn independently.
    """
    rng = np.random.default_rng(0)
    lengths = []
    for median, mean, length in ((91, 215, INPUTS), (9, 28, TARGETS)):
        sigma = np.sqrt(2 * np.log(mean / median))
        drawn = rng.lognormal(np.log(median), sigma, blocks * BLOCK).round()
        lengths.append(np.clip(drawn, 2, length).astype(int))
    ids = np.full(INPUTS, 7, np.int32)  # lengths are all that packing looks at
    pairs = zip(*(side.tolist() for side in lengths), strict=True)
    examples = [packing.Example(ids[:a], ids[:b], 0, 0, 0, 0) for a, b in pairs]
    return [examples[start : start + BLOCK] for start in range(0, len(examples), BLOCK)]


def real_mixtures(patterns, blocks):
    """The first blocks, as training gets them, of all tasks that each pattern names, at the rates of their rows."""
    names = [f"tasks.{module.name}" for module in pkgutil.iter_modules(tasks.__path__)]
    modules = tuple(n for n in names if hasattr(importlib.import_module(n), "TASKS"))
    modules = tuple(name for name in modules if name != "tasks.quickstart")  # generated rows
    with tempfile.TemporaryDirectory() as root:
        config = DataConfig(
            mixture="",
            modules=modules,
            vocabulary="sentencepiece:32000",
            data_dir=str(REAL_DATA),
            prepared_dir=root,
            batch_size=1,
            lanes=1,
            block_size=BLOCK,
            **ROW,
        )
        store = loading.open_store(config)
        catalog = catalog_lib.load(modules, store, REAL_DATA)
        wanted = [(t, ("train",)) for t in catalog.tasks.values() if "train" in t.source.splits]
        report = prepare.prepare(wanted, store, REAL_DATA)
        there = {result.task for result in report.results if result.status != "failed"}
        catalog = dataclasses.replace(
            catalog,
            tasks={name: task for name, task in catalog.tasks.items() if name in there},
            mixtures={
                name: Mixture(name=name, rates={pattern: proportional(cap=None)})
                for name, pattern in patterns.items()
            },
        )
        for name in patterns:
            bound = loading.bind_mixture(catalog, store, name, split="train")
            model = mixture_vocabulary.trained(store, config, bound, 32_000)
            vocabulary = vocabulary_lib.SentencePieceVocabulary(model, "vocabulary.model")
            packer = loading.train_dataset(bound, config, vocabulary, seed=0).packer
            yield (
                name,
                [packer.examples(block) for block in range(SHORT_BLOCKS, SHORT_BLOCKS + blocks)],
            )


def ours(blocks):
    rows = 0
    for examples in blocks:
        assignment = packing.assign_rows(
            [len(example.inputs) for example in examples],
            [len(example.targets) for example in examples],
            **ROW,
        )
        batch = packing.make_rows(
            [[examples[number] for number in row] for row in assignment], **ROW
        )
        rows += len(batch["encoder_input_tokens"])
    return rows


def best_fit(blocks):
    """One stream without blocks: each example into the fullest of 64 open rows, else the fullest makes place."""
    size = np.array([INPUTS, TARGETS])
    room, opened, rows = np.zeros((OPEN_ROWS, 2), int), 0, 0
    for example in (example for examples in blocks for example in examples):
        need = (len(example.inputs), len(example.targets))
        left = room[:opened] - need
        slack = np.where((left < 0).any(axis=1), np.inf, (left / size).sum(axis=1))
        row = int(np.argmin(slack)) if opened else 0
        if not opened or np.isinf(slack[row]):
            rows += 1
            row = opened if opened < OPEN_ROWS else int(np.argmin((room / size).sum(axis=1)))
            opened = min(opened + 1, OPEN_ROWS)
            room[row] = size
        room[row] -= need
    return rows


def seqio_rows(blocks):
    """Batches of the feature converter of an encoder-decoder."""
    import seqio
    import tensorflow as tf

    examples = [example for block in blocks for example in block]

    def ragged(side):
        arrays = [getattr(example, side) for example in examples]
        lengths = [len(array) for array in arrays]
        return tf.RaggedTensor.from_row_lengths(np.concatenate(arrays), lengths)

    dataset = tf.data.Dataset.from_tensor_slices({side: ragged(side) for side in LENGTHS})
    converter = seqio.EncDecFeatureConverter(pack=True)
    start = time.perf_counter()
    rows = sum(1 for _ in converter(dataset, LENGTHS).as_numpy_iterator())
    return rows, time.perf_counter() - start


def grain_rows(blocks, packer):
    import grain

    pairs = [
        {"inputs": example.inputs, "targets": example.targets}
        for examples in blocks
        for example in examples
    ]
    options = grain.ReadOptions(num_threads=0, prefetch_buffer_size=0)
    source = grain.MapDataset.source(pairs).to_iter_dataset(options)
    packed = packer(source, length_struct=LENGTHS, num_packing_bins=OPEN_ROWS)
    return sum(1 for _ in packed)


def timed(function, *arguments):
    start = time.perf_counter()
    rows = function(*arguments)
    return rows, time.perf_counter() - start


def print_table(name, blocks):
    import grain

    examples = [example for block in blocks for example in block]
    bounds = [bound(block) for block in (*blocks, examples)]
    ways = {
        "flantune, blocks of 1,024": timed(ours, blocks),
        f"best-fit, {OPEN_ROWS} open rows": (best_fit(blocks), None),
        "Grain best-fit, 64 bins": timed(
            grain_rows, blocks, grain.experimental.BestFitPackIterDataset
        ),
        "Grain first-fit, 64 bins": timed(
            grain_rows, blocks, grain.experimental.FirstFitPackIterDataset
        ),
        "SeqIO pack=True": seqio_rows(blocks),
        "no packing": (len(examples), None),
    }
    table = rich.table.Table(title=f"{name}: {len(examples):,} examples, bound {bounds[-1]:,} rows")
    for column in ("", "rows", "x bound", "inputs fill", "targets fill", "examples/s"):
        table.add_column(column, justify="right" if column else "left")
    tokens = [sum(len(getattr(example, side)) for example in examples) for side in LENGTHS]
    for way, (rows, seconds) in ways.items():
        fill = [
            f"{100 * n / (rows * side):.1f} %"
            for n, side in zip(tokens, LENGTHS.values(), strict=True)
        ]
        speed = f"{len(examples) / seconds:,.0f}" if seconds else ""
        table.add_row(way, f"{rows:,}", f"{rows / bounds[-1]:.4f}", *fill, speed)
    rich.console.Console(width=100).print(table)
    rows = ways["flantune, blocks of 1,024"][0]
    print(
        f"The sum of the blocks' own bounds is {sum(bounds[:-1]):,}: x {rows / sum(bounds[:-1]):.4f}\n"
    )


def bound(examples):
    return max(
        -(-sum(len(getattr(example, side)) for example in examples) // length)
        for side, length in LENGTHS.items()
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=48)
    blocks = parser.parse_args().blocks
    print_table("Long tail (log-normal)", long_tail(blocks))
    if not REAL_DATA.is_dir():
        print("No real data beside this checkout.")
        return
    patterns = {"Natural Instructions": "natural_instructions:*", "All the real data": "*"}
    for name, found in real_mixtures(patterns, blocks):
        print_table(name, found)


if __name__ == "__main__":
    main()
