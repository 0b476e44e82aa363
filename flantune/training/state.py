"""The training state: step, parameters and optimizer state, created already sharded.

Here: `TrainState`, the interface of a model as training sees it, `abstract_state` (shapes and shardings, nothing
allocated), `init_state`. Not here: saving it (`checkpoints.py`) or changing it (`step.py`); read the latter next.
"""

from collections.abc import Mapping
import dataclasses
from typing import Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray, PyTree, Shaped
import optax

from flantune.training import sharding

Params: TypeAlias = PyTree[Float[Array, "..."]]

# The run's seed is folded with the purpose first, so that no two purposes share a key.
INIT_PURPOSE, DROPOUT_PURPOSE = 0, 1


@runtime_checkable
class Model(Protocol):
    """What training needs of a model; `flantune.models.t5.EncoderDecoder` is one."""

    def init(self, rng: PRNGKeyArray) -> Params:
        """Fresh float32 parameters: a nested dict of arrays."""

    def logical_axes(self) -> PyTree:
        """For each parameter a tuple of logical axis names, one per dimension."""

    def apply(
        self,
        params: Params,
        batch: Mapping[str, Shaped[Array, "batch ..."]],
        *,
        dropout_rng: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch length vocab"]:
        """Logits of the targets; no dropout without a key."""

    def hidden(
        self,
        params: Params,
        batch: Mapping[str, Shaped[Array, "batch ..."]],
        *,
        dropout_rng: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch length emb"]:
        """What makes the logits of `apply` when multiplied by `output_kernel(params)`."""

    def output_kernel(self, params: Params) -> Float[Array, "emb vocab"]:
        """The float32 matrix that makes logits."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainState:
    """Everything that an update reads and writes.

    The fields are PyTree, because the same class also holds shapes (`abstract_state`), shardings, and what JAX puts
    into it while it rearranges trees.

    Attributes:
        step: updates done so far, int32 [].
        params: float32 arrays in a nested dict, as the model's `init` gives them.
        opt_state: of the Optax optimizer.
    """

    step: PyTree
    params: PyTree
    opt_state: PyTree


def purpose_key(seed: int, purpose: int) -> PRNGKeyArray:
    """The run's random key for one purpose."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def initial_params(model: Model, seed: int) -> Params:
    """The parameters that a run with this seed starts from."""
    return model.init(purpose_key(seed, INIT_PURPOSE))


def _fresh_state(model: Model, optimizer: optax.GradientTransformation, seed: int) -> TrainState:
    params = initial_params(model, seed)
    return TrainState(
        step=jnp.zeros([], jnp.int32), params=params, opt_state=optimizer.init(params)
    )


def abstract_params(model: Model, mesh: sharding.AnyMesh, rules: sharding.AxisRules) -> PyTree:
    """The parameters as jax.ShapeDtypeStruct leaves with shardings."""
    shapes = jax.eval_shape(lambda: initial_params(model, 0))
    return _with_shardings(
        shapes, sharding.param_shardings(model.logical_axes(), shapes, mesh, rules)
    )


def _with_shardings(shapes: PyTree, shardings: PyTree) -> PyTree:
    return jax.tree.map(
        lambda leaf, placed: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed),
        shapes,
        shardings,
    )


def abstract_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    mesh: sharding.AnyMesh,
    rules: sharding.AxisRules,
) -> TrainState:
    """The state as jax.ShapeDtypeStruct leaves with shardings: what to restore into, and what to compile for."""
    shapes = jax.eval_shape(lambda: _fresh_state(model, optimizer, 0))
    params = sharding.param_shardings(model.logical_axes(), shapes.params, mesh, rules)
    shardings = TrainState(
        step=NamedSharding(mesh, PartitionSpec()),
        params=params,
        opt_state=sharding.optimizer_shardings(shapes.opt_state, shapes.params, params, mesh),
    )
    return _with_shardings(shapes, shardings)


def shardings_of(abstract: PyTree) -> PyTree[NamedSharding]:
    """The sharding of every leaf."""
    return jax.tree.map(lambda leaf: leaf.sharding, abstract)


def check_same_tree(expected: PyTree, found: PyTree, *, what: str) -> None:
    """Raises one ValueError that lists what is missing, unexpected or of another shape in `found`.

    `what` begins the message: "The checkpoint runs/a/checkpoints/checkpoint_7".
    """
    expected_shapes, found_shapes = (
        {
            sharding.path_name(path): tuple(leaf.shape)
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (expected, found)
    )
    missing = sorted(expected_shapes.keys() - found_shapes.keys())
    unexpected = sorted(found_shapes.keys() - expected_shapes.keys())
    other_shape = [
        f"{name} ({found_shapes[name]} instead of {shape})"
        for name, shape in sorted(expected_shapes.items())
        if name in found_shapes and found_shapes[name] != shape
    ]
    problems = [
        f"{kind} {_listed(names)}"
        for kind, names in (
            ("lacks", missing),
            ("has unexpected", unexpected),
            ("has another shape for", other_shape),
        )
        if names
    ]
    if problems:
        raise ValueError(
            f"{what} does not fit this model and optimizer: it {'; it '.join(problems)}."
        )


def _listed(names: list[str], limit: int = 20) -> str:
    rest = len(names) - limit
    return ", ".join(names[:limit]) + (f" and {rest} more" if rest > 0 else "")


def init_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    mesh: Mesh,
    rules: sharding.AxisRules,
    seed: int,
) -> TrainState:
    """The state at step 0 with the parameters of the seed, each device creating only its own shards."""
    abstract = abstract_state(model, optimizer, mesh, rules)
    return jax.jit(
        lambda: _fresh_state(model, optimizer, seed), out_shardings=shardings_of(abstract)
    )()


def state_with_params(
    params: PyTree, optimizer: optax.GradientTransformation, abstract: TrainState
) -> TrainState:
    """The state at step 0 with these parameters, placed and cast as `abstract` says.

    Arrays that are so already are taken over, not copied: the first training step donates them.

    Raises:
        ValueError: `params` have other names or shapes than `abstract`.
    """
    check_same_tree(abstract.params, params, what="The tree of initial parameters")
    shardings = shardings_of(abstract)
    cast = jax.tree.map(lambda leaf, wanted: leaf.astype(wanted.dtype), params, abstract.params)
    placed = jax.device_put(cast, shardings.params)
    return TrainState(
        step=jax.device_put(jnp.zeros([], jnp.int32), shardings.step),
        params=placed,
        opt_state=jax.jit(optimizer.init, out_shardings=shardings.opt_state)(placed),
    )
