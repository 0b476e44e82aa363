"""What a run starts from, and which of its parameters are trained: opened, checked, loaded shard by shard.

`of_run` before training, `of_checkpoint` for what was trained. Training itself gets arrays: it knows no formats. Used by
`experiments.py` and `assembly.py`; formats are in `interop/sources.py`, freezing in `training/partial.py`.
"""

from collections.abc import Mapping
import dataclasses
import functools

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree
import numpy as np
import optax

from flantune.configs import InitConfig, TrainableConfig
from flantune.interop import (
    adafactor_state,
    load_params,
    mismatch,
    param_source,
    sources,
    t5x_checkpoint,
)
from flantune.models import lora as lora_lib, t5
from flantune.params import trees as param_trees
from flantune.run_folder import start_record
from flantune.training import checkpoints, flops, partial, sharding, state as state_lib

_EVERYTHING = "everything"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """Where the parameters of a run come from.

    Attributes:
        network: the model with all parameters, adapters among them.
        model: towards training: `network`, or the part of it that is trained.
        mesh: to place arrays on.
        rules: for their axes.
        seed: of parameters that no source gives.
        trainable: as configured.
        init: as configured; None: from the seed.
        opened: the source; None: from the seed, or nothing of it is needed.
    """

    network: t5.EncoderDecoder
    model: state_lib.Model
    mesh: jax.sharding.Mesh
    rules: sharding.AxisRules
    seed: int
    trainable: TrainableConfig | None
    init: InitConfig | None
    opened: sources.Opened | None

    @functools.cached_property
    def _abstract(self) -> PyTree:
        return state_lib.abstract_params(self.network, self.mesh, self.rules)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter by its name."""
        return flops.shapes_by_name(self._abstract)

    @property
    def trained_names(self) -> frozenset[str]:
        """Names of the parameters that are trained."""
        return frozenset(_names(self.model.logical_axes()))

    @functools.cached_property
    def frozen(self) -> PyTree:
        """The frozen parameters, placed, in `TrainableConfig.frozen_dtype`; None: there are none."""
        wanted = partial.abstract_frozen(
            self.model, self.mesh, self.rules, frozen_dtype(self.trainable)
        )
        return None if wanted is None else self._loaded(wanted)

    def params(self) -> PyTree:
        """All parameters at the start, placed."""
        return partial.all_params(self._loaded(self._trained()), self.frozen)

    def state(
        self,
        optimizer: optax.GradientTransformation,
        abstract: state_lib.TrainState,
        num_steps: int,
    ) -> state_lib.TrainState:
        """The state that a new run of `num_steps` begins with, of the shapes and shardings of `abstract`.

        Raises:
            ValueError: the source has no such optimizer state, or its step is not before `num_steps`.
        """
        if self.init is None or self.opened is None or self.init.what != _EVERYTHING:
            return state_lib.state_with_params(self._loaded(abstract.params), optimizer, abstract)
        if isinstance(self.opened.params, t5x_checkpoint.T5xCheckpoint):
            state = adafactor_state.load_train_state(self.opened.params, abstract)
        else:
            saved = checkpoints.Checkpoints(self.opened.folder)
            state, _ = saved.restore(abstract, self.opened.step)
        if int(state.step) >= num_steps:
            raise ValueError(
                f"{self.opened.params.description} is at step {int(state.step)}, which InitConfig.what = 'everything' "
                f"takes over: num_steps ({num_steps}) must be more."
            )
        logging.info(
            "Optimizer state and step %d: %s. The batches begin at this run's first.",
            int(state.step),
            self.opened.params.description,
        )
        return state

    def record(self, state: state_lib.TrainState) -> start_record.StartRecord:
        """What the run folder keeps of a start with this state; with several processes, each must ask."""
        init, opened = self.init, self.opened
        record = start_record.StartRecord(
            seed=self.seed,
            model=self.network.config,
            trainable=self.trainable,
            path=None if init is None else init.path,
            kind=None if opened is None else opened.kind,
            what=None if init is None else init.what,
            step=None if opened is None or opened.kind == sources.HUGGING_FACE else opened.step,
            fingerprint=partial.fingerprint(partial.all_params(state.params, self.frozen)),
            trained_parameters=_size(state.params),
            parameters=_size(self._abstract),
        )
        logging.info("The run starts from %s.", record.describe())
        return record

    def check(self) -> None:
        """Raises ValueError with the table of all differences between the source and the model's base."""
        if self.opened is None:
            return
        problems = mismatch.compare(self.opened.params.arrays, _without_adapters(self._abstract))
        if problems:
            raise mismatch.MismatchError(problems.table(self.opened.params.description))

    def _trained(self) -> PyTree:
        """Shapes and shardings of the trained parameters."""
        return param_trees.part(self._abstract, self.trained_names)

    def _loaded(self, wanted: PyTree) -> PyTree:
        """These parameters: of the source, and adapters, which no source has, of the seed."""
        if self.opened is None:
            return self._drawn(wanted)
        base = _without_adapters(wanted)
        adapters = param_trees.part(wanted, _names(wanted) - _names(base))
        return param_trees.joined(_load_part(self.opened.params, base), self._drawn(adapters))

    def _drawn(self, wanted: PyTree) -> PyTree:
        """These parameters of the seed, each device drawing only its own shards."""
        names = _names(wanted)

        def draw() -> PyTree:
            drawn = param_trees.part(state_lib.initial_params(self.network, self.seed), names)
            return jax.tree.map(lambda leaf, shape: leaf.astype(shape.dtype), drawn, wanted)

        return jax.jit(draw, out_shardings=state_lib.shardings_of(wanted))()


