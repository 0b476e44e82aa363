"""Whether the input starves a training step: tokens/s that it delivers, beside what T5 1.1 base takes on accelerators.

    python -m tests.benchmarks.input_rate --store STORE [--data_dir DATA] [--json FILE]

STORE is that of `gpu_against_transformers.py`. The input is what a run has: rendering, tokenising and packing in one thread
of one process, ahead of the step, on the cores that are there; a process for each host of a run delivers as much again. It
reads the store in the schedule's order and no model runs beside it.

The need is of slots, padding too, as a chip computes them: its bfloat16 peak by T5's FLOPs of a slot, at 100 % and at half of
the peak. A host of TPUs has four chips (v5e, v5p), one of GPUs has eight; the columns are of one chip.
"""

import argparse
import json
import os
import pathlib
import statistics
import tempfile
import time

from flantune.configs import DataConfig
from flantune.data.input import packing
from flantune.training import chips, flops
from tests.benchmarks import sizes, stored_rows

CHIPS = ("h100", "v5e", "v5p")
ROWS = 64
LENGTHS = ((512, 128), (1024, 256))
_WARM_UP = 8  # blocks


def deliver(data: DataConfig, seconds: float) -> dict[str, float]:
    """Rates of the pipeline in this process, in wall and processor time, after its first blocks."""
    source = stored_rows.packer(data)
    for block in range(_WARM_UP):
        source.rows(block)  # opens readers, fills caches
    before = source.counts.input_tokens.sum() + source.counts.target_tokens.sum()
    start, cpu, rows, block = time.perf_counter(), time.process_time(), 0, _WARM_UP
    while time.perf_counter() - start < seconds:
        packed = source.rows(block)
        block += 1
        rows += len(packed)
        for first in range(0, len(packed), data.batch_size):
            batch = source.batch(packed[first : first + data.batch_size])
            assert batch.keys() == set(packing.BATCH_KEYS)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    tokens = source.counts.input_tokens.sum() + source.counts.target_tokens.sum() - before
    slots = rows * (data.inputs_length + data.targets_length)
    return {
        "tokens_per_s": float(tokens / wall_s),
        "slots_per_s": slots / wall_s,
        "slots_per_cpu_s": slots / cpu_s,
        "filled": float(tokens / slots),
    }


def needed(chip: str, inputs_length: int, targets_length: int) -> float:
    """Slots that T5 1.1 base takes in a second at the chip's peak."""
    model = sizes.of_t5_1_1("base")
    row = flops.train_flops(
        model, rows=1, inputs_length=inputs_length, targets_length=targets_length
    )
    slots = flops.slot_tokens(rows=1, inputs_length=inputs_length, targets_length=targets_length)
    return chips.CHIPS[chip].peak_flops / row * slots


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=pathlib.Path, help="none: generated tasks, for one time")
    parser.add_argument("--data_dir", help="where natural_instructions/ lies, to make the store")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--json", type=pathlib.Path, help="where all figures are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or pathlib.Path(folder)
        rows = stored_rows.rows_of(store, given.data_dir)
        stored_rows.make(rows, store, given.data_dir)
        found = measure(rows, store, given.rounds, given.seconds)
    print(f"{rows.mixture}, {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    for line in found:
        report(line)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


def measure(rows: stored_rows.Rows, store: pathlib.Path, rounds: int, seconds: float) -> list[dict]:
    """For each row shape, measured in turn: medians of the rounds, and what every chip takes."""
    configs = {
        lengths: stored_rows.config(
            rows, store, inputs_length=lengths[0], targets_length=lengths[1], batch_size=ROWS
        )
        for lengths in LENGTHS
    }
    every = [
        {lengths: deliver(data, seconds) for lengths, data in configs.items()}
        for _ in range(rounds)
    ]
    return [
        {"inputs_length": lengths[0], "targets_length": lengths[1]}
        | {
            name: statistics.median(one[lengths][name] for one in every)
            for name in every[0][lengths]
        }
        | {"needed": {chip: needed(chip, *lengths) for chip in CHIPS}}
        for lengths in LENGTHS
    ]


def report(line: dict) -> None:
    print(
        f"{line['inputs_length']}/{line['targets_length']}: {line['tokens_per_s']:,.0f} tokens/s, {line['slots_per_s']:,.0f} "
        f"slots/s, {line['filled']:.1%} filled; {line['slots_per_cpu_s']:,.0f} slots per second of processor time"
    )
    for chip, slots in line["needed"].items():
        cores = slots / line["slots_per_cpu_s"]
        print(
            f"    {chip:5} takes {slots:12,.0f} slots/s at its peak, {slots / 2:12,.0f} at half of it: "
            f"{cores:5.1f} and {cores / 2:5.1f} cores of this machine for each chip"
        )


if __name__ == "__main__":
    main()
