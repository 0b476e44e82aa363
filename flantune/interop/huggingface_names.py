"""Names of T5's parameters at Hugging Face, and ours for them.

    encoder.block.3.layer.0.SelfAttention.q.weight  [outputs, inputs]
    encoder/layers_3/attention/query/kernel         [inputs, outputs]

Matrices are transposed, except the embedding. Source: transformers, `models/t5/modeling_t5.py`. The reader is
`huggingface.py`, the writer `huggingface_writer.py`.
"""

import re

EMBEDDING, LOGITS = "token_embedder/embedding", "decoder/logits_dense/kernel"
SHARED, LM_HEAD = "shared.weight", "lm_head.weight"
# Further names of the embedding, and a table that no model uses: older files hold them.
EMBEDDING_ALIASES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
UNUSED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)

_ATTENTION = {"q": "query", "k": "key", "v": "value", "o": "out"}
_BIAS = "layer.0.SelfAttention.relative_attention_bias.weight"
_OUTSIDE = {
    SHARED: EMBEDDING,
    LM_HEAD: LOGITS,
    "encoder.final_layer_norm.weight": "encoder/encoder_norm/scale",
    "decoder.final_layer_norm.weight": "decoder/decoder_norm/scale",
}


def _attention(place: str, ours: str) -> dict[str, str]:
    return {f"{place}.{x}.weight": f"{ours}/{name}/kernel" for x, name in _ATTENTION.items()}


def _mlp(place: str) -> dict[str, str]:
    names = ("wi", "wi_0", "wi_1", "wo")
    return {f"{place}.DenseReluDense.{name}.weight": f"mlp/{name}/kernel" for name in names} | {
        f"{place}.layer_norm.weight": "pre_mlp_layer_norm/scale"
    }


_IN_LAYER = {
    "encoder": {
        "layer.0.layer_norm.weight": "pre_attention_layer_norm/scale",
        **_attention("layer.0.SelfAttention", "attention"),
        **_mlp("layer.1"),
    },
    "decoder": {
        "layer.0.layer_norm.weight": "pre_self_attention_layer_norm/scale",
        **_attention("layer.0.SelfAttention", "self_attention"),
        "layer.1.layer_norm.weight": "pre_cross_attention_layer_norm/scale",
        **_attention("layer.1.EncDecAttention", "encoder_decoder_attention"),
        **_mlp("layer.2"),
    },
}
_IN_LAYER_BACK = {
    tower: {ours: theirs for theirs, ours in names.items()} for tower, names in _IN_LAYER.items()
}
_OUTSIDE_BACK = {ours: theirs for theirs, ours in _OUTSIDE.items()}
_THEIRS = re.compile(r"(?P<tower>encoder|decoder)\.block\.(?P<layer>\d+)\.(?P<rest>.+)")
_OURS = re.compile(r"(?P<tower>encoder|decoder)/layers_(?P<layer>\d+)/(?P<rest>.+)")
_OUR_BIAS = "relpos_bias/rel_embedding"


def to_ours(name: str, *, bias_per_layer: bool) -> str | None:
    """Our name of a parameter at Hugging Face; None where T5 has no such parameter.

    `bias_per_layer`: of umT5; other models have the tower's position biases in block 0.
    """
    match = _THEIRS.fullmatch(name)
    if match is None:
        return _OUTSIDE.get(name)
    tower, layer, rest = match["tower"], match["layer"], match["rest"]
    if rest == _BIAS:
        if bias_per_layer:
            return f"{tower}/layers_{layer}/{_OUR_BIAS}"
        return f"{tower}/{_OUR_BIAS}" if layer == "0" else None
    ours = _IN_LAYER[tower].get(rest)
    return None if ours is None else f"{tower}/layers_{layer}/{ours}"


def to_theirs(name: str) -> str | None:
    """The name at Hugging Face of a parameter of ours; None where T5 has no such parameter."""
    match = _OURS.fullmatch(name)
    if match is None:
        tower, _, rest = name.partition("/")
        if rest == _OUR_BIAS and tower in _IN_LAYER:
            return f"{tower}.block.0.{_BIAS}"
        return _OUTSIDE_BACK.get(name)
    tower, layer, rest = match["tower"], match["layer"], match["rest"]
    theirs = _BIAS if rest == _OUR_BIAS else _IN_LAYER_BACK[tower].get(rest)
    return None if theirs is None else f"{tower}.block.{layer}.{theirs}"


def is_transposed(name: str) -> bool:
    """Whether a parameter of ours is a matrix that Hugging Face holds the other way round."""
    return name.endswith(("/kernel", "/rel_embedding"))
