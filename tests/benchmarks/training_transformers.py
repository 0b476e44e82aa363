"""The same training step in transformers and torch: forward, backward, Adafactor, loss fetched.

Padded rows go in as its users give them, with a mask of [rows, inputs]. Packed rows, which transformers cannot make, go in
with masks of our own of [rows, 1, queries, keys], which it takes as they are.
"""

import torch
import transformers

from flantune.configs import ModelConfig
from tests.benchmarks import training_process

_IGNORED = -100  # what torch's cross entropy leaves out
_USED = (
    "encoder_input_tokens",
    "encoder_segment_ids",
    "decoder_input_tokens",
    "decoder_target_tokens",
    "decoder_segment_ids",
)


def make_model(model: ModelConfig) -> transformers.T5ForConditionalGeneration:
    """A T5 1.1 with the same parameters, logits kernel of its own included.

    transformers 5 ties it to the embedding whatever the config says, so it is given one here; 5.23's model is then
    computed as T5 1.1 is, since `tie_word_embeddings=False` still leaves the logits unscaled.
    """
    config = transformers.T5Config(
        vocab_size=model.vocab_size,
        d_model=model.emb_dim,
        d_kv=model.head_dim,
        d_ff=model.mlp_dim,
        num_layers=model.num_encoder_layers,
        num_decoder_layers=model.num_decoder_layers,
        num_heads=model.num_heads,
        dropout_rate=model.dropout_rate,
        feed_forward_proj="gated-gelu",
        tie_word_embeddings=False,
        decoder_start_token_id=0,
        use_cache=False,
    )
    network = transformers.T5ForConditionalGeneration(config)
    own = torch.randn_like(network.shared.weight) * model.emb_dim**-0.5
    network.lm_head.weight = torch.nn.Parameter(own)
    return network


def loss(
    network: transformers.T5ForConditionalGeneration, batch: dict[str, torch.Tensor]
) -> torch.Tensor:
    """Mean cross entropy of the target tokens of a batch in flantune's form."""
    inputs, targets = batch["encoder_input_tokens"], batch["decoder_target_tokens"]
    given = {
        "decoder_input_ids": batch["decoder_input_tokens"],
        "labels": targets.masked_fill(targets == 0, _IGNORED),
        "use_cache": False,
    }
    if "encoder_segment_ids" not in batch:
        return network(input_ids=inputs, attention_mask=(inputs > 0).long(), **given).loss
    encoder, decoder = batch["encoder_segment_ids"], batch["decoder_segment_ids"]
    causal = torch.ones(targets.shape[1], targets.shape[1], dtype=torch.bool, device=targets.device)
    return network(
        encoder_outputs=network.encoder(input_ids=inputs, attention_mask=_same(encoder, encoder)),
        attention_mask=_same(decoder, encoder),
        decoder_attention_mask=_same(decoder, decoder) & causal.tril(),
        **given,
    ).loss


def _same(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """True where query and key are of the same segment: [rows, 1, queries, keys]; padding is one too, so no row is empty."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]


class Transformers(training_process.Trainer):
    """Adafactor with flantune's settings; parameters float32, under bfloat16 through autocast."""

    def __init__(self, job: training_process.Job, *, compiled: bool) -> None:
        model = job.config()
        torch.manual_seed(0)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._network = make_model(model).to(self._device).train()
        self._optimizer = transformers.Adafactor(
            self._network.parameters(),
            lr=job.learning_rate,
            scale_parameter=True,
            relative_step=False,
            warmup_init=False,
        )
        self._bfloat16 = model.dtype == "bfloat16"
        torch.set_float32_matmul_precision("high")  # TF32 on a GPU for what is not bfloat16
        self._loss = torch.compile(self._forward) if compiled else self._forward
        self.parameters = sum(parameter.numel() for parameter in self._network.parameters())
        self.device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        self.versions = f"transformers {transformers.__version__}, torch {torch.__version__}"

    def _forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bfloat16):
            return loss(self._network, batch)

    def step(self, batch: training_process.Batch) -> float:
        placed = {
            name: torch.from_numpy(batch[name]).long().to(self._device)
            for name in _USED
            if name in batch
        }
        self._optimizer.zero_grad(set_to_none=True)
        found = self._loss(placed)
        found.backward()
        self._optimizer.step()
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return found.item()

    def peak_device_bytes(self) -> int | None:
        return torch.cuda.max_memory_allocated() if self._device.type == "cuda" else None
