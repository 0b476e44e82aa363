"""Token cross entropy with z-loss and label smoothing, as sums; from logits, or from chunks of them.

Here: sums over tokens and their weights, so that a step divides once, by all real target tokens, however many
microbatches or devices they came from. Not here: the division and the gradient, which are in `step.py`; read it next.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int


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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenLosses:
    """What each token costs, before weights.

    Attributes:
        cross_entropy: in nats, float32.
        log_partition: of the token's logits, in nats, float32.
        correct: the largest logit is the target's.
    """

    cross_entropy: Float[Array, "*batch length"]
    log_partition: Float[Array, "*batch length"]
    correct: Bool[Array, "*batch length"]


def token_losses(
    logits: Float[Array, "*batch length vocab"],
    targets: Int[Array, "*batch length"],
    *,
    label_smoothing: float = 0.0,
) -> TokenLosses:
    """Cross entropy of each token from its logits, computed in float32.

    The target keeps probability 1 - s; the other vocab - 1 entries (padding rows of the embedding included, as in
    t5x) share s. The entropy of that distribution is subtracted.
    Source: t5x/losses.py:27-58 and :160-175.
    """
    logits = logits.astype(jnp.float32)
    # A comparison with the vocabulary's index, not a gather: it stays local when the vocabulary is sharded, and XLA
    # fuses it into the sum without an array of the logits' size.
    is_target = jnp.arange(logits.shape[-1]) == targets[..., None]
    log_partition = jax.nn.logsumexp(logits, axis=-1)
    target = jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1)
    total = jnp.sum(logits, axis=-1) if label_smoothing else None
    nats = _cross_entropy(log_partition, target, total, logits.shape[-1], label_smoothing)
    correct = jnp.argmax(logits, axis=-1) == targets
    return TokenLosses(cross_entropy=nats, log_partition=log_partition, correct=correct)


def _cross_entropy(
    log_partition: Float[Array, "*batch length"],
    target: Float[Array, "*batch length"],
    total: Float[Array, "*batch length"] | None,
    vocab: int,
    label_smoothing: float,
) -> Float[Array, "*batch length"]:
    """Cross entropy from the log-partition, the target's logit and, for smoothing, the sum of all logits."""
    if total is None:
        return log_partition - target
    confidence, other = 1.0 - label_smoothing, label_smoothing / (vocab - 1)
    # -sum(q * (logits - log_partition)) for q = other everywhere plus (confidence - other) on the target.
    nats = log_partition - (confidence - other) * target - other * total
    entropy = -(confidence * jnp.log(confidence) + (vocab - 1) * other * jnp.log(other + 1e-20))
    return nats - entropy


class _Running(NamedTuple):
    """Statistics of each token over the chunks so far."""

    largest: Float[Array, "*batch length"]
    best: Int[Array, "*batch length"]
    partition: Float[Array, "*batch length"]  # sum of exp(logit - largest)
    target: Float[Array, "*batch length"]
    total: Float[Array, "*batch length"]


