"""Floating-point operations of one training step of an encoder-decoder, counted from its dimensions.

The compiler's own count is of no use on a TPU: it has 12 to 24 % of the truth, because it counts the body of a loop once.
Here are the operations that the model needs (model FLOPs), from which utilisation is reckoned; what rematerialisation
repeats is apart. Only matrix products count, a multiplication and an addition each. Attention counts in full: neither
causal masks nor the borders of packed examples save anything, as the implementation works. Padding counts too: a row is a
row. Read `roofline.py` next.

With `n` and `m` the encoder's and decoder's tokens of a row, `d` emb_dim, `k` heads * head_dim, `f` mlp_dim, `g` the MLP's
input projections (2 where it is gated) and `v` vocab_size, the forward pass of one row takes

    encoder layer   2 n (4 d k + (g + 1) d f)                                    and attention  4 n n k
    decoder layer   2 m (4 d k + 2 d k + (g + 1) d f) + 2 n (2 d k)              and attention  4 m m k + 4 m n k
    logits          2 m d v

(the encoder's output passes through the keys and values of each decoder layer). The backward pass takes twice as many:
for each product, the gradient of either factor. Where only a part of the parameters is trained, `step_flops` leaves
out the gradients of frozen kernels, and all of the encoder's backward pass where nothing of it is trained.
"""

from collections.abc import Collection, Mapping
import dataclasses
import math

from flantune.configs import ModelConfig
from flantune.params import trees as param_trees

# The forward pass, and for each product one for its gradient by each of its two factors.
_FORWARD_AND_BACKWARD = 3
_KERNELS = ("kernel", "lora_a", "lora_b")
_LOGITS_KERNEL, _EMBEDDING = "decoder/logits_dense/kernel", "token_embedder/embedding"
_OF_THE_ENCODER_S_OUTPUT = "decoder/layers/encoder_decoder_attention/[kv]*"  # keys and values


@dataclasses.dataclass(frozen=True, kw_only=True)
class ForwardFlops:
    """Operations of the forward pass of one row.

    Attributes:
        projections: of attention and MLP in all layers.
        attention: scores and weighted means in all layers.
        logits: of the target's tokens.
    """

    projections: int
    attention: int
    logits: int

    @property
    def layers(self) -> int:
        """What all layers together take."""
        return self.projections + self.attention

    @property
    def total(self) -> int:
        return self.layers + self.logits


def forward_flops(model: ModelConfig, *, inputs_length: int, targets_length: int) -> ForwardFlops:
    """Operations of the forward pass of one row with so many encoder and decoder tokens."""
    n, m = inputs_length, targets_length
    d, k = model.emb_dim, model.num_heads * model.head_dim
    mlp = (len(model.mlp_activations) + 1) * d * model.mlp_dim
    encoder_layer = 2 * n * (4 * d * k + mlp)
    decoder_layer = 2 * m * (6 * d * k + mlp) + 2 * n * (2 * d * k)
    return ForwardFlops(
        projections=model.num_encoder_layers * encoder_layer
        + model.num_decoder_layers * decoder_layer,
        attention=model.num_encoder_layers * 4 * n * n * k
        + model.num_decoder_layers * 4 * m * (m + n) * k,
        logits=2 * m * d * model.vocab_size,
    )


def train_flops(model: ModelConfig, *, rows: int, inputs_length: int, targets_length: int) -> int:
    """Model FLOPs of one training step on so many rows, forward and backward."""
    forward = forward_flops(model, inputs_length=inputs_length, targets_length=targets_length)
    return _FORWARD_AND_BACKWARD * rows * forward.total


def repeated_flops(model: ModelConfig, *, inputs_length: int, targets_length: int) -> int:
    """FLOPs that rematerialisation adds to the training step of one row: by "full" all layers, by "dots" attention."""
    forward = forward_flops(model, inputs_length=inputs_length, targets_length=targets_length)
    return {"none": 0, "dots": forward.attention, "full": forward.layers}[model.remat]


@dataclasses.dataclass(frozen=True, kw_only=True)
class StepFlops:
    """Operations of one training step.

    Attributes:
        model: what it needs.
        repeated: what rematerialisation adds.
    """

    model: int
    repeated: int


def shapes_by_name(params: param_trees.Tree) -> dict[str, tuple[int, ...]]:
    """Shape of each parameter by its name."""
    return {name: tuple(leaf.shape) for name, leaf in param_trees.leaves(params)}  # type: ignore[attr-defined]


def step_flops(
    model: ModelConfig,
    shapes: Mapping[str, tuple[int, ...]],
    trained: Collection[str],
    *,
    rows: int,
    inputs_length: int,
    targets_length: int,
) -> StepFlops:
    """Operations of a step that trains all parameters or some, adapters for one.

    A token passes through a kernel with twice as many operations as it has numbers. A tower has a backward pass where
    something in it or before it is trained, and then in all of its layers; the kernel of the logits counts as the decoder's.

    Args:
        model: with adapters or without.
        shapes: of all parameters by name.
        trained: names among them.
        rows: of the batch, with `inputs_length` and `targets_length` places each.
    """
    attention = {
        "encoder": model.num_encoder_layers * inputs_length**2,
        "decoder": model.num_decoder_layers * targets_length * (targets_length + inputs_length),
    }
    into_encoder = any(name.startswith(("encoder/", "token_embedder/")) for name in trained)
    goes_back = {
        "encoder": into_encoder,
        "decoder": into_encoder or any(name != _LOGITS_KERNEL for name in trained),
    }
    total = repeated = 0
    for tower, pairs in attention.items():
        forward = 4 * pairs * model.num_heads * model.head_dim
        total += forward * (3 if goes_back[tower] else 1)
        repeated += forward if goes_back[tower] and model.remat != "none" else 0
    for name in _kernels(shapes):
        reads_encoder = param_trees.matches(name, _OF_THE_ENCODER_S_OUTPUT)
        tower = "encoder" if name.startswith("encoder/") else "decoder"
        tokens = inputs_length if tower == "encoder" or reads_encoder else targets_length
        forward = 2 * tokens * math.prod(shapes[name])
        source = "encoder" if reads_encoder else tower
        total += forward * (1 + goes_back[source] + (name in trained))
        in_layer = "/layers" in name
        repeated += forward if in_layer and goes_back[tower] and model.remat == "full" else 0
    return StepFlops(model=rows * total, repeated=rows * repeated)


def _kernels(shapes: Mapping[str, tuple[int, ...]]) -> list[str]:
    """Names of the parameters that activations are multiplied with; an embedding that gives the logits too is one."""
    names = [name for name in shapes if name.rpartition("/")[2] in _KERNELS]
    return names if _LOGITS_KERNEL in names else [*names, _EMBEDDING]


def slot_tokens(*, rows: int, inputs_length: int, targets_length: int) -> int:
    """Places for tokens in a batch, encoder and decoder, whether packing fills them or not."""
    return rows * (inputs_length + targets_length)
