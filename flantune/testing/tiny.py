"""A model that compiles in seconds, tasks from rows given in the test, and a store filled with them."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import dataclasses
import pathlib
import sys
import types
from typing import Any

from flantune import metrics
from flantune.configs import ModelConfig
from flantune.data import InstructionTask, Mixture, TaskFamily, sources
from flantune.data.store import prepare as prepare_lib, reader as store_lib
from flantune.prompting import Template

MODEL = ModelConfig(
    vocab_size=272,  # ByteVocabulary's 259, padded to a multiple of 16
    emb_dim=16,
    num_heads=2,
    head_dim=8,
    mlp_dim=32,
    num_encoder_layers=1,
    num_decoder_layers=1,
    dropout_rate=0.0,
    dtype="float32",
    scan_layers=False,
)
Rows = Sequence[Mapping[str, object]]


def _same(row: Mapping[str, object]) -> Mapping[str, object]:
    return row


def make_task(
    name: str,
    rows: Mapping[str, Rows],
    *,
    templates: Sequence[Template] = (Template(inputs="Echo: {text}"),),
    **changes: Any,
) -> InstructionTask:
    """A task over rows by split; a row's fields are the row itself, with "answer" unless there are choices."""
    arguments: dict[str, Any] = {
        "cluster": name.split(":")[1],
        "to_fields": _same,
        "metrics": (metrics.exact_match,),
        **changes,
    }
    return InstructionTask(
        name=name, source=sources.InMemory(**rows), templates=tuple(templates), **arguments
    )


def prepare(tasks: Sequence[InstructionTask], root: pathlib.Path) -> store_lib.Store:
    """A store below `root` with every split of the tasks."""
    store = store_lib.Store(root)
    wanted = [(task, task.source.splits) for task in tasks]
    prepare_lib.prepare(wanted, store, root, num_processes=0).raise_if_failed()
    return store


def run_file(bindings: Mapping[str, object], model: ModelConfig = MODEL) -> str:
    """The text of a run file that trains a tiny model with Adafactor.

    Example: `run_file({"DataConfig.mixture": "all"})` has a line "configs.DataConfig.mixture = 'all'".
    """
    values = {
        **{
            f"ModelConfig.{name}": value
            for name, value in dataclasses.asdict(model).items()
            if value is not None
        },
        "OptimizerConfig.name": "adafactor",
        "OptimizerConfig.learning_rate": 0.01,
        **bindings,
    }
    lines = [
        "from __gin__ import dynamic_registration",
        "from flantune import configs",
        "from flantune import experiments",
    ]
    for name, value in values.items():
        module = "experiments" if name.startswith("train.") else "configs"
        lines.append(f"{module}.{name} = {value!r}")
    return "\n".join(lines) + "\n"


@contextlib.contextmanager
def task_module(
    name: str, tasks: Sequence[InstructionTask | TaskFamily], mixtures: Sequence[Mixture] = ()
) -> Iterator[None]:
    """A module of that name, importable inside the block, which exports the tasks and mixtures."""
    module = types.ModuleType(name)
    module.TASKS = tuple(tasks)  # type: ignore[attr-defined]
    module.MIXTURES = tuple(mixtures)  # type: ignore[attr-defined]
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
