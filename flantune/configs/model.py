"""A T5 encoder-decoder and its adapters."""

import dataclasses

from flantune.configs import checks

_ACTIVATIONS = ("gelu", "relu", "linear")
_REMAT = ("none", "full", "dots")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters beside projections (https://arxiv.org/abs/2106.09685); only they are trained.

    The adapted projection of x is W x + alpha / rank * B A dropout(x). B starts at zero, so that the model starts as its
    base, and A as in PEFT: uniform, up to 1 / sqrt(inputs).

    Attributes:
        rank: of A and B, the smaller of their dimensions.
        alpha: scale of the adapters, which count alpha / rank.
        dropout_rate: of what adapters read.
        targets: patterns over the projections. Those are `encoder/layers/attention/query` (key, value, out),
            `encoder/layers/mlp/wo` (wi_0, wi_1; wi where the MLP is not gated) and, of the decoder, the same with
            `self_attention` and `encoder_decoder_attention`. "query" means the projections of that name everywhere,
            "decoder/*/value" those of the decoder. All layers have the same adapters.
    """

    rank: int
    alpha: float
    dropout_rate: float = 0.0
    targets: tuple[str, ...] = ("query", "value")  # the paper's choice, and PEFT's for T5

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        checks.check_positive(self, "rank")
        checks.check_fraction(self, "dropout_rate")
        is_number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not is_number or self.alpha <= 0:
            raise ValueError(f"LoraConfig.alpha must be above 0, not {self.alpha!r}.")
        if not self.targets:
            raise ValueError("LoraConfig.targets must hold at least one pattern, such as 'query'.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Dimensions and switches of a T5 encoder-decoder (T5 1.1 unless a switch says otherwise).

    Attributes:
        vocab_size: rows of the embedding; at least the vocabulary's size. T5 pads it to a multiple of 128.
        emb_dim: width of embeddings and of the residual stream.
        num_heads: of each attention.
        head_dim: width of each head; num_heads * head_dim need not be emb_dim.
        mlp_dim: width of the MLP's hidden layer.
        num_encoder_layers: of the encoder.
        num_decoder_layers: of the decoder.
        mlp_activations: one activation per input projection of the MLP; two make it gated (T5 1.1).
        logits_via_embedding: tie the output projection to the embedding, scaled by 1/sqrt(emb_dim) (T5 1.0).
        relative_attention_num_buckets: position biases of each head; longer distances share buckets.
        relative_attention_max_distance: in tokens; all that is farther has the same bias.
        relative_attention_per_layer: every layer has its own table of position biases (umT5), not one for each tower.
        dropout_rate: of embeddings, attention, MLP and what each adds to the residual stream.
        dtype: of activations; parameters and softmax are always float32.
        scan_layers: hold each tower's layers as one stack; False: each has parameters of its own, by number.
        layer_loop: how a stack runs; parameters and checkpoints stay the same. "scan": a loop, compiles fastest; "unroll":
            code for every layer, runs faster on a CPU; "auto": "unroll" on a CPU, else "scan".
        remat: what the backward pass computes again instead of keeping it. "none"; "full": all but each layer's input;
            "dots": all but the results of projections (t5x's "minimal").
        lora: adapters to train in place of the parameters; None: there are none.
    """

    vocab_size: int
    emb_dim: int
    num_heads: int
    head_dim: int
    mlp_dim: int
    num_encoder_layers: int
    num_decoder_layers: int
    mlp_activations: tuple[str, ...] = ("gelu", "linear")
    logits_via_embedding: bool = False
    relative_attention_num_buckets: int = 32  # T5 paper, section 2.1
    relative_attention_max_distance: int = 128  # T5 paper, section 2.1
    relative_attention_per_layer: bool = False
    dropout_rate: float = 0.1
    dtype: str = "bfloat16"
    scan_layers: bool = True
    layer_loop: str = "auto"
    remat: str = "none"
    lora: LoraConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mlp_activations", tuple(self.mlp_activations))
        checks.check_positive(
            self,
            "vocab_size",
            "emb_dim",
            "num_heads",
            "head_dim",
            "mlp_dim",
            "num_encoder_layers",
            "num_decoder_layers",
            "relative_attention_num_buckets",
            "relative_attention_max_distance",
        )
        checks.check_fraction(self, "dropout_rate")
        if self.dtype == "float16":
            raise ValueError(
                "ModelConfig.dtype 'float16' is refused: T5's activations exceed its range (65,504) and become NaN. "
                "Use 'bfloat16' or 'float32'."
            )
        checks.check_choice(self, "dtype", checks.DTYPES)
        checks.check_choice(self, "remat", _REMAT)
        checks.check_choice(self, "layer_loop", ("auto", "scan", "unroll"))
        for activation in self.mlp_activations:
            if activation not in _ACTIVATIONS:
                raise ValueError(
                    f"ModelConfig.mlp_activations must hold only {', '.join(_ACTIVATIONS)}, not {activation!r}."
                )
