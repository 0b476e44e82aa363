"""One training step: loss, gradient, update and metrics, as a pure function under jit.

Here: `make_train_step`. The gradient is that of the summed loss, divided once by the number of real target tokens, so
neither packing, padding nor the number of devices changes the weight of a token. Read `trainer.py` next: the loop.
"""

from collections.abc import Callable, Mapping
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped
import optax

from flantune.configs import OptimizerConfig
from flantune.training import loss, optimizers, partial, sharding, state as state_lib

Batch = Mapping[str, Shaped[Array, "batch ..."]]
AbstractBatch = Mapping[str, jax.ShapeDtypeStruct]
Metrics = dict[str, Float[Array, "*tasks"]]
TASK_CROSS_ENTROPY, TASK_WEIGHT = "task_cross_entropy", "task_weight"
BAD_STEPS = "num_bad_steps"
# Of a state, a batch and, for a `PartialModel`, its frozen parameters.
TrainStep = Callable[..., tuple[state_lib.TrainState, Metrics]]


def dropout_key(seed: int, step: Shaped[Array, ""] | int) -> PRNGKeyArray:
    """The key for dropout in one step: a pure function of both, so a resumed run draws the same masks."""
    return jax.random.fold_in(state_lib.purpose_key(seed, state_lib.DROPOUT_PURPOSE), step)


