"""Training T5 1.1 on one accelerator: flantune on packed rows beside transformers, eager and under torch.compile.

    python -m tests.benchmarks.gpu_against_transformers --store STORE [--data_dir DATA] [--json FILE]

STORE is a folder of at most 50 MB: where it is empty, it is made of Natural Instructions in DATA, or without DATA of
generated tasks, whose prompts are short. After that the benchmark needs no TensorFlow, SeqIO, gin or Grain, so a store that
was made elsewhere can be carried to the machine with the GPU. There it needs jax, flax, optax, array_record, sentencepiece,
torch and transformers.

Each line is a process of its own, with the accelerator to itself: bfloat16, dropout 0.05, Adafactor. Packed rows hold
several examples, which transformers does not do by itself; it is measured on rows of one example, as its users train, padded
to the longest of the batch (eager) or to the full length (compiled, which needs one shape), and on the same packed rows with
masks of ours. Useful tokens are those that are not padding. Utilisation is model FLOPs of all tokens, padding too, as a share
of the chip's bfloat16 peak, where `flantune/training/chips.py` knows it. Rows are halved until a step fits into memory.
"""

import argparse
from collections.abc import Iterator
import dataclasses
import json
import pathlib
import statistics
import tempfile

from flantune.configs import ModelConfig
from flantune.training import chips, flops
from tests.benchmarks import sizes, stored_rows, training_process

# Side, packed, and whether batches are cut to their longest row.
WAYS = (
    ("flantune", True, False),
    ("eager", False, True),
    ("compiled", False, False),
    ("eager", True, False),
    ("compiled", True, False),
)
# Rows of 512 + 128 tokens that a step starts from; half as many of 1,024 + 256.
ROWS = {"tiny": 4, "small": 128, "base": 64, "large": 32, "xl": 16}
WARM_UP, BATCHES = 3, 8
_NO_MEMORY = ("RESOURCE_EXHAUSTED", "OutOfMemoryError", "out of memory")
# JAX takes three quarters of a GPU's memory otherwise; the process has the GPU to itself.
_ENVIRONMENT = {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.95"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=pathlib.Path, help="none: generated tasks, for one time")
    parser.add_argument("--data_dir", help="where natural_instructions/ lies, to make the store")
    parser.add_argument("--sizes", nargs="+", choices=ROWS, default=["base", "large", "xl"])
    parser.add_argument("--lengths", nargs="+", default=["512/128", "1024/256"])
    parser.add_argument("--sides", nargs="+", default=list(training_process.SIDES))
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--remat", default="none", help="of flantune's model")
    parser.add_argument("--json", type=pathlib.Path, help="where all samples are written")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = given.store or pathlib.Path(folder, "store")
        rows = stored_rows.rows_of(store, given.data_dir)
        stored_rows.make(rows, store, given.data_dir)
        lines = []
        for line in measured(given, rows, store, pathlib.Path(folder)):
            lines.append(line)
            print(line.text(), flush=True)
    if given.json:
        given.json.write_text(json.dumps([dataclasses.asdict(line) for line in lines], indent=1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Line:
    """One way to train one size, or why there is no figure."""

    size: str
    lengths: str
    side: str
    packed: bool
    rows: int
    failure: str | None = None
    device: str = ""
    versions: str = ""
    parameters: int = 0
    first_step_s: float = 0.0
    peak_bytes: int = 0
    utilisation: float | None = None
    samples: tuple[training_process.Sample, ...] = ()

    @property
    def median_s(self) -> float:
        return statistics.median(sample.wall_s for sample in self.samples)

    @property
    def useful_tokens_per_s(self) -> float:
        """Of all measured steps together: batches differ."""
        seconds = sum(sample.wall_s for sample in self.samples)
        return sum(sample.tokens for sample in self.samples) / seconds

    def text(self) -> str:
        way = f"{self.side} {'packed' if self.packed else 'padded'}"
        start = f"{self.size:6}{self.lengths:>9} {way:16}{self.rows:5} rows"
        if self.failure is not None:
            return f"{start}   {self.failure}"
        share = "-" if self.utilisation is None else f"{self.utilisation:.1%}"
        return (
            f"{start}{self.useful_tokens_per_s:12,.0f} useful tokens/s  utilisation {share:>6}  median step "
            f"{1e3 * self.median_s:9,.1f} ms  first {self.first_step_s:7.1f} s  peak {self.peak_bytes / 2**30:7.2f} GiB  "
            f"{self.parameters:,} parameters  {self.device}  {self.versions}"
        )


def measured(
    given: argparse.Namespace, rows: stored_rows.Rows, store: pathlib.Path, folder: pathlib.Path
) -> Iterator[Line]:
    for size in given.sizes:
        for lengths in given.lengths:
            for side, packed, cut_padding in WAYS:
                if side not in given.sides:
                    continue
                model = _model(size, given.remat if side == "flantune" else "none")
                inputs_length, targets_length = map(int, lengths.split("/"))
                data = stored_rows.config(
                    rows,
                    store,
                    inputs_length=inputs_length,
                    targets_length=targets_length,
                    batch_size=max(1, ROWS[size] * 640 // (inputs_length + targets_length)),
                )
                line = Line(
                    size=size, lengths=lengths, side=side, packed=packed, rows=data.batch_size
                )
                data = dataclasses.replace(data, pack=packed)
                job = training_process.Job(
                    side=side,
                    model=dataclasses.asdict(model),
                    batches=str(folder / "batches.npz"),
                    cut_padding=cut_padding,
                )
                yield _measure(line, job, data, given.steps)


def _model(size: str, remat: str) -> ModelConfig:
    if size == "tiny":
        return sizes.tiny(vocab_size=1024, dropout_rate=0.05, remat=remat)
    return sizes.of_t5_1_1(size, dtype="bfloat16", dropout_rate=0.05, remat=remat)


def _measure(line: Line, job: training_process.Job, data, steps: int) -> Line:
    """The line with its figures, of half as many rows as long as a step does not fit."""
    stored_rows.write_batches(pathlib.Path(job.batches), data, count=BATCHES)
    try:
        with training_process.remote(job, _ENVIRONMENT) as process:
            started = process.started()
            process.steps(WARM_UP)
            samples = process.steps(steps)
            peak_bytes = process.end().peak_bytes
    except training_process.ProcessFailedError as error:
        if not any(text in error.errors for text in _NO_MEMORY):
            raise
        if data.batch_size == 1:
            return dataclasses.replace(line, failure="does not fit into memory")
        halved = dataclasses.replace(data, batch_size=data.batch_size // 2)
        return _measure(dataclasses.replace(line, rows=halved.batch_size), job, halved, steps)
    return dataclasses.replace(
        line,
        device=started.device,
        versions=started.versions,
        parameters=started.parameters,
        first_step_s=started.first_step_s,
        peak_bytes=peak_bytes,
        utilisation=_utilisation(job.config(), samples, started.device),
        samples=tuple(samples),
    )


def _utilisation(
    model: ModelConfig, samples: list[training_process.Sample], device: str
) -> float | None:
    chip = chips.of_device_kind(device)
    if chip is None:
        return None
    done = sum(
        flops.train_flops(model, rows=rows, inputs_length=inputs, targets_length=targets)
        for rows, inputs, targets in (sample.shape for sample in samples)
    )
    return done / sum(sample.wall_s for sample in samples) / chip.peak_flops


if __name__ == "__main__":
    main()
