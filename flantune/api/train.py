"""`flantune.train`: a training run, as `flantune train` starts it."""

import os

from flantune import experiments
from flantune.api import run_files
from flantune.evaluation.results import Results
from flantune.host import own_records
from flantune.jobs import gin_files
from flantune.training import devices


def train(
    run_file: run_files.RunFile, /, *, run_dir: str | os.PathLike[str], **bindings: object
) -> Results | None:
    """Trains, evaluates and reports; goes on where the run folder left off. Returns None where nothing is evaluated.

        results = flantune.train(
            "gin/runs/quickstart.gin", run_dir="runs/mine", **{"experiments.train.num_steps": 300}
        )
        results.tuned.summary()  # the mean of each suite's metric, by suite

    The log is shown while it runs, and kept in the run folder. Interrupting the kernel saves and raises
    `training.preemption.Stopped`; interrupting it again stops at once. The same call goes on.

    Args:
        run_file: a gin file, or several, of which the last wins.
        run_dir: the run's folder, local or in a bucket.
        bindings: values by name, as after `--gin.`.

    Raises:
        ValueError: the run file or a binding is wrong, or parts of the run do not fit each other.
    """
    with run_files.parsed(run_file, bindings):
        job = gin_files.bind(
            experiments.train, run_dir=os.fspath(run_dir), config_text=gin_files.resolved()
        )
    devices.check()
    with own_records.shown():
        return job()