def token_losses(
    model: state_lib.Model,
    params: state_lib.Params,
    batch: Batch,
    dropout_rng: PRNGKeyArray | None,
    config: OptimizerConfig,
) -> loss.TokenLosses:
    """What each target token of a batch costs; with `vocabulary_chunks`, never all logits at once."""
    targets, smoothing = batch["decoder_target_tokens"], config.label_smoothing
    if config.vocabulary_chunks == 1:
        logits = model.apply(params, batch, dropout_rng=dropout_rng)
        return loss.token_losses(logits, targets, label_smoothing=smoothing)
    return loss.chunked_token_losses(
        model.hidden(params, batch, dropout_rng=dropout_rng),
        model.output_kernel(params),
        targets,
        num_chunks=config.vocabulary_chunks,
        label_smoothing=smoothing,
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchSums:
    """What is summed over the target tokens of a batch, whole or in parts.

    Attributes:
        gradient: of the summed loss, not yet divided.
        losses: of all tokens.
        tasks: of each task's tokens; None where nothing asks for them.
    """

    gradient: PyTree
    losses: loss.LossSums
    tasks: loss.TaskSums | None


def batch_sums(
    model: state_lib.Model,
    params: state_lib.Params,
    batch: Batch,
    dropout_rng: PRNGKeyArray | None,
    config: OptimizerConfig,
    *,
    num_tasks: int = 0,
) -> BatchSums:
    """Gradient and losses of a batch, summed over its target tokens.

    With `num_tasks`, those of each task too, by the batch's `decoder_task_ids`: no second pass of the model.
    """

    def summed_loss(
        params: state_lib.Params,
    ) -> tuple[Float[Array, ""], tuple[loss.LossSums, loss.TaskSums | None]]:
        tokens = token_losses(model, params, batch, dropout_rng, config)
        weights = batch["decoder_loss_weights"]
        sums = loss.sum_losses(tokens, weights, z_loss=config.z_loss)
        if not num_tasks:
            return sums.loss, (sums, None)
        ids = batch["decoder_task_ids"]
        return sums.loss, (sums, loss.sum_by_task(tokens, weights, ids, num_tasks))

    gradient, (losses, tasks) = jax.grad(summed_loss, has_aux=True)(params)
    return BatchSums(gradient=gradient, losses=losses, tasks=tasks)


def accumulated_sums(
    model: state_lib.Model,
    params: state_lib.Params,
    batch: Batch,
    dropout_rng: PRNGKeyArray,
    config: OptimizerConfig,
    *,
    num_tasks: int = 0,
) -> BatchSums:
    """`batch_sums` in `config.microbatches` parts, one after another.

    Row r belongs to part r modulo their number, so every device keeps its own rows.

    Raises:
        ValueError: the parts do not divide the rows.
    """
    parts = config.microbatches
    if parts == 1:
        return batch_sums(model, params, batch, dropout_rng, config, num_tasks=num_tasks)
    rows = len(batch["decoder_target_tokens"])
    if rows % parts:
        raise ValueError(
            f"OptimizerConfig.microbatches ({parts}) must divide DataConfig.batch_size ({rows})."
        )

    def cut(array: Shaped[Array, "batch ..."]) -> Shaped[Array, "parts rows ..."]:
        dealt = jnp.moveaxis(array.reshape(-1, parts, *array.shape[1:]), 1, 0)
        return nn.with_logical_constraint(dealt, (None, "batch", *[None] * (array.ndim - 1)))

    def sums_of(part: Batch, number: Int[Array, ""]) -> BatchSums:
        rng = jax.random.fold_in(dropout_rng, number)
        return batch_sums(model, params, part, rng, config, num_tasks=num_tasks)

    def add(before: BatchSums, part: tuple[Batch, Int[Array, ""]]) -> tuple[BatchSums, None]:
        return jax.tree.map(jnp.add, before, sums_of(*part)), None

    cut_batch, numbers = jax.tree.map(cut, dict(batch)), jnp.arange(parts)
    zeros = _no_sums(params, num_tasks)
    return jax.lax.scan(add, zeros, (cut_batch, numbers))[0]


def _no_sums(params: state_lib.Params, num_tasks: int) -> BatchSums:
    """The sums over no tokens."""
    zero, zeros = jnp.zeros(()), jnp.zeros(num_tasks)
    return BatchSums(
        gradient=jax.tree.map(jnp.zeros_like, params),
        losses=loss.LossSums(loss=zero, cross_entropy=zero, z_loss=zero, correct=zero, weight=zero),
        tasks=loss.TaskSums(cross_entropy=zeros, weight=zeros) if num_tasks else None,
    )


def _token_metrics(sums: loss.LossSums, batch: Batch) -> Metrics:
    num_target_tokens = jnp.maximum(sums.weight, 1.0)
    return {
        "loss": sums.loss / num_target_tokens,
        "cross_entropy": sums.cross_entropy / num_target_tokens,
        "z_loss": sums.z_loss / num_target_tokens,
        "accuracy": sums.correct / num_target_tokens,
        "num_target_tokens": sums.weight,
        "num_input_tokens": jnp.sum(batch["encoder_input_tokens"] != 0).astype(jnp.float32),
        "num_examples": _num_examples(batch).astype(jnp.float32),
    }


def _num_examples(batch: Batch) -> Int[Array, ""]:
    """Of packed rows, whose segments count from 1; a row without segments is an example."""
    if "decoder_segment_ids" not in batch:
        return jnp.asarray(len(batch["decoder_target_tokens"]))
    return jnp.sum(jnp.max(batch["decoder_segment_ids"], axis=1))


def _unless_bad(
    new: state_lib.TrainState,
    old: state_lib.TrainState,
    metrics: Metrics,
    tasks: loss.TaskSums | None,
) -> tuple[state_lib.TrainState, Metrics]:
    """The new state, or the old one a step later where loss or gradient is not finite; and all metrics."""
    is_finite = jnp.isfinite(metrics["loss"]) & jnp.isfinite(metrics["grad_norm"])
    metrics = metrics | {BAD_STEPS: 1.0 - is_finite.astype(jnp.float32)}
    if tasks is not None:
        counted = jax.tree.map(lambda leaf: jnp.where(is_finite, leaf, 0.0), tasks)
        metrics |= {TASK_CROSS_ENTROPY: counted.cross_entropy, TASK_WEIGHT: counted.weight}
    unchanged = dataclasses.replace(old, step=new.step)
    kept = jax.tree.map(lambda one, other: jnp.where(is_finite, one, other), new, unchanged)
    return kept, metrics


def _require_mesh() -> None:
    """Raises RuntimeError without a mesh: the model's constraints on activations would silently do nothing."""
    if jax.sharding.get_abstract_mesh().empty:
        raise RuntimeError("Call train_step under `with jax.set_mesh(mesh):`.")


def make_train_step(
    *,
    model: state_lib.Model,
    optimizer: optax.GradientTransformation,
    optimizer_config: OptimizerConfig,
    num_steps: int,
    mesh: Mesh,
    rules: sharding.AxisRules,
    seed: int,
    num_tasks: int = 0,
    abstract: state_lib.TrainState | None = None,
) -> TrainStep:
    """A jitted `train_step(state, batch, frozen=None) -> (state, metrics)`; call it under `jax.set_mesh(mesh)`.

    `frozen` are the other parameters of a `PartialModel`. The given state is donated: its arrays are gone after the
    call. A batch whose loss or gradient is not finite changes nothing but the step, and counts as a bad step.

    Metrics are float32 scalars on every device: loss (with z-loss), cross_entropy, z_loss in nats per target token;
    accuracy; num_target_tokens, num_input_tokens (padding not counted), num_examples; grad_norm (before clipping),
    param_norm (before the update), learning_rate; num_bad_steps (0 or 1). With `num_tasks` also two arrays [tasks]: the
    summed cross entropy of each task's target tokens in nats, and their summed weight. `abstract` is what
    `state.abstract_state` gives, where known.
    """
    schedule = optimizers.make_schedule(optimizer_config, num_steps)
    abstract = abstract or state_lib.abstract_state(model, optimizer, mesh, rules)

    def train_step(
        state: state_lib.TrainState, batch: Batch, frozen: PyTree = None
    ) -> tuple[state_lib.TrainState, Metrics]:
        _require_mesh()
        rng = dropout_key(seed, state.step)
        with nn.logical_axis_rules(sharding.activation_rules(rules)):
            sums = accumulated_sums(
                partial.with_frozen(model, frozen),
                state.params,
                batch,
                rng,
                optimizer_config,
                num_tasks=num_tasks,
            )
        weight = jnp.maximum(sums.losses.weight, 1.0)
        gradient = jax.tree.map(lambda leaf: leaf / weight, sums.gradient)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        new_state = state_lib.TrainState(
            step=state.step + 1,
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
        )
        metrics = _token_metrics(sums.losses, batch) | {
            "grad_norm": optax.tree.norm(gradient),
            "param_norm": optax.tree.norm(state.params),
            "learning_rate": schedule(state.step),
        }
        return _unless_bad(new_state, state, metrics, sums.tasks)

    return jax.jit(
        train_step,
        donate_argnums=0,
        out_shardings=(state_lib.shardings_of(abstract), NamedSharding(mesh, PartitionSpec())),
    )
