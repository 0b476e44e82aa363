import dataclasses


@dataclasses.dataclass
class T5Config:
    vocab_size: int
    dtype: str = "float32"
    emb_dim: int = 512
    num_heads: int = 8
    num_encoder_layers: int = 6
    num_decoder_layers: int = 6
    head_dim: int = 64
    mlp_dim: int = 2048
    mlp_activations: tuple = ("relu",)
    dropout_rate: float = 0.1
    logits_via_embedding: bool = False
    float32_attention_logits: bool = False


@dataclasses.dataclass
class Transformer:
    config: T5Config
