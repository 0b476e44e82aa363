"""Optimizers and learning-rate schedules, from Optax, with t5x's semantics.

Here: `make_schedule` and `make_optimizer`. Two things go beyond Optax's own: Adafactor treats each layer of a stacked
(scanned) parameter as a parameter of its own, as t5x does, and weight decay skips what is one-dimensional per layer
(norm scales) or named by `OptimizerConfig.not_decayed`. Read `state.py` next.
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree
import optax

from flantune.configs import OptimizerConfig
from flantune.params import trees as param_trees
from flantune.training import sharding

Params: TypeAlias = PyTree[Float[Array, "..."]]
Schedule = Callable[[Int[Array, ""] | int], Float[Array, ""]]


def make_schedule(config: OptimizerConfig, num_steps: int) -> Schedule:
    """Learning rate at a step (0 before the first update): `learning_rate` times every factor of the schedule.

    constant: 1. linear_warmup: from 0 at step 0 to 1 at `warmup_steps`. rsqrt_decay: 1 / sqrt(max(step, warmup_steps)),
    not normalised, so that t5x's `constant * rsqrt_decay` with base 1.0 is learning_rate=1.0 here.
    rsqrt_normalized_decay: that times sqrt(warmup_steps), so 1 until `warmup_steps`. decay_every: `decay_factor` to the
    power of the whole `steps_per_decay` that have passed. linear_decay and cosine_decay: 1 until `warmup_steps`, then
    falling to `end_fraction` at `decay_steps`, and that from there.
    Source: create_learning_rate_scheduler in t5x/utils.py. Departures: the learning rate is a factor exactly once, with or
    without "constant"; linear_decay holds no warmup; cosine_decay does not rise again.

    Raises:
        ValueError: there is no such factor, it lacks the warmup steps it needs, or the decay ends before the warmup.
    """
    warmup_steps = config.warmup_steps
    decay_steps = num_steps if config.decay_steps is None else config.decay_steps

    def progress(step: Float[Array, ""]) -> Float[Array, ""]:
        return jnp.clip((step - warmup_steps) / (decay_steps - warmup_steps), 0.0, 1.0)

    def down(share: Float[Array, ""]) -> Float[Array, ""]:
        """From 1 to the end of a decay."""
        return config.end_fraction + (1.0 - config.end_fraction) * share

    factors: dict[str, Callable[[Float[Array, ""]], Float[Array, ""] | float]] = {
        "constant": lambda step: 1.0,
        "linear_warmup": lambda step: jnp.minimum(1.0, step / warmup_steps),
        "rsqrt_decay": lambda step: 1.0 / jnp.sqrt(jnp.maximum(step, warmup_steps)),
        "rsqrt_normalized_decay": lambda step: jnp.sqrt(
            warmup_steps / jnp.maximum(step, warmup_steps)
        ),
        "decay_every": lambda step: config.decay_factor ** (step // config.steps_per_decay),
        "linear_decay": lambda step: down(1.0 - progress(step)),
        "cosine_decay": lambda step: down(0.5 * (1.0 + jnp.cos(jnp.pi * progress(step)))),
    }
    unknown = [name for name in config.schedule if name not in factors]
    if unknown:
        raise ValueError(
            f"OptimizerConfig.schedule must hold only {', '.join(factors)}, not {unknown[0]!r}."
        )
    _check_steps(config, decay_steps)

    def schedule(step: Int[Array, ""] | int) -> Float[Array, ""]:
        rate = jnp.float32(config.learning_rate)
        for name in config.schedule:
            rate = rate * factors[name](jnp.asarray(step, jnp.float32))
        return rate

    return schedule


def _check_steps(config: OptimizerConfig, decay_steps: int) -> None:
    """Raises ValueError where a factor lacks the warmup steps it needs, or the decay ends before the warmup."""
    for factor in ("linear_warmup", "rsqrt_decay", "rsqrt_normalized_decay"):
        if factor in config.schedule and not config.warmup_steps:
            raise ValueError(
                f"OptimizerConfig.schedule has '{factor}', which needs OptimizerConfig.warmup_steps of at least 1."
            )
    decays = {"linear_decay", "cosine_decay"} & set(config.schedule)
    if decays and decay_steps <= config.warmup_steps:
        raise ValueError(
            f"OptimizerConfig.decay_steps ({decay_steps}; by default the run's number of steps) must be more than "
            f"OptimizerConfig.warmup_steps ({config.warmup_steps})."
        )


def stacked_params(logical_axes: PyTree) -> PyTree[bool]:
    """Which parameters hold a stack of layers in their first dimension, named "layers".

    Raises:
        ValueError: "layers" names another dimension than the first.
    """

    def is_stacked(axes: tuple[str | None, ...]) -> bool:
        if "layers" in axes[1:]:
            raise ValueError(
                f"Logical axes {axes} must name 'layers' first: scan over dimension 0."
            )
        return axes[:1] == ("layers",)

    return jax.tree.map(is_stacked, logical_axes, is_leaf=lambda node: isinstance(node, tuple))


def _per_layer(
    transform: optax.GradientTransformation, stacked: PyTree[bool]
) -> optax.GradientTransformation:
    """The same stateless transformation, of each leaf and each layer of a stacked leaf on its own."""

    def update(
        updates: Params, state: optax.OptState, params: Params | None = None
    ) -> tuple[Params, optax.OptState]:
        def of_leaf(is_stacked: bool, update: Array, param: Array) -> Array:
            def of_layer(update: Array, param: Array) -> Array:
                return transform.update(update, state, param)[0]

            return (jax.vmap(of_layer) if is_stacked else of_layer)(update, param)

        return jax.tree.map(of_leaf, stacked, updates, params), state

    return optax.GradientTransformation(transform.init, update)


def _factored_rms_per_layer(stacked: PyTree[bool]) -> optax.GradientTransformation:
    """optax.scale_by_factored_rms whose statistics of a stacked leaf are those of its layers, stacked."""
    transform = optax.scale_by_factored_rms()
    # One step counter for all: not mapped, neither in nor out.
    of_layers = optax.FactoredState(count=None, v_row=0, v_col=0, v=0)

    def gather(states: PyTree, count: Int[Array, ""]) -> optax.FactoredState:
        def field(name: str) -> Params:
            return jax.tree.map(lambda _, state: getattr(state, name), stacked, states)

        return optax.FactoredState(count, field("v_row"), field("v_col"), field("v"))

    def init(params: Params) -> optax.FactoredState:
        def of_leaf(is_stacked: bool, param: Array) -> optax.FactoredState:
            mapped = jax.vmap(transform.init, out_axes=of_layers)
            return (mapped if is_stacked else transform.init)(param)

        return gather(jax.tree.map(of_leaf, stacked, params), jnp.zeros([], jnp.int32))

    def update(
        updates: Params, state: optax.FactoredState, params: Params | None = None
    ) -> tuple[Params, optax.FactoredState]:
        def of_leaf(
            is_stacked: bool, update: Array, v_row: Array, v_col: Array, v: Array, param: Array
        ) -> tuple[Array, optax.FactoredState]:
            mapped = jax.vmap(transform.update, (0, of_layers, 0), (0, of_layers))
            leaf_state = optax.FactoredState(state.count, v_row, v_col, v)
            return (mapped if is_stacked else transform.update)(update, leaf_state, param)

        pairs = jax.tree.map(of_leaf, stacked, updates, state.v_row, state.v_col, state.v, params)
        scaled, states = (
            jax.tree.map(lambda _, pair, index=index: pair[index], stacked, pairs)
            for index in (0, 1)
        )
        return scaled, gather(states, optax.safe_increment(state.count))

    return optax.GradientTransformation(init, update)


def _adafactor(
    schedule: Schedule, weight_decay: float, decayed: PyTree[bool], stacked: PyTree[bool]
) -> optax.GradientTransformation:
    """optax.adafactor with its defaults, which are t5x's, each layer of a stack on its own.

    Without stacked parameters the updates equal optax.adafactor's to the bit. As in t5x, weight decay is not
    multiplied by the learning rate.
    """
    steps = [
        _factored_rms_per_layer(stacked),
        _per_layer(optax.clip_by_block_rms(1.0), stacked),
        optax.scale_by_learning_rate(schedule, flip_sign=False),
        _per_layer(optax.scale_by_param_block_rms(), stacked),
    ]
    if weight_decay:
        steps.append(optax.add_decayed_weights(weight_decay, mask=decayed))
    return optax.chain(*steps, optax.scale(-1.0))


def _decayed(config: OptimizerConfig, logical_axes: PyTree, stacked: PyTree[bool]) -> PyTree[bool]:
    """Which parameters weight decay shrinks."""
    names = [name for name, _ in param_trees.leaves(logical_axes)]
    kept = param_trees.select(names, config.not_decayed, field="OptimizerConfig.not_decayed")

    def is_decayed(
        path: jax.tree_util.KeyPath, is_stacked: bool, axes: tuple[str | None, ...]
    ) -> bool:
        return len(axes) - is_stacked > 1 and sharding.path_name(path) not in kept

    return jax.tree_util.tree_map_with_path(is_decayed, stacked, logical_axes)


def make_optimizer(
    config: OptimizerConfig, num_steps: int, logical_axes: PyTree
) -> optax.GradientTransformation:
    """The optimizer of the config for parameters with these logical axes (`model.logical_axes()`).

    The axes say which parameters are stacks of layers, and how many dimensions a parameter has per layer: those with
    one, norm scales, are not decayed.

    Raises:
        ValueError: the schedule cannot work, or a pattern of `not_decayed` matches no parameter.
    """
    schedule = make_schedule(config, num_steps)
    stacked = stacked_params(logical_axes)
    decayed = _decayed(config, logical_axes, stacked)
    if config.name == "adafactor":
        optimizer = _adafactor(schedule, config.weight_decay, decayed, stacked)
    elif config.name == "adamw":
        optimizer = optax.adamw(
            schedule,
            b1=config.beta1,
            b2=config.beta2,
            weight_decay=config.weight_decay,
            mask=decayed,
        )
    else:
        raise ValueError(f"OptimizerConfig.name must be adafactor or adamw, not {config.name!r}.")
    if config.max_grad_norm:
        return optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optimizer)
    return optimizer
