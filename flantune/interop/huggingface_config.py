"""`config.json` of a T5 at Hugging Face, and the `ModelConfig` that it means; both ways.

One `model_type` for each family: "t5" (T5 1.0, 1.1, Flan-T5, ByT5), "mt5", "umt5". What our model cannot compute is
refused. Checked against transformers 5.23, where three fields do not mean what they say:

- T5: `tie_word_embeddings: false` means that logits are not scaled by 1/sqrt(d_model). The weights are tied unless the
  file has an `lm_head.weight` of its own. A file that transformers 5 wrote says the former as `scale_decoder_outputs`.
- mT5: logits are never scaled.
- umT5: transformers 5.23 scales logits always, also those of the released models, which t5x and earlier transformers
  do not scale. We follow the latter where the file has an `lm_head.weight` of its own.
"""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from etils import epath

from flantune.configs import ModelConfig

FILE = "config.json"
ARCHITECTURES = {
    "t5": "T5ForConditionalGeneration",
    "mt5": "MT5ForConditionalGeneration",
    "umt5": "UMT5ForConditionalGeneration",
}
_MT5_VOCAB_SIZE = 250112  # of every mT5, and of nothing else (https://arxiv.org/abs/2010.11934)
_NORM_EPSILON = 1e-6  # of our RmsNorm
# `feed_forward_proj` -> our activations. "gelu" alone is the exact one there; ours is tanh's, "gelu_new".
_PROJECTIONS = {
    "relu": ("relu",),
    "gelu_new": ("gelu",),
    "gated-gelu": ("gelu", "linear"),
    "gated-gelu_new": ("gelu", "linear"),
    "gated-relu": ("relu", "linear"),
}
_SIZES = {
    "vocab_size": "vocab_size",
    "d_model": "emb_dim",
    "num_heads": "num_heads",
    "d_kv": "head_dim",
    "d_ff": "mlp_dim",
    "num_layers": "num_encoder_layers",
}
_BUCKETS, _MAX_DISTANCE = "relative_attention_num_buckets", "relative_attention_max_distance"

JsonDict = dict[str, Any]  # Any: whatever JSON holds


def read(folder: epath.PathLike) -> JsonDict:
    """The `config.json` of a folder.

    Raises:
        ValueError: there is none, it is no JSON object, or it is of a model that is no T5.
    """
    file = epath.Path(folder) / FILE
    if not file.exists():
        raise ValueError(f"{folder} is no Hugging Face model: it has no {FILE}.")
    try:
        config = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}.") from error
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"{file} is of model_type {kind!r}; T5 has {', '.join(map(repr, ARCHITECTURES))}."
        )
    return config


def bias_per_layer(config: Mapping[str, Any]) -> bool:
    """Whether each layer has position biases of its own."""
    return config["model_type"] == "umt5"


def scales_tied_logits(config: Mapping[str, Any]) -> bool:
    """Whether logits that are made with the embedding are scaled by 1/sqrt(d_model)."""
    if config["model_type"] == "mt5":
        return False
    if config["model_type"] == "umt5":
        return True
    says_tied = config.get("tie_word_embeddings") is not False
    return bool(config.get("scale_decoder_outputs", says_tied))


