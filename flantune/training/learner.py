"""A model and how it is trained: the parts that a run's steps need, together. Read `trainer.py` next, which takes them."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import TypeAlias

from jax.sharding import Mesh
from jaxtyping import Array, PyTree, Shaped
import numpy as np
import optax

from flantune.configs import OptimizerConfig
from flantune.training import sharding, state as state_lib, step as step_lib

Step: TypeAlias = Callable[
    [state_lib.TrainState, step_lib.Batch], tuple[state_lib.TrainState, step_lib.Metrics]
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learner:
    """What is trained, how, and on which devices.

    Attributes:
        model: all of it, or the part that is trained.
        optimizer: from `optimizers.make_optimizer`.
        optimizer_config: of it.
        mesh: the devices.
        rules: of the parameters' and batches' axes.
        num_steps: of the whole run, counted from the start of its folder.
        seed: of new parameters and of dropout.
        frozen: the parameters that a `PartialModel` does not train, placed; they are left as they are.
    """

    model: state_lib.Model
    optimizer: optax.GradientTransformation
    optimizer_config: OptimizerConfig
    mesh: Mesh
    rules: sharding.AxisRules
    num_steps: int
    seed: int
    frozen: PyTree = None

    def abstract_state(self) -> state_lib.TrainState:
        """Shapes, types and shardings of the state."""
        return self._abstract_state

    @functools.cached_property
    def _abstract_state(self) -> state_lib.TrainState:
        # Kept: it takes a trace of the model and of the optimizer's start.
        return state_lib.abstract_state(self.model, self.optimizer, self.mesh, self.rules)

    def new_state(self) -> state_lib.TrainState:
        """The state before the first step, with parameters of the seed."""
        return state_lib.init_state(self.model, self.optimizer, self.mesh, self.rules, self.seed)

    def place(
        self, batch: Mapping[str, Shaped[np.ndarray, "batch ..."]]
    ) -> Mapping[str, Shaped[Array, "batch ..."]]:
        """A global batch on the devices, from this process's rows of it."""
        return sharding.shard_batch(batch, self.mesh, self.rules)

    def make_step(self, num_tasks: int) -> Step:
        """A step as `step.make_train_step` makes it, with the frozen parameters; it donates its state."""
        train_step = step_lib.make_train_step(
            model=self.model,
            optimizer=self.optimizer,
            optimizer_config=self.optimizer_config,
            num_steps=self.num_steps,
            mesh=self.mesh,
            rules=self.rules,
            seed=self.seed,
            num_tasks=num_tasks,
            abstract=self.abstract_state(),
        )
        return lambda state, batch: train_step(state, batch, self.frozen)
