"""Seconds from a prepared store of 1,800 tasks to the first batch, and bytes of the iterator's state with 64 lanes.

The tasks are generated: 100 rows of about 60 words and 10 wordings each, a SentencePiece vocabulary of 8,000 pieces, rows
of 1,024 + 256 tokens. Each round opens the store in a new process, as `flantune train` does before it compiles, and notes
the time after every step, from the start of the process. Prints medians.

    python tests/benchmarks/opening.py [--tasks 1800] [--rounds 5]
"""

import argparse
import functools
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROWS, TEMPLATES, WORDS, PIECES = 100, 10, 60, 8_000
MODULE, MIXTURE = "generated_tasks", "generated_mixture"
STATE_LIMIT_BYTES = 10_000


def words(seed, number):
    """Words that differ from row to row, of a few hundred in all."""
    found = []
    for _ in range(number):
        seed = (seed * 6_364_136_223_846_793_005 + 1_442_695_040_888_963_407) % 2**64
        first, second = seed >> 33, seed >> 45
        found.append(
            "bdfgklmnprst"[first % 12] + "aeiou"[second % 5] + "lnrst"[first % 5] * (seed >> 63)
        )
    return " ".join(found)


def rows(task):
    for row in range(ROWS):
        yield {"text": words(task * ROWS + row, WORDS), "answer": words(row, 5)}


def make_tasks(num_tasks):
    """Tasks of which no two share a wording."""
    from flantune import testing
    from flantune.prompting import Template

    return [
        testing.make_task(
            f"generated:task{number}",
            {"train": functools.partial(rows, number)},
            templates=[
                Template(inputs=f"Task {number}, wording {n}: {{text}}\n\nAnswer:")
                for n in range(TEMPLATES)
            ],
        )
        for number in range(num_tasks)
    ]


def make_config(root):
    from flantune.configs import DataConfig

    return DataConfig(
        mixture=MIXTURE,
        modules=(MODULE,),
        vocabulary=str(root / "vocabulary.model"),
        inputs_length=1024,
        targets_length=256,
        batch_size=64,
        lanes=64,
        data_dir=str(root),
        prepared_dir=str(root / "store"),
    )


def fill_store(root, num_tasks):
    """Prepares all tasks and trains the vocabulary."""
    from flantune import testing
    from flantune.data import Mixture, catalog as catalog_lib, proportional
    from flantune.data.input import loading, mixture_vocabulary
    from flantune.data.store import prepare

    config, tasks = make_config(root), make_tasks(num_tasks)
    store = loading.open_store(config)
    prepare.prepare([(task, ("train",)) for task in tasks], store, root).raise_if_failed()
    with testing.task_module(MODULE, tasks, [Mixture(name=MIXTURE, rates={"*": proportional()})]):
        catalog = catalog_lib.load(config.modules, store, root)
    bound = loading.bind_mixture(catalog, store, MIXTURE, split="train")
    model = mixture_vocabulary.trained(store, config, bound, PIECES)
    (root / "vocabulary.model").write_bytes(model)


def open_store(root, num_tasks, started):
    """Prints, as JSON, the seconds since `started` after each step, and the bytes of the state."""
    import grain  # noqa: F401  # training needs it, and JAX with it

    from flantune import testing
    from flantune.data import Mixture, catalog as catalog_lib, proportional
    from flantune.data.input import loading
    from flantune.data.store import prepare
    from flantune.data.vocabularies import vocabulary as vocabulary_lib

    times = {"process started, modules imported": time.time()}
    config, tasks = make_config(root), make_tasks(num_tasks)
    mixtures = [Mixture(name=MIXTURE, rates={"*": proportional()})]
    times["tasks made"] = time.time()
    store = loading.open_store(config)
    with testing.task_module(MODULE, tasks, mixtures):
        catalog = catalog_lib.load(config.modules, store, root)
    times["catalog loaded"] = time.time()
    wanted = [
        (catalog.tasks[name], s) for name, s in loading.splits_needed(catalog, [(MIXTURE, "train")])
    ]
    report = prepare.prepare(wanted, store, root)
    assert report.as_json()["fresh"] == num_tasks
    times["splits found fresh"] = time.time()
    bound = loading.bind_mixture(catalog, store, MIXTURE, split="train")
    times["manifests read, rates made"] = time.time()
    vocabulary = vocabulary_lib.load(config.vocabulary)
    dataset = loading.train_dataset(bound, config, vocabulary, seed=0)
    times["vocabulary loaded, schedule made"] = time.time()
    dataset.packer.examples(0)
    times["first block of one lane"] = time.time()
    iterator = iter(dataset)
    next(iterator)
    times["first batch of all 64 lanes"] = time.time()
    state = len(json.dumps(iterator.get_state()))
    print(json.dumps({"times": {k: v - started for k, v in times.items()}, "state_bytes": state}))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=1800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--open", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.open:
        folder, started = arguments.open
        open_store(pathlib.Path(folder), arguments.tasks, float(started))
        return
    with tempfile.TemporaryDirectory() as folder:
        fill_store(pathlib.Path(folder), arguments.tasks)
        command = [sys.executable, __file__, "--tasks", str(arguments.tasks), "--open", folder]
        results = []
        for _ in range(arguments.rounds):
            done = subprocess.run([*command, str(time.time())], check=True, stdout=subprocess.PIPE)
            results.append(json.loads(done.stdout))
    print(f"{arguments.tasks} tasks, {ROWS} rows and {TEMPLATES} templates each")
    before = 0.0
    for step in results[0]["times"]:
        seconds = statistics.median(result["times"][step] for result in results)
        print(f"{seconds:8.2f} s  (+{seconds - before:5.2f})  {step}")
        before = seconds
    state = results[0]["state_bytes"]
    print(f"state of 64 lanes: {state} bytes, {STATE_LIMIT_BYTES} allowed")


if __name__ == "__main__":
    main()
