"""Which projections have adapters, and adapters merged into their kernels.

The adapters themselves are parameters of `layers.Dense`: `lora_a` and `lora_b` beside `kernel`. Training them alone is
`training/partial.py`.
"""

from collections.abc import Mapping
import dataclasses

from jaxtyping import Array, Float, PyTree
import numpy as np

from flantune.configs import LoraConfig, ModelConfig
from flantune.models import t5
from flantune.params import trees as param_trees

NAMES = ("lora_a", "lora_b")
_NOT_ADAPTED = "logits_dense"


def check_targets(config: ModelConfig) -> None:
    """Raises ValueError where a target of `config.lora` names no projection of this model."""
    if config.lora is None:
        return
    base = t5.EncoderDecoder(dataclasses.replace(config, lora=None))
    names = [name for name, _ in param_trees.leaves(base.logical_axes())]
    projections = {
        param_trees.of_all_layers(name.removesuffix("/kernel"))
        for name in names
        if name.endswith("/kernel") and _NOT_ADAPTED not in name
    }
    param_trees.select(projections, config.lora.targets, field="LoraConfig.targets")


def is_adapter(name: str) -> bool:
    """Whether a parameter of this name is one of an adapter's."""
    return name.rpartition("/")[2] in NAMES


def delta(
    lora: LoraConfig,
    lora_a: Float[Array, "*layers inputs rank"] | Float[np.ndarray, "*layers inputs rank"],
    lora_b: Float[Array, "*layers rank outputs"] | Float[np.ndarray, "*layers rank outputs"],
) -> Float[Array, "*layers inputs outputs"] | Float[np.ndarray, "*layers inputs outputs"]:
    """What an adapter adds to its kernel, float32: alpha / rank * A B."""
    product = lora_a.astype("float32") @ lora_b.astype("float32")
    return product * np.float32(lora.alpha / lora.rank)


def merged(params: PyTree, lora: LoraConfig) -> PyTree:
    """`params` without adapters, each added to its kernel in float32: the same function, as a plain model's."""
    if not isinstance(params, Mapping):
        return params
    plain = {name: merged(value, lora) for name, value in params.items() if name not in NAMES}
    if "lora_a" in params:
        added = delta(lora, params["lora_a"], params["lora_b"])
        plain["kernel"] = params["kernel"].astype("float32") + added
    return plain
