"""A process that trains one way, step by step, as it is told on its standard input.

    python -m tests.benchmarks.training_process JOB

JOB is a `Job` as JSON. The process answers in lines of JSON: first `Started`, then for every line that it reads, a number
of steps, a list of `Sample`, and `Ended` at the end of its input. Between two lines it takes no time of a processor, so
several such processes can be measured in turn. The parents are `step_against_transformers.py` and
`gpu_against_transformers.py`.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

from flantune.configs import ModelConfig

Batch = Mapping[str, np.ndarray]

SIDES = ("flantune", "eager", "compiled")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a process trains.

    Attributes:
        side: "flantune"; "eager" and "compiled": transformers without and with torch.compile.
        model: fields of a `ModelConfig`.
        batches: an .npz file with the arrays of some batches, stacked, in flantune's form; they come again and again.
            Without segment ids each row is one example, padded.
        cut_padding: batches are cut to their longest row, so that their shapes differ.
        learning_rate: of Adafactor.
    """

    side: str
    model: dict[str, object]
    batches: str
    cut_padding: bool = False
    learning_rate: float = 1e-3

    def config(self) -> ModelConfig:
        return ModelConfig(**self.model)

    def endless(self) -> Iterator[Batch]:
        with np.load(self.batches) as file:
            arrays = {name: file[name] for name in file.files}
        for index in itertools.cycle(range(len(arrays["decoder_target_tokens"]))):
            batch = {name: array[index] for name, array in arrays.items()}
            yield _without_padding(batch) if self.cut_padding else batch


def _without_padding(batch: Batch) -> Batch:
    """The same rows, no longer than their longest."""
    longest = {
        side: int((batch[f"{side}_{kind}_tokens"] > 0).sum(axis=1).max())
        for side, kind in (("encoder", "input"), ("decoder", "target"))
    }
    return {name: array[:, : longest[name.split("_")[0]]] for name, array in batch.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Started:
    """What a process says of itself once it has taken its first step, which compiles."""

    parameters: int
    device: str
    versions: str
    first_step_s: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sample:
    """One step.

    Attributes:
        loss: as each side defines it: flantune's has z-loss.
        wall_s: until its loss is known.
        cpu_s: processor time of the process meanwhile, all its threads.
        others: share of all processor time that other processes had meanwhile.
        tokens: of its inputs and targets that are not padding.
        shape: rows, and encoder and decoder tokens of each, padding counted.
    """

    loss: float
    wall_s: float
    cpu_s: float
    others: float
    tokens: int
    shape: tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ended:
    """Peak memory in bytes: of the device where it counts its own, else of the process."""

    peak_bytes: int


class Trainer:
    """What a side is: its number of parameters, and a step on a batch that returns its loss once all is done."""

    parameters: int
    device: str
    versions: str

    def step(self, batch: Batch) -> float:
        raise NotImplementedError

    def peak_device_bytes(self) -> int | None:
        """None where the device counts none."""
        raise NotImplementedError


def _make(job: Job) -> Trainer:
    if job.side == "flantune":
        from tests.benchmarks import training_flantune

        return training_flantune.Flantune(job)
    from tests.benchmarks import training_transformers

    return training_transformers.Transformers(job, compiled=job.side == "compiled")


def _busy_ticks() -> int:
    """Processor time of the whole machine so far, in ticks, without idling."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, soft_irq = map(int, file.readline().split()[1:8])
    return user + nice + system + irq + soft_irq


def _sample(trainer: Trainer, batch: Batch) -> Sample:
    busy, cpu, start = _busy_ticks(), time.process_time(), time.perf_counter()
    loss = trainer.step(batch)
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    all_s = (_busy_ticks() - busy) / os.sysconf("SC_CLK_TCK")
    others = max(0.0, all_s - cpu_s) / (wall_s * (os.cpu_count() or 1))
    inputs, targets = batch["encoder_input_tokens"], batch["decoder_target_tokens"]
    return Sample(
        loss=loss,
        wall_s=wall_s,
        cpu_s=cpu_s,
        others=others,
        tokens=int((inputs > 0).sum() + (targets > 0).sum()),
        shape=(len(inputs), inputs.shape[1], targets.shape[1]),
    )


def _say(value: object) -> None:
    print(json.dumps(value), flush=True)


def main() -> None:
    job = Job(**json.loads(sys.argv[1]))
    trainer, batches = _make(job), job.endless()
    first = _sample(trainer, next(batches))
    started = Started(
        parameters=trainer.parameters,
        device=trainer.device,
        versions=trainer.versions,
        first_step_s=first.wall_s,
    )
    _say(dataclasses.asdict(started))
    for line in sys.stdin:
        _say([dataclasses.asdict(_sample(trainer, next(batches))) for _ in range(int(line))])
    peak = trainer.peak_device_bytes()
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    _say(dataclasses.asdict(Ended(peak_bytes=peak)))


class ProcessFailedError(RuntimeError):
    """A process ended early; `errors` is what it wrote last."""

    def __init__(self, errors: str) -> None:
        super().__init__(f"A training process ended early:\n{errors}")
        self.errors = errors


class Remote:
    """Such a process, seen from its parent."""

    def __init__(self, job: Job, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.training_process"]
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [*command, json.dumps(dataclasses.asdict(job))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **environment},
        )

    def _answer(self):
        line = self._process.stdout.readline()
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        raise ProcessFailedError(self._errors.read()[-3000:])

    def started(self) -> Started:
        """Waits for the first step."""
        return Started(**self._answer())

    def steps(self, count: int) -> list[Sample]:
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        return [Sample(**sample | {"shape": tuple(sample["shape"])}) for sample in self._answer()]

    def end(self) -> Ended:
        self._process.stdin.close()
        return Ended(**self._answer())

    def close(self) -> None:
        """Ends the process, however far it is."""
        self._process.kill()
        self._process.wait()
        self._errors.close()


@contextlib.contextmanager
def remote(job: Job, environment: Mapping[str, str] | None = None) -> Iterator[Remote]:
    """A process that is gone when the block ends."""
    with contextlib.closing(Remote(job, environment or {})) as process:
        yield process


if __name__ == "__main__":
    main()