def of_run(
    network: t5.EncoderDecoder,
    *,
    mesh: jax.sharding.Mesh,
    rules: sharding.AxisRules,
    seed: int,
    init: InitConfig | None,
    trainable: TrainableConfig | None,
    run_dir: epath.Path,
    is_new: bool,
    needs_all: bool,
) -> Start:
    """The start of a run, its source opened and compared with the model; nothing large is read.

    Args:
        run_dir: of the run; one that is not new goes on with the step that it took of its source.
        is_new: whether the folder has no checkpoint.
        needs_all: whether all parameters will be asked for, or, where none are frozen, nothing at all.

    Raises:
        FileNotFoundError: there is no such source.
        ValueError: the source does not fit the model, or a pattern matches nothing.
    """
    model = trained_model(network, trainable)
    is_partial = isinstance(model, partial.PartialModel)
    if init is not None and init.what == _EVERYTHING and is_partial:
        raise ValueError(
            "InitConfig.what = 'everything' takes over the optimizer's state of all parameters, but only some are trained "
            "here (ModelConfig.lora or TrainableConfig): take 'params'."
        )
    opened = None
    if init is not None and (needs_all or is_partial):
        opened = _open(init, None if is_new else start_record.read(run_dir))
    start = Start(
        network=network,
        model=model,
        mesh=mesh,
        rules=rules,
        seed=seed,
        trainable=trainable,
        init=init,
        opened=opened,
    )
    start.check()
    return start


def of_checkpoint(
    network: t5.EncoderDecoder,
    run_dir: epath.Path,
    *,
    mesh: jax.sharding.Mesh,
    rules: sharding.AxisRules,
    init: InitConfig | None,
) -> Start:
    """The start of a run that was trained, for its frozen parameters: as `start.json` has it.

    `init` says where its source is now; None: where it was.
    """
    record = start_record.read(run_dir)
    trainable, seed = None, 0
    if record is not None:
        trainable, seed = record.trainable, record.seed
        if init is None and record.path is not None:
            init = InitConfig(path=record.path)
    return of_run(
        network,
        mesh=mesh,
        rules=rules,
        seed=seed,
        init=None if init is None else dataclasses.replace(init, what="params"),
        trainable=trainable,
        run_dir=run_dir,
        is_new=False,
        needs_all=False,
    )


def trained_params(start: Start, run_dir: epath.Path, step: int | None) -> PyTree:
    """All parameters after a step of a run (None: the last): of its checkpoint, and the frozen ones.

    Raises:
        ValueError: the frozen parameters are not those that the run was trained with.
    """
    saved = checkpoints.Checkpoints(run_dir)
    abstract = state_lib.abstract_params(start.model, start.mesh, start.rules)
    params = saved.restore_params(abstract, step)
    if start.frozen is not None:
        found = saved.data_state(step).get("frozen")
        place = run_dir if step is None else saved.path(step)
        partial.check_fingerprint(found, partial.fingerprint(start.frozen), place)
    return partial.all_params(params, start.frozen)


def frozen_dtype(trainable: TrainableConfig | None) -> str:
    """In which dtype frozen parameters are held."""
    return "float32" if trainable is None else trainable.frozen_dtype


def trained_model(network: t5.EncoderDecoder, trainable: TrainableConfig | None) -> state_lib.Model:
    """What of the network is trained: the adapters and what the patterns match, or else everything."""
    names = _names(network.logical_axes())
    trained = {name for name in names if lora_lib.is_adapter(name)}
    if trainable is not None:
        trained |= param_trees.select(names, trainable.patterns, field="TrainableConfig.patterns")
    if trained and trained != names:
        return partial.PartialModel(network, frozenset(trained))
    if trainable is not None and not trained:
        raise ValueError(
            "TrainableConfig freezes nothing: it needs patterns of what is trained, or ModelConfig.lora."
        )
    return network


def _open(init: InitConfig, record: start_record.StartRecord | None) -> sources.Opened:
    step = init.step
    if step is None and record is not None and record.path == init.path:
        step = record.step if record.kind != sources.HUGGING_FACE else None
    opened = sources.open_params(init.path, step)
    if init.what == _EVERYTHING and opened.kind == sources.HUGGING_FACE:
        raise ValueError(
            f"{opened.params.description} has no optimizer state: InitConfig.what must be 'params'."
        )
    logging.info("Parameters: %s.", opened.params.description)
    return opened


def _names(tree: PyTree) -> set[str]:
    return {name for name, _ in param_trees.leaves(tree)}


def _without_adapters(tree: PyTree) -> PyTree:
    return param_trees.part(tree, {name for name in _names(tree) if not lora_lib.is_adapter(name)})


def _size(tree: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@dataclasses.dataclass(frozen=True)
class _Without:
    """A `ParamSource` that hides some of its arrays."""

    source: param_source.ParamSource
    hidden: Mapping[str, mismatch.Shape]

    @property
    def description(self) -> str:
        return self.source.description

    @property
    def arrays(self) -> Mapping[str, param_source.ArrayInfo]:
        return {name: info for name, info in self.source.arrays.items() if name not in self.hidden}

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        return self.source.read(name, index)


def _load_part(source: param_source.ParamSource, wanted: PyTree) -> PyTree:
    unwanted = mismatch.compare(source.arrays, wanted).unexpected
    return load_params.load_params(_Without(source, unwanted), wanted)
