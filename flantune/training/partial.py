"""Training of chosen parameters only: the rest is frozen, beside the training state.

A `PartialModel` shows training the trained parameters alone, so that optimizer state, gradients and checkpoints hold
nothing else. The frozen ones are a tree of their own, an argument of each step: never differentiated, donated or saved.
A checkpoint keeps their fingerprint, by which a run that continues knows that they are still the same. LoRA adapters and
chosen patterns are trained in this way alike. Read `step.py` next.
"""

from collections.abc import Mapping
import dataclasses
import hashlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped
import numpy as np

from flantune.params import trees as param_trees
from flantune.training import checksums, sharding, state as state_lib


@dataclasses.dataclass(frozen=True, eq=False)
class PartialModel:
    """A model of whose parameters only some are trained; towards training, those are its parameters.

    Attributes:
        whole: the model with all parameters.
        trained: names of those that are trained.
        frozen: the others, once they are known (`with_frozen`); without them there are no logits.
    """

    whole: state_lib.Model
    trained: frozenset[str]
    frozen: PyTree = None

    def init(self, rng: PRNGKeyArray) -> state_lib.Params:
        """Fresh trained parameters: the values that the whole model draws for them."""
        return param_trees.part(self.whole.init(rng), self.trained)

    def logical_axes(self) -> PyTree:
        """Those of the trained parameters."""
        return param_trees.part(self.whole.logical_axes(), self.trained)

    def apply(
        self,
        params: state_lib.Params,
        batch: Mapping[str, Shaped[Array, "batch ..."]],
        *,
        dropout_rng: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch length vocab"]:
        return self.whole.apply(self._all(params), batch, dropout_rng=dropout_rng)

    def hidden(
        self,
        params: state_lib.Params,
        batch: Mapping[str, Shaped[Array, "batch ..."]],
        *,
        dropout_rng: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch length emb"]:
        return self.whole.hidden(self._all(params), batch, dropout_rng=dropout_rng)

    def output_kernel(self, params: state_lib.Params) -> Float[Array, "emb vocab"]:
        return self.whole.output_kernel(self._all(params)).astype(jnp.float32)

    def _all(self, params: state_lib.Params) -> PyTree:
        if self.frozen is None:
            raise ValueError("A PartialModel computes nothing without its frozen parameters.")
        return param_trees.joined(self.frozen, params)


def with_frozen(model: state_lib.Model, frozen: PyTree) -> state_lib.Model:
    """The model with its frozen parameters; without any (None), the model itself."""
    if frozen is None:
        return model
    if not isinstance(model, PartialModel):
        raise TypeError(f"Frozen parameters need a PartialModel, not a {type(model).__name__}.")
    return dataclasses.replace(model, frozen=frozen)


def all_params(trained: PyTree, frozen: PyTree) -> PyTree:
    """Trained and frozen parameters (None: there are none) in one tree, as the whole model wants them."""
    return trained if frozen is None else param_trees.joined(frozen, trained)


def frozen_part(model: state_lib.Model, tree: PyTree) -> PyTree:
    """What `tree`, of all parameters of the whole model, holds of the frozen ones; None where none are frozen."""
    if not isinstance(model, PartialModel):
        return None
    names = {name for name, _ in param_trees.leaves(tree)}
    return param_trees.part(tree, names - model.trained)


def abstract_frozen(
    model: state_lib.Model, mesh: sharding.AnyMesh, rules: sharding.AxisRules, dtype: str
) -> PyTree:
    """Shapes and shardings of the frozen parameters, of this dtype; None where there are none."""
    if not isinstance(model, PartialModel):
        return None
    wanted = frozen_part(model, state_lib.abstract_params(model.whole, mesh, rules))
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=leaf.sharding), wanted
    )


def fingerprint(params: PyTree) -> str:
    """A hexadecimal text that changes with any bit, name, shape or dtype of the parameters.

    It is the same on every mesh and number of processes.
    """
    sums = checksums.of(params)
    digest = hashlib.sha256()
    for name, leaf in param_trees.leaves(params):
        assert isinstance(leaf, jax.Array | np.ndarray)
        digest.update(f"{name} {leaf.shape} {leaf.dtype.name} {sums[name]}\n".encode())
    return digest.hexdigest()[:16]


def check_fingerprint(saved: object, found: str | None, checkpoint: object) -> None:
    """Raises ValueError where a checkpoint's frozen parameters were others than those that were found now."""
    if saved == found:
        return
    raise ValueError(
        f"The checkpoint {checkpoint} was trained beside frozen parameters with fingerprint {saved}, but those loaded now "
        f"have {found}. Start from what it started from (InitConfig, or the seed), in the same dtype "
        "(TrainableConfig.frozen_dtype)."
    )
