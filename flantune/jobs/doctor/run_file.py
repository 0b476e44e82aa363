"""What one run needs, from its gin files: splits, vocabulary, start, and room for its checkpoints."""

from collections.abc import Iterator
import dataclasses
import math
import pathlib

import jax

from flantune import experiments
from flantune.configs import (
    CheckpointConfig,
    DataConfig,
    EvalConfig,
    InitConfig,
    ModelConfig,
    OptimizerConfig,
    TrainableConfig,
)
from flantune.data.input import loading
from flantune.data.store import prepare as prepare_lib
from flantune.data.vocabularies import vocabulary
from flantune.host import error_text
from flantune.jobs import gin_files, preflight
from flantune.jobs.doctor import store as store_check
from flantune.jobs.doctor.findings import Finding, ok, problem
from flantune.models import t5
from flantune.runs import preparation, start
from flantune.training import state as state_lib

_FLOAT32_BYTES = 4
# Of parameters' size: Adam keeps two moments of each, Adafactor rows and columns, less than a hundredth of it.
_SAVED = {"adamw": 3, "adafactor": 1}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """The configs of a run file that the checks look at."""

    data: DataConfig
    model: ModelConfig
    optimizer: OptimizerConfig
    checkpoint: CheckpointConfig
    evaluation: EvalConfig | None = None
    init: InitConfig | None = None
    trainable: TrainableConfig | None = None


def bound() -> Run:
    """The run of the gin files that were parsed.

    Raises:
        ValueError: something that training needs is not bound.
    """
    gin_files.bind(experiments.train, run_dir="", config_text="")
    return gin_files.bind(Run)()


def checks(run: Run) -> Iterator[Finding]:
    """Vocabulary and start of a run, as `jobs/preflight.py` looks at them.

    What it asks of the store is left out: it wants all prepared, as a launch does, a vocabulary that is trained too.
    """
    is_trained = vocabulary.size_to_train(run.data.vocabulary) is not None
    left_out = {"data", "store", *(("vocabulary",) if is_trained else ())}
    for one in gin_files.bind(preflight.check, launch=preflight.Launch())():
        if one.what not in left_out:
            yield (
                ok(one.what, one.found)
                if one.passed
                else problem(one.what, one.found, "Correct the run file or the flag.")
            )


def splits(run: Run) -> list[Finding]:
    """Whether all splits that the run reads are prepared, or can be; a name that nothing defines stops it."""
    try:
        states, folder = _states(run)
    except (ValueError, KeyError) as error:
        advice = "Correct the run file or the module."
        return [problem("splits", error_text.sentence(error), advice)]
    return store_check.check_splits(states, folder)


def _states(run: Run) -> tuple[dict[str, str], str]:
    """What there is of each split that the run reads, and the folder of its sources."""
    opened, folder = loading.open_store(run.data), loading.data_dir(run.data)
    wanted = preparation.splits_read(run.data, run.evaluation)
    catalog = loading.load_catalog(run.data, opened, [name for name, _ in wanted])
    states = {
        f"{task} ({split})": prepare_lib.state(catalog.tasks[task], split, opened, folder)
        for task, names in loading.splits_needed(catalog, wanted)
        for split in names
    }
    return states, str(folder)


def checkpoint_bytes(run: Run, run_dir: pathlib.Path) -> int:
    """What the run still writes into its folder at least, in bytes: a checkpoint is whole before an older one goes."""
    model = start.trained_model(t5.EncoderDecoder(run.model), run.trainable)
    shapes = jax.eval_shape(lambda: state_lib.initial_params(model, 0))
    numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))
    there = sum(1 for _ in run_dir.glob("checkpoints/checkpoint_*"))
    to_come = max(1, run.checkpoint.keep_last + 1 - there)
    return _FLOAT32_BYTES * numbers * _SAVED[run.optimizer.name] * to_come
