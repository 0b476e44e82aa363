"""Token cross entropy with z-loss and label smoothing, as sums.

Here: sums over tokens and their weights, so that a step divides once, by all real target tokens, however many
microbatches or devices they came from. Not here: the division and the gradient, which are in `step.py`; read it next.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class LossSums:
    """Sums over the tokens of a batch, each token times its weight.

    Attributes:
        loss: cross entropy plus z-loss, in nats: what is minimised.
        cross_entropy: in nats; with label smoothing, less the entropy of the smoothed target, so that the best is 0.
        z_loss: already times its coefficient.
        correct: tokens whose largest logit is the target's.
        weight: of all tokens; the number of real target tokens when weights are 0 and 1.
    """

    loss: Float[Array, ""]
    cross_entropy: Float[Array, ""]
    z_loss: Float[Array, ""]
    correct: Float[Array, ""]
    weight: Float[Array, ""]


def cross_entropy(
    logits: Float[Array, "*batch length vocab"],
    targets: Int[Array, "*batch length"],
    *,
    label_smoothing: float = 0.0,
) -> tuple[Float[Array, "*batch length"], Float[Array, "*batch length"]]:
    """Cross entropy of each token in nats, and the log-partition of its logits, both float32.

    The target keeps probability 1 - s; the other vocab - 1 entries (padding rows of the embedding included, as in
    t5x) share s. The entropy of that distribution is subtracted.
    Source: t5x/losses.py:27-58 and :160-175.
    """
    logits = logits.astype(jnp.float32)
    vocab = logits.shape[-1]
    log_partition = jax.nn.logsumexp(logits, axis=-1)
    # A comparison with the vocabulary's index, not a gather: it stays local when the vocabulary is sharded, and XLA
    # fuses it into the sum without an array of the logits' size.
    is_target = jnp.arange(vocab) == targets[..., None]
    target_logit = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    if not label_smoothing:
        return log_partition - target_logit, log_partition
    confidence, other = 1.0 - label_smoothing, label_smoothing / (vocab - 1)
    # -sum(q * (logits - log_partition)) for q = other everywhere plus (confidence - other) on the target.
    nats = log_partition - (confidence - other) * target_logit - other * jnp.sum(logits, axis=-1)
    entropy = -(confidence * jnp.log(confidence) + (vocab - 1) * other * jnp.log(other + 1e-20))
    return nats - entropy, log_partition


def loss_sums(
    logits: Float[Array, "*batch length vocab"],
    targets: Int[Array, "*batch length"],
    weights: Float[Array, "*batch length"],
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> LossSums:
    """Loss, its parts, correct predictions and weight, each summed over all tokens.

    z-loss is `z_loss` times the squared log-partition: it keeps logits near zero in bfloat16 (PaLM, section 5,
    https://arxiv.org/abs/2204.02311).
    """
    nats, log_partition = cross_entropy(logits, targets, label_smoothing=label_smoothing)
    weights = weights.astype(jnp.float32)
    cross_entropy_sum = jnp.sum(nats * weights)
    z_loss_sum = jnp.sum(z_loss * jnp.square(log_partition) * weights)
    return LossSums(
        loss=cross_entropy_sum + z_loss_sum,
        cross_entropy=cross_entropy_sum,
        z_loss=z_loss_sum,
        correct=jnp.sum((jnp.argmax(logits, axis=-1) == targets) * weights),
        weight=jnp.sum(weights),
    )