def to_model(config: Mapping[str, Any], *, tied: bool, what: str) -> ModelConfig:
    """The model that a `config.json` describes.

    Args:
        config: as `read` gives it.
        tied: whether logits are made with the embedding and scaled (T5 1.0).
        what: the file, for messages.

    Raises:
        ValueError: a size is missing, or our model cannot compute this.
    """
    _check_expressible(config, what)
    missing = [name for name in _SIZES if not isinstance(config.get(name), int)]
    if missing:
        raise ValueError(f"{what} has no whole number for {', '.join(missing)}.")
    sizes: JsonDict = {ours: config[theirs] for theirs, ours in _SIZES.items()}
    defaults = {field.name: field.default for field in dataclasses.fields(ModelConfig)}
    return ModelConfig(
        **sizes,
        num_decoder_layers=_or(config.get("num_decoder_layers"), config["num_layers"]),
        mlp_activations=_PROJECTIONS[_projection(config)],
        logits_via_embedding=tied,
        relative_attention_num_buckets=_or(config.get(_BUCKETS), defaults[_BUCKETS]),
        relative_attention_max_distance=_or(config.get(_MAX_DISTANCE), defaults[_MAX_DISTANCE]),
        relative_attention_per_layer=bias_per_layer(config),
        dropout_rate=_or(config.get("dropout_rate"), defaults["dropout_rate"]),
    )


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _projection(config: Mapping[str, Any]) -> str:
    default = "relu" if config["model_type"] == "t5" else "gated-gelu"  # as in transformers
    return _or(config.get("feed_forward_proj"), default)


def _check_expressible(config: Mapping[str, Any], what: str) -> None:
    epsilon = config.get("layer_norm_epsilon", _NORM_EPSILON)
    if epsilon != _NORM_EPSILON:
        raise ValueError(
            f"{what} has layer_norm_epsilon {epsilon}; flantune's T5 has {_NORM_EPSILON} only."
        )
    if _projection(config) not in _PROJECTIONS:
        raise ValueError(
            f"{what} has feed_forward_proj {_projection(config)!r}; flantune's T5 has {', '.join(_PROJECTIONS)}."
        )
    if config.get("is_encoder_decoder") is False:
        raise ValueError(f"{what} is of an encoder or decoder alone; flantune's T5 has both.")
    if config.get("quantization_config"):
        raise ValueError(
            f"{what} is of a quantized model, which is not read: convert the original."
        )


def from_model(model: ModelConfig, *, dtype: str, family: str | None = None) -> JsonDict:
    """What `config.json` holds for a model.

    Args:
        model: whose parameters are written.
        dtype: of the written arrays, for example "bfloat16".
        family: "t5", "mt5" or "umt5"; None: umt5 where layers have their own biases, mt5 where the vocabulary is mT5's.

    Raises:
        ValueError: transformers has no such T5.
    """
    family = family or _family_of(model)
    backwards = {activations: name for name, activations in reversed(_PROJECTIONS.items())}
    if model.mlp_activations not in backwards:
        allowed = ", ".join(map(str, backwards))
        raise ValueError(
            f"transformers has no T5 with ModelConfig.mlp_activations {model.mlp_activations}; it has {allowed}."
        )
    if family == "mt5" and model.logits_via_embedding:
        raise ValueError("transformers' mT5 scales no logits, as logits_via_embedding asks.")
    return {
        "architectures": [ARCHITECTURES[family]],
        "model_type": family,
        **{theirs: getattr(model, ours) for theirs, ours in _SIZES.items()},
        "num_decoder_layers": model.num_decoder_layers,
        "feed_forward_proj": backwards[model.mlp_activations],
        "tie_word_embeddings": model.logits_via_embedding,
        _BUCKETS: model.relative_attention_num_buckets,
        _MAX_DISTANCE: model.relative_attention_max_distance,
        "dropout_rate": model.dropout_rate,
        "layer_norm_epsilon": _NORM_EPSILON,
        "initializer_factor": 1.0,
        "is_encoder_decoder": True,
        "use_cache": True,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "decoder_start_token_id": 0,
        "torch_dtype": dtype,  # the name that transformers 4 knows; 5 reads it too
    }


def _family_of(model: ModelConfig) -> str:
    if model.relative_attention_per_layer:
        return "umt5"
    is_mt5 = model.vocab_size == _MT5_VOCAB_SIZE and not model.logits_via_embedding
    return "mt5" if is_mt5 else "t5"


def generation_config() -> JsonDict:
    """What `generation_config.json` holds: without it, transformers takes 20 tokens from its own defaults."""
    return {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
