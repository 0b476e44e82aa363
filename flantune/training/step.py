"""One training step: loss, gradient, update and metrics, as a pure function under jit.

Here: `make_train_step`. The gradient is that of the summed loss, divided once by the number of real target tokens, so
neither packing, padding nor the number of devices changes the weight of a token. Read `trainer.py` next: the loop.
"""

from collections.abc import Callable, Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PRNGKeyArray, Shaped
import optax

from flantune.configs import OptimizerConfig
from flantune.training import loss, optimizers, sharding, state as state_lib

Batch = Mapping[str, Shaped[Array, "batch ..."]]
Metrics = dict[str, Float[Array, ""]]
TrainStep = Callable[[state_lib.TrainState, Batch], tuple[state_lib.TrainState, Metrics]]


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


def gradient_sums(
    model: state_lib.Model,
    params: state_lib.Params,
    batch: Batch,
    dropout_rng: PRNGKeyArray | None,
    config: OptimizerConfig,
) -> tuple[state_lib.Params, loss.LossSums]:
    """Gradient of the loss summed over the batch's target tokens, not yet divided, and the sums."""

    def summed_loss(params: state_lib.Params) -> tuple[Float[Array, ""], loss.LossSums]:
        tokens = token_losses(model, params, batch, dropout_rng, config)
        sums = loss.sum_losses(tokens, batch["decoder_loss_weights"], z_loss=config.z_loss)
        return sums.loss, sums

    return jax.grad(summed_loss, has_aux=True)(params)


def _token_metrics(sums: loss.LossSums, batch: Batch) -> Metrics:
    num_target_tokens = jnp.maximum(sums.weight, 1.0)
    return {
        "loss": sums.loss / num_target_tokens,
        "cross_entropy": sums.cross_entropy / num_target_tokens,
        "z_loss": sums.z_loss / num_target_tokens,
        "accuracy": sums.correct / num_target_tokens,
        "num_target_tokens": sums.weight,
        "num_input_tokens": jnp.sum(batch["encoder_input_tokens"] != 0).astype(jnp.float32),
    }


def make_train_step(
    *,
    model: state_lib.Model,
    optimizer: optax.GradientTransformation,
    optimizer_config: OptimizerConfig,
    num_steps: int,
    mesh: Mesh,
    rules: sharding.AxisRules,
    seed: int,
) -> TrainStep:
    """A jitted `train_step(state, batch) -> (state, metrics)`; call it under `jax.set_mesh(mesh)`.

    The given state is donated: its arrays are gone after the call. Metrics are float32 scalars on every device: loss
    (with z-loss), cross_entropy, z_loss in nats per target token; accuracy; num_target_tokens, num_input_tokens
    (padding not counted); grad_norm (before clipping), param_norm (before the update), learning_rate.
    """
    schedule = optimizers.make_schedule(optimizer_config, num_steps)
    abstract = state_lib.abstract_state(model, optimizer, mesh, rules)
    replicated = NamedSharding(mesh, PartitionSpec())

    def train_step(
        state: state_lib.TrainState, batch: Batch
    ) -> tuple[state_lib.TrainState, Metrics]:
        if jax.sharding.get_abstract_mesh().empty:
            # Otherwise the model's constraints on activations would silently do nothing.
            raise RuntimeError("Call train_step under `with jax.set_mesh(mesh):`.")
        rng = dropout_key(seed, state.step)
        with nn.logical_axis_rules(sharding.activation_rules(rules)):
            sums_gradient, sums = gradient_sums(model, state.params, batch, rng, optimizer_config)
        weight = jnp.maximum(sums.weight, 1.0)
        gradient = jax.tree.map(lambda leaf: leaf / weight, sums_gradient)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        metrics = _token_metrics(sums, batch) | {
            "grad_norm": optax.tree.norm(gradient),
            "param_norm": optax.tree.norm(state.params),
            "learning_rate": schedule(state.step),
        }
        params = optax.apply_updates(state.params, updates)
        new_state = state_lib.TrainState(step=state.step + 1, params=params, opt_state=opt_state)
        return new_state, metrics

    return jax.jit(
        train_step,
        donate_argnums=0,
        out_shardings=(state_lib.shardings_of(abstract), replicated),
    )
