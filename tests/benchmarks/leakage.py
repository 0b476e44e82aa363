"""Seconds to look for 20 k evaluation rows in the text of all training rows of the real data, and what is found.

Every row of Natural Instructions is trained on here, its test track too, and so are both splits of the chain-of-thought
sets, with answers and with reasoning. Evaluated are that test track, and test and validation splits of MMLU, BIG-Bench
Hard, GSM8K, CommonsenseQA, COPA, SST-2 and TREC. Then Natural Instructions alone, which has 155 k rows. Each once more
from what the store remembers.

    python tests/benchmarks/leakage.py ../shared/data [--rounds 3] [--all]
"""

import argparse
import pathlib
import statistics
import tempfile
import time

from flantune.audit.overlap import scan as overlap_scan
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading
from flantune.data.store import prepare, reader as store_lib
from tasks import natural_instructions, super_ni_test_tasks

MODULES = (
    "tasks.natural_instructions",
    "tasks.chain_of_thought",
    "tasks.commonsense_qa",
    "tasks.copa",
    "tasks.sst2",
    "tasks.trec",
    "tasks.mmlu",
    "tasks.bbh",
    "tasks.gsm8k",
)
EVALUATED = ("mmlu", "bbh", "gsm8k", "commonsense_qa", "copa", "sst2", "trec")


def members(catalog, store, wanted, templates):
    return [
        member
        for name, split in wanted
        for member in loading.bind_mixture(
            catalog, store, name, split=split, templates=templates
        ).members
    ]


def available(catalog, data_dir, families, splits):
    """(task, split) of the families whose files are there."""
    return [
        (task.name, split)
        for task in catalog.tasks.values()
        for split in splits
        if task.family in families
        and split in task.source.splits
        and task.source.fingerprint(split, data_dir) is not None
    ]


def clear(store):
    for file in (store.root / overlap_scan.FOLDER).iterdir():
        file.unlink()


def timed(store, evaluation, training, rounds):
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        scan = overlap_scan.scan(store, evaluation, training)
        seconds.append(time.perf_counter() - start)
        kept = time.perf_counter()
        overlap_scan.scan(store, evaluation, training)
        kept = time.perf_counter() - kept
        clear(store)
    rows = sum(one.rows for one in scan.evaluation)
    print(
        f"{rows:,} evaluation rows, {scan.training_rows:,} training rows: {statistics.median(seconds):.1f} s "
        f"(median of {[round(one, 1) for one in seconds]}); from the store {kept:.2f} s"
    )
    return scan


def show(scan, everything):
    pairs = {}
    for one in scan.overlaps:
        if one.evaluation.task != one.training:
            key = (one.evaluation.task.split(":")[0], one.training)
            if key[0] == natural_instructions.FAMILY:
                key = (one.evaluation.task, one.training)
            if one.evaluation.split != "test":
                continue
            found = pairs.setdefault(key, (set(), set()))
            found[0].update((one.evaluation, row) for row in one.found.by_ngram)
            found[1].update((one.evaluation, row) for row in one.found.by_text)
    for (evaluation, training), (ngram, text) in sorted(
        pairs.items(), key=lambda item: -len(item[1][0] | item[1][1])
    ):
        if everything or not evaluation.startswith(natural_instructions.FAMILY):
            print(
                f"{len(ngram | text):6,} rows ({len(ngram):,} by n-gram)  {evaluation}  in  {training}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data_dir", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--all", action="store_true", help="pairs within Natural Instructions too")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        store = store_lib.Store(root)
        catalog = catalog_lib.load(MODULES, store, given.data_dir)
        test_track = {f"{natural_instructions.FAMILY}:{n}" for n in super_ni_test_tasks.TEST_TASKS}
        ni = available(catalog, given.data_dir, {natural_instructions.FAMILY}, ("train", "test"))
        chain = available(catalog, given.data_dir, {"chain_of_thought"}, ("train", "validation"))
        exams = available(catalog, given.data_dir, EVALUATED, ("test", "validation"))
        exams += [pair for pair in ni if pair[0] in test_track and pair[1] == "test"]
        wanted = {}
        for name, split in (*ni, *chain, *exams):
            wanted.setdefault(name, []).append(split)
        prepare.prepare(
            [(catalog.tasks[name], splits) for name, splits in wanted.items()],
            store,
            given.data_dir,
        ).raise_if_failed()
        evaluation = members(catalog, store, exams, "all")
        reasoned = [(f"{name}#chain_of_thought", split) for name, split in chain]
        training = members(catalog, store, [*ni, *chain, *reasoned], "training")
        scan = timed(store, evaluation, training, given.rounds)
        timed(store, evaluation, training[: len(ni)], given.rounds)
        show(scan, given.all)


if __name__ == "__main__":
    main()
