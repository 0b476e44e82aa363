"""What the shapes of a T5's parameters tell of its `ModelConfig`."""

from collections.abc import Mapping
import re

from flantune.interop import param_source

_EMBEDDING = "token_embedder/embedding"
_LOGITS = "decoder/logits_dense/kernel"
_LAYER = re.compile(r"(encoder|decoder)/layers_(\d+)/")


def infer_model_dimensions(arrays: Mapping[str, param_source.ArrayInfo]) -> dict[str, object]:
    """Fields of `ModelConfig` by name: sizes, numbers of layers, and which variant of T5 it is.

    Two names are conventions, not read from shapes: a gated MLP is taken for ('gelu', 'linear'), a plain one for ('relu',), as
    in all published models. Dropout, the activations' dtype and the greatest distance of position biases leave no trace.

    Args:
        arrays: those of a `ParamSource`.

    Raises:
        ValueError: they are not those of a T5 encoder-decoder.
    """

    def shape(name: str, rank: int = 2) -> tuple[int, ...]:
        if name not in arrays or len(arrays[name].shape) != rank:
            found = f"has shape {arrays[name].shape}" if name in arrays else "is missing"
            raise ValueError(
                f"These are not the parameters of a T5 encoder-decoder: {name!r} {found}."
            )
        return arrays[name].shape

    vocab_size, emb_dim = shape(_EMBEDDING)
    per_layer = "encoder/relpos_bias/rel_embedding" not in arrays
    first = "encoder/layers_0"
    num_heads, num_buckets = shape(f"{first if per_layer else 'encoder'}/relpos_bias/rel_embedding")
    joined = shape(f"{first}/attention/query/kernel")[1]
    if joined % num_heads:
        raise ValueError(
            f"'{first}/attention/query/kernel' has {joined} outputs, which {num_heads} heads (those of rel_embedding) do "
            "not divide."
        )
    gated = f"{first}/mlp/wi_0/kernel" in arrays
    return {
        "vocab_size": vocab_size,
        "emb_dim": emb_dim,
        "num_heads": num_heads,
        "head_dim": joined // num_heads,
        "mlp_dim": shape(f"{first}/mlp/{'wi_0' if gated else 'wi'}/kernel")[1],
        "num_encoder_layers": _num_layers(arrays, "encoder"),
        "num_decoder_layers": _num_layers(arrays, "decoder"),
        "mlp_activations": ("gelu", "linear") if gated else ("relu",),
        "logits_via_embedding": _LOGITS not in arrays,
        "relative_attention_num_buckets": num_buckets,
        "relative_attention_per_layer": per_layer,
    }


def _num_layers(arrays: Mapping[str, param_source.ArrayInfo], tower: str) -> int:
    matches = filter(None, map(_LAYER.match, arrays))
    numbers = {int(match[2]) for match in matches if match[1] == tower}
    if numbers != set(range(len(numbers))) or not numbers:
        raise ValueError(f"The {tower} should have layers 0, 1, ..., but has {sorted(numbers)}.")
    return len(numbers)
