"""The names and shapes of T5X parameters in one form: separate layers, kernels [inputs, outputs].

`examples/t5` of t5x has that form. `examples/scalable_t5` (umT5 was trained with it) scans its layers: a stack
`encoder/encoder/...` with the layers on axis 1, attention kernels with heads and head_dim apart, a position bias per
layer. `separate` presents such a tree in the one form without reading anything.
"""

from collections.abc import Mapping
import re

from flantune.interop import t5x_leaves

_HEADS_LAST = re.compile(r"attention/(query|key|value)/kernel")  # [emb, heads, head_dim]
_HEADS_FIRST = re.compile(r"attention/out/kernel")  # [heads, head_dim, emb]


def is_scanned(names: Mapping[str, t5x_leaves.Leaf]) -> bool:
    """Whether parameters of these names come from a model that scans its layers."""
    return any(t5x_leaves.STACK_NAME.fullmatch(name) for name in names)


def separate(leaves: Mapping[str, t5x_leaves.Leaf], *, what: str) -> dict[str, t5x_leaves.Leaf]:
    """Parameters by the names of separate layers: `encoder/encoder/mlp/wo/kernel` [mlp, layers, emb] becomes
    `encoder/layers_0/mlp/wo/kernel` [mlp, emb] and so on; attention kernels are joined to two dimensions.

    Raises:
        ValueError: the arrays of a tower have different numbers of layers; `what` begins the message.
    """
    found: dict[str, t5x_leaves.Leaf] = {}
    depths: dict[str, dict[str, int]] = {"encoder": {}, "decoder": {}}
    for name, leaf in leaves.items():
        scanned = t5x_leaves.STACK_NAME.fullmatch(name)
        if not scanned:
            found[name] = _joined(name, leaf)
            continue
        tower, rest = scanned.groups()
        if len(leaf.shape) < 2:
            raise ValueError(
                f"{what} scans its layers, but {name!r} {leaf.shape} has no second dimension for them."
            )
        depths[tower][name] = leaf.shape[1]
        for layer in range(leaf.shape[1]):
            own = f"{tower}/layers_{layer}/{rest}"
            found[own] = _joined(own, t5x_leaves.LayerLeaf(leaf, layer))
    for tower, sizes in depths.items():
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{name}: {size}" for name, size in sorted(sizes.items()))
            raise ValueError(
                f"{what} has different numbers of layers in its {tower}'s arrays ({listed})."
            )
    return found


def _joined(name: str, leaf: t5x_leaves.Leaf) -> t5x_leaves.Leaf:
    if len(leaf.shape) == 3 and _HEADS_LAST.search(name):
        return t5x_leaves.JoinedLeaf(leaf, axis=1)
    if len(leaf.shape) == 3 and _HEADS_FIRST.search(name):
        return t5x_leaves.JoinedLeaf(leaf, axis=0)
    return leaf
