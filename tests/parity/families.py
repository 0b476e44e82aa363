"""One tiny model of each family with numbers that no library's random generator decides, and what our code makes of it."""

import dataclasses
import functools
import zlib

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np

from flantune.configs import ModelConfig
from flantune.inference import beam, decoding, scoring
from flantune.models import t5
from flantune.training import loss as loss_lib

NUM_BEAMS, DECODE_LENGTH = 4, 24
_SIZES = {
    "vocab_size": 64,
    "emb_dim": 16,
    "num_heads": 2,
    "head_dim": 6,
    "mlp_dim": 24,
    "num_encoder_layers": 2,
    "num_decoder_layers": 2,
    "dropout_rate": 0.0,
    "dtype": "float32",
    "scan_layers": False,
}
_CHANGES = {
    "t5_1_0": {"mlp_activations": ("relu",), "logits_via_embedding": True},
    "t5_1_1": {},
    "mt5": {"vocab_size": 80},
    "byt5": {"vocab_size": 384, "num_encoder_layers": 3, "num_decoder_layers": 1},
    "umt5": {"vocab_size": 96, "relative_attention_per_layer": True},
}
MODELS = {name: ModelConfig(**_SIZES | changes) for name, changes in _CHANGES.items()}
TYPES = {"mt5": "mt5", "umt5": "umt5"}  # model_type in config.json; "t5" of the others
EOS = 1
# How much likelier the EOS is than other tokens, so that greedy and beam search end and do not end at once.
_EOS_LOGIT = 2.2


def params(family):
    """Parameters by rule: of each name its own normal numbers, float32, and a bias to the EOS."""
    shapes = jax.eval_shape(t5.EncoderDecoder(MODELS[family]).init, jax.random.key(0))
    return jax.tree_util.tree_map_with_path(functools.partial(_array, family), shapes)


def _array(family, path, leaf):
    name = "/".join(key.key for key in path)
    # The legacy generator: its numbers never change.
    random = np.random.RandomState(zlib.crc32(f"{family}/{name}".encode()))
    numbers = random.standard_normal(leaf.shape)
    if name.endswith("scale"):
        numbers = 1 + 0.1 * numbers
        if name == "decoder/decoder_norm/scale":
            numbers[0] = 1.0
    elif name.endswith("kernel"):
        numbers /= np.sqrt(leaf.shape[0])
    # Dimension 0 is the same for all tokens, and no layer writes to it: after the decoder it still says "EOS".
    if name.endswith(("out/kernel", "wo/kernel")):
        numbers[:, 0] = 0.0
    if name == "token_embedder/embedding":
        numbers[:, 0] = 3.0
        if MODELS[family].logits_via_embedding:
            numbers[EOS, 0] += 4 * _EOS_LOGIT
    if name == "decoder/logits_dense/kernel":
        numbers *= 2.0
        numbers[0] = 0.0
        numbers[0, EOS] = _EOS_LOGIT
    return numbers.astype(np.float32)


def rounded(parameters):
    """Parameters as a bfloat16 file holds them, in float32."""
    return jax.tree.map(lambda leaf: leaf.astype(ml_dtypes.bfloat16).astype(np.float32), parameters)


def batch(family):
    """Three examples of different lengths; the longest uses most buckets of the position biases."""
    random = np.random.RandomState(zlib.crc32(family.encode()))

    def rows(lengths):
        table = np.zeros((len(lengths), max(lengths)), np.int32)
        for row, length in zip(table, lengths, strict=True):
            row[:length] = [*random.randint(2, MODELS[family].vocab_size, length - 1), EOS]
        return table

    inputs, targets = rows((5, 60, 17)), rows((12, 4, 7))
    return {
        "encoder_input_tokens": inputs,
        "decoder_target_tokens": targets,
        "decoder_input_tokens": np.pad(targets, ((0, 0), (1, 0)))[:, :-1],
    }


def _tokens_of(examples):
    return {name: value for name, value in examples.items() if name.endswith("_tokens")}


def narrow_logits(model, parameters, examples):
    """Logits with activations in bfloat16, float32."""
    network = t5.EncoderDecoder(dataclasses.replace(model, dtype="bfloat16"))
    return np.asarray(jax.jit(network.apply)(parameters, _tokens_of(examples)), np.float32)


def ours(model, parameters, examples):
    """Logits, mean loss, score of each target, greedy tokens, beam tokens and scores (best first)."""
    network = t5.EncoderDecoder(model)
    targets = jnp.asarray(examples["decoder_target_tokens"])
    inputs = jnp.asarray(examples["encoder_input_tokens"])
    weights = jnp.asarray(targets > 0, jnp.float32)
    tokens = _tokens_of(examples)

    @jax.jit
    def run(parameters):
        logits = network.apply(parameters, tokens)
        sums = loss_lib.loss_sums(logits, targets, weights, z_loss=0.0)
        found = beam.beam_search(
            network,
            parameters,
            inputs,
            num_beams=NUM_BEAMS,
            max_decode_length=DECODE_LENGTH,
            alpha=0.0,
        )
        return {
            "logits": logits,
            "loss": sums.loss / sums.weight,
            "scores": jnp.sum(scoring.target_log_probs(logits, targets) * weights, axis=-1),
            "greedy": decoding.greedy(network, parameters, inputs, max_decode_length=DECODE_LENGTH),
            "beam": found.tokens,
            "beam_scores": found.scores,
        }

    return {name: np.asarray(value, _dtype(name)) for name, value in run(parameters).items()}


def _dtype(name):
    return np.int32 if name in ("greedy", "beam") else np.float32


def differences(found, expected, examples):
    """The largest difference of each output; of tokens, how many rows differ. Padded targets have no meaning."""
    real = examples["decoder_target_tokens"] > 0
    gaps = {
        name: float(np.abs(found[name] - expected[name]).max())
        for name in ("loss", "scores", "beam_scores")
    }
    for name in ("greedy", "beam"):
        gaps[name] = int((found[name] != expected[name]).any(axis=-1).sum())
    return gaps | {"logits": float(np.abs(found["logits"] - expected["logits"])[real].max())}
