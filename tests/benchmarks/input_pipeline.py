"""Tokens per second and core from prepared rows to packed rows: flantune's pipeline beside SeqIO's, in turn.

    python -m tests.benchmarks.input_pipeline [--data_dir DATA]

Same tasks, wordings, SentencePiece vocabulary and lengths; every measurement is a process of its own on one core.

- flantune: fetch, render, tokenise, pack.
- seqio: the same tasks as `registry.register` publishes them, through EncDecFeatureConverter(pack=True). It calls the same
  Python renderer through a generator.
- seqio_text: SeqIO with nothing to render: text made beforehand and held in memory, tokenised and packed. No SeqIO
  pipeline over these tasks can be faster.

Without a data directory the generated quickstart tasks stand in; with one, Natural Instructions. Prints medians, ratios of
the same round, and how many hosts of four TPU chips one core would feed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from flantune import registry, testing
from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, mixture_vocabulary, prompts
from flantune.data.store import prepare

ROUNDS, BLOCKS = 5, 8
_FIRST = 8  # a lane's first blocks are short
SIDES = ("flantune", "seqio", "seqio_text")
# Slot-tokens per second that four v5e chips take at half of their peak, by model and lengths (roofline, matmuls only).
DEMAND = {"xxl": 11e3, "xl": 41e3, "base": 577e3, "small": 2.3e6}


def make_config(data_dir: str | None, root: pathlib.Path) -> DataConfig:
    """The mixture, with lengths that fit it."""
    real = data_dir is not None
    return DataConfig(
        mixture="super_ni_eval20" if real else "quickstart_train",
        modules=("tasks.natural_instructions" if real else "tasks.quickstart", "tasks.mixtures"),
        vocabulary=str(root / "words.model"),
        inputs_length=1024 if real else 128,
        targets_length=256 if real else 32,
        batch_size=64,
        lanes=1,
        block_size=1024,
        data_dir=data_dir or str(root),
        prepared_dir=str(root / "store"),
    )


def bind(config: DataConfig) -> tuple[catalog_lib.Catalog, loading.BoundMixture]:
    store = loading.open_store(config)
    catalog = catalog_lib.load(config.modules, store, loading.data_dir(config))
    wanted = loading.splits_needed(catalog, [(config.mixture, "train")])
    tasks = [(catalog.tasks[name], splits) for name, splits in wanted]
    prepare.prepare(tasks, store, loading.data_dir(config)).raise_if_failed()
    return catalog, loading.bind_mixture(catalog, store, config.mixture, split="train")


def flantune_side(config: DataConfig) -> dict[str, float]:
    _, bound = bind(config)
    packer = loading.train_dataset(bound, config, _words(config), seed=0).packer
    packer.rows(_FIRST - 1)  # opens readers and fills caches
    counts = packer.counts
    before = counts.input_tokens.sum() + counts.target_tokens.sum()
    start = time.perf_counter()
    rows = 0
    for block in range(_FIRST, _FIRST + BLOCKS):
        packed = packer.rows(block)
        rows += len(packed)
        for first in range(0, len(packed), config.batch_size):
            packer.batch(packed[first : first + config.batch_size])
    seconds = time.perf_counter() - start
    tokens = counts.input_tokens.sum() + counts.target_tokens.sum() - before
    return {"tokens": float(tokens / seconds), "rows": rows / seconds}


def _words(config: DataConfig):
    from flantune.data.vocabularies import vocabulary

    return vocabulary.load(config.vocabulary)


def _measure_seqio(dataset, config: DataConfig) -> dict[str, float]:
    import seqio

    lengths = {"inputs": config.inputs_length, "targets": config.targets_length}
    converted = seqio.EncDecFeatureConverter(pack=True)(dataset, task_feature_lengths=lengths)
    iterator = converted.as_numpy_iterator()
    for _ in range(20):  # the graph's start-up is not counted
        next(iterator)
    tokens, rows, start = 0, 0, time.perf_counter()
    while time.perf_counter() - start < 8:
        row = next(iterator)
        tokens += int((row["encoder_segment_ids"] > 0).sum())
        tokens += int((row["decoder_segment_ids"] > 0).sum())
        rows += 1
    seconds = time.perf_counter() - start
    return {"tokens": tokens / seconds, "rows": rows / seconds}


def _features(config: DataConfig):
    import seqio

    words = seqio.SentencePieceVocabulary(config.vocabulary)
    return {name: seqio.Feature(words) for name in ("inputs", "targets")}


def seqio_side(config: DataConfig) -> dict[str, float]:
    import seqio

    with testing.temporary_registries():
        registry.register(
            config.modules,
            _features(config),
            data_dir=config.data_dir,
            prepared_dir=config.prepared_dir,
        )
        dataset = seqio.get_mixture_or_task(config.mixture).get_dataset(
            {"inputs": config.inputs_length, "targets": config.targets_length},
            "train",
            shuffle=False,
            num_epochs=None,
        )
        return _measure_seqio(dataset, config)


def seqio_text_side(config: DataConfig) -> dict[str, float]:
    import seqio
    import tensorflow as tf

    _, bound = bind(config)
    schedule = loading.make_schedule(bound, config, 0)
    requests = [
        prompts.Request(bound.members[visit.task], visit.row, visit.epoch)
        for block in range(BLOCKS)
        for visit in schedule.block(block)
    ]
    found = [prompt for prompt in prompts.render(requests, seed=0) if prompt]
    text = {
        "inputs": [prompt.inputs for prompt in found],
        "targets": [prompt.targets for prompt in found],
    }
    lengths = {"inputs": config.inputs_length, "targets": config.targets_length}
    features = _features(config)
    dataset = tf.data.Dataset.from_tensor_slices(text).repeat()
    dataset = seqio.preprocessors.tokenize(dataset, features, copy_pretokenized=False)
    dataset = seqio.preprocessors.append_eos_after_trim(dataset, features, lengths)
    return _measure_seqio(seqio.trim_dataset(dataset, lengths, features), config)


def run_side(side: str, data_dir: str | None, root: pathlib.Path) -> dict[str, float]:
    """One measurement in a process of its own, on one core."""
    command = [sys.executable, "-m", "tests.benchmarks.input_pipeline", "--side", side]
    command += ["--root", str(root), *(["--data_dir", data_dir] if data_dir else [])]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data_dir")
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--root", type=pathlib.Path)
    given = parser.parse_args()
    if given.side:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        sides = dict(zip(SIDES, (flantune_side, seqio_side, seqio_text_side), strict=True))
        print(json.dumps(sides[given.side](make_config(given.data_dir, given.root))))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        config = make_config(given.data_dir, root)
        _, bound = bind(config)
        model = mixture_vocabulary.trained(loading.open_store(config), config, bound, 4000)
        pathlib.Path(config.vocabulary).write_bytes(model)
        rounds = [
            {side: run_side(side, given.data_dir, root) for side in SIDES} for _ in range(ROUNDS)
        ]
    report(rounds, config)


def report(rounds: list[dict[str, dict[str, float]]], config: DataConfig) -> None:
    for side in SIDES:
        tokens = statistics.median(one[side]["tokens"] for one in rounds)
        ratio = statistics.median(one["flantune"]["tokens"] / one[side]["tokens"] for one in rounds)
        print(f"{side:12}{tokens:12,.0f} tokens/s per core   flantune / this {ratio:6.2f}")
    slots = config.inputs_length + config.targets_length
    slot_tokens = statistics.median(one["flantune"]["rows"] for one in rounds) * slots
    for model, demand in DEMAND.items():
        print(f"one core feeds {slot_tokens / demand:8.2f} hosts of four v5e chips with T5 {model}")


if __name__ == "__main__":
    main()
