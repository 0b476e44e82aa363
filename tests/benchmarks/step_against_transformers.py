"""A training step of T5 1.1 small on a CPU: flantune's beside transformers', in turn.

    python -m tests.benchmarks.step_against_transformers [--json FILE]

Batch 8, 256 + 64 tokens, all of them real, float32, Adafactor, 76.96 M parameters on every side. Each side is a process of
its own; while one takes its steps the others wait. Prints medians, and the median of the ratios of the same round. A sample
counts as quiet where other processes had less than 5 % of the machine.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import statistics
import tempfile

import numpy as np

from flantune.configs import ModelConfig
from tests.benchmarks import sizes, training_process

QUIET = 0.05
ROWS, INPUTS_LENGTH, TARGETS_LENGTH = 8, 256, 64


def write_batches(path: pathlib.Path, model: ModelConfig, *, count: int = 4) -> None:
    """Full rows of random tokens, one example in each."""
    rng = np.random.default_rng(0)

    def tokens(length: int) -> np.ndarray:
        return rng.integers(2, model.vocab_size, (count, ROWS, length)).astype(np.int32)

    inputs, targets = tokens(INPUTS_LENGTH), tokens(TARGETS_LENGTH)
    before = np.roll(targets, 1, axis=-1)
    before[..., 0] = 0
    np.savez(
        path,
        encoder_input_tokens=inputs,
        encoder_segment_ids=np.ones_like(inputs),
        decoder_input_tokens=before,
        decoder_target_tokens=targets,
        decoder_segment_ids=np.ones_like(targets),
        decoder_loss_weights=np.ones(targets.shape, np.float32),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", nargs="+", default=list(training_process.SIDES))
    parser.add_argument("--size", default="small")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=2, help="of a side in each round")
    parser.add_argument("--dropout_rate", type=float, default=0.1)
    parser.add_argument("--set", action="append", default=[], help="ModelConfig field: NAME=JSON")
    parser.add_argument("--json", type=pathlib.Path, help="where all samples are written")
    given = parser.parse_args()
    changes = {"dtype": "float32", "dropout_rate": given.dropout_rate}
    changes |= {name: json.loads(value) for name, value in (one.split("=") for one in given.set)}
    model = sizes.of_t5_1_1(given.size, **changes)
    with tempfile.TemporaryDirectory() as folder:
        batches = pathlib.Path(folder, "batches.npz")
        write_batches(batches, model)
        found = measure(given, model, str(batches))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))
    report(found)


def measure(given: argparse.Namespace, model: ModelConfig, batches: str) -> dict[str, object]:
    jobs = {
        side: training_process.Job(side=side, model=dataclasses.asdict(model), batches=batches)
        for side in given.sides
    }
    samples: dict[str, list[list[dict]]] = {side: [] for side in jobs}
    with contextlib.ExitStack() as stack:
        sides, started = {}, {}
        for name, job in jobs.items():  # so that each first step has the machine to itself
            sides[name] = stack.enter_context(training_process.remote(job))
            started[name] = dataclasses.asdict(sides[name].started())
            sides[name].steps(2)  # torch.compile may compile again
        for _ in range(given.rounds):
            for name, side in sides.items():
                samples[name].append([dataclasses.asdict(one) for one in side.steps(given.steps)])
        peaks = {name: side.end().peak_bytes for name, side in sides.items()}
    return {
        "model": dataclasses.asdict(model),
        "rows": ROWS,
        "inputs_length": INPUTS_LENGTH,
        "targets_length": TARGETS_LENGTH,
        "load_average": os.getloadavg(),
        "cores": os.cpu_count(),
        "started": started,
        "peak_bytes": peaks,
        "samples": samples,
    }


def report(found: dict) -> None:
    """Prints a line for each side."""
    print(
        f"{ROWS} rows of {INPUTS_LENGTH} + {TARGETS_LENGTH} tokens, {found['cores']} cores, load average "
        f"{found['load_average'][0]:.1f} at the end; ratios are of the same round, to transformers eager"
    )
    print(
        f"{'':10}{'median s':>9}{'quiet s':>9}{'(n)':>6}{'CPU s':>8}{'tokens/s':>10}{'ratio':>7}{'CPU ratio':>11}"
        f"{'first step s':>14}{'peak MiB':>10}   parameters"
    )
    base = found["samples"].get("eager")
    for name, rounds in found["samples"].items():
        every = [sample for samples in rounds for sample in samples]
        wall = statistics.median(sample["wall_s"] for sample in every)
        cpu = statistics.median(sample["cpu_s"] for sample in every)
        quiet = [sample["wall_s"] for sample in every if sample["others"] < QUIET]
        quiet_text = f"{statistics.median(quiet):9.3f}" if quiet else f"{'-':>9}"
        tokens = ROWS * (INPUTS_LENGTH + TARGETS_LENGTH) / wall
        ratios = "".join(
            f"{_ratio(rounds, base, key):{width}.3f}" if base else f"{'-':>{width}}"
            for key, width in (("wall_s", 7), ("cpu_s", 11))
        )
        started = found["started"][name]
        print(
            f"{name:10}{wall:9.3f}{quiet_text}{f'({len(quiet)})':>6}{cpu:8.3f}{tokens:10.0f}{ratios}"
            f"{started['first_step_s']:14.1f}{found['peak_bytes'][name] / 2**20:10,.0f}   {started['parameters']:,}"
        )


def _ratio(rounds: list[list[dict]], base: list[list[dict]], key: str) -> float:
    return statistics.median(
        statistics.median(sample[key] for sample in ours)
        / statistics.median(sample[key] for sample in theirs)
        for ours, theirs in zip(rounds, base, strict=True)
    )


if __name__ == "__main__":
    main()