def chunked_token_losses(
    hidden: Float[Array, "*batch length emb"],
    kernel: Float[Array, "emb vocab"],
    targets: Int[Array, "*batch length"],
    *,
    num_chunks: int,
    label_smoothing: float = 0.0,
) -> TokenLosses:
    """`token_losses(hidden @ kernel, targets)` without ever holding all logits.

    The vocabulary is cut into chunks, and the backward pass makes the logits of each chunk again. Chunk c holds the
    entries c, c + num_chunks, ...: so a vocabulary that is sharded over devices stays where it is.

    Raises:
        ValueError: the chunks do not divide the vocabulary.
    """
    vocab = kernel.shape[-1]
    if vocab % num_chunks:
        raise ValueError(
            f"OptimizerConfig.vocabulary_chunks ({num_chunks}) must divide ModelConfig.vocab_size ({vocab})."
        )
    hidden = hidden.astype(jnp.float32)
    chunks = jnp.moveaxis(kernel.reshape(kernel.shape[0], -1, num_chunks), 2, 0)

    @jax.checkpoint
    def add_chunk(
        before: _Running, chunk: tuple[Float[Array, "emb part"], Int[Array, ""]]
    ) -> tuple[_Running, None]:
        part, first = chunk
        logits = hidden @ part
        ids = first + num_chunks * jnp.arange(part.shape[-1])
        own_best = jnp.argmax(logits, axis=-1)
        own_largest = jnp.max(logits, axis=-1)
        # Of equal logits the first entry of the vocabulary wins, as in argmax over all.
        is_better = (own_largest > before.largest) | (
            (own_largest == before.largest) & (ids[own_best] < before.best)
        )
        largest = jax.lax.stop_gradient(jnp.maximum(before.largest, own_largest))
        partition = before.partition * jnp.exp(
            jax.lax.stop_gradient(before.largest) - largest
        ) + jnp.sum(jnp.exp(logits - largest[..., None]), axis=-1)
        is_target = ids == targets[..., None]
        return _Running(
            largest=largest,
            best=jnp.where(is_better, ids[own_best], before.best),
            partition=partition,
            target=before.target + jnp.sum(jnp.where(is_target, logits, 0.0), axis=-1),
            total=before.total + jnp.sum(logits, axis=-1),
        ), None

    zeros = jnp.zeros(targets.shape, jnp.float32)
    start = _Running(zeros - jnp.inf, jnp.zeros(targets.shape, jnp.int32), zeros, zeros, zeros)
    found, _ = jax.lax.scan(add_chunk, start, (chunks, jnp.arange(num_chunks)))
    log_partition = found.largest + jnp.log(found.partition)
    total = found.total if label_smoothing else None
    nats = _cross_entropy(log_partition, found.target, total, vocab, label_smoothing)
    return TokenLosses(
        cross_entropy=nats, log_partition=log_partition, correct=found.best == targets
    )


def sum_losses(
    tokens: TokenLosses, weights: Float[Array, "*batch length"], *, z_loss: float = 0.0
) -> LossSums:
    """Loss, its parts, correct predictions and weight, each summed over all tokens.

    z-loss is `z_loss` times the squared log-partition: it keeps logits near zero in bfloat16 (PaLM, section 5,
    https://arxiv.org/abs/2204.02311).
    """
    weights = weights.astype(jnp.float32)
    cross_entropy_sum = jnp.sum(tokens.cross_entropy * weights)
    z_loss_sum = jnp.sum(z_loss * jnp.square(tokens.log_partition) * weights)
    return LossSums(
        loss=cross_entropy_sum + z_loss_sum,
        cross_entropy=cross_entropy_sum,
        z_loss=z_loss_sum,
        correct=jnp.sum(tokens.correct * weights),
        weight=jnp.sum(weights),
    )


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskSums:
    """Sums over the tokens of each task.

    Attributes:
        cross_entropy: in nats, times the tokens' weights.
        weight: of the tokens.
    """

    cross_entropy: Float[Array, "tasks"]
    weight: Float[Array, "tasks"]


def sum_by_task(
    tokens: TokenLosses,
    weights: Float[Array, "*batch length"],
    task_ids: Int[Array, "*batch length"],
    num_tasks: int,
) -> TaskSums:
    """Cross entropy and weight of the tokens of each task 0, 1, ...; tokens of other ids (-1: padding) count nowhere."""
    weights = weights.astype(jnp.float32)
    ids = task_ids.reshape(-1)

    def summed(values: Float[Array, "*batch length"]) -> Float[Array, "tasks"]:
        return jax.ops.segment_sum(values.reshape(-1), ids, num_tasks)

    return TaskSums(
        cross_entropy=summed(tokens.cross_entropy * weights),
        weight=summed(weights),
    )


def loss_sums(
    logits: Float[Array, "*batch length vocab"],
    targets: Int[Array, "*batch length"],
    weights: Float[Array, "*batch length"],
    *,
    z_loss: float = 0.0,
    label_smoothing: float = 0.0,
) -> LossSums:
    """`sum_losses` of `token_losses`."""
    tokens = token_losses(logits, targets, label_smoothing=label_smoothing)
    return sum_losses(tokens, weights, z_loss=z_loss)
