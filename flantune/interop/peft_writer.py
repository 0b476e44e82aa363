"""Adapters in the layout of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

    peft.PeftModel.from_pretrained(transformers.T5ForConditionalGeneration.from_pretrained(BASE), FOLDER)

computes what the run does. Ours are A [inputs, rank] and B [rank, outputs]; torch's are transposed. Source: peft,
`tuners/lora/config.py` and `utils/save_and_load.py`.
"""

import json

from etils import epath
import numpy as np

from flantune.configs import LoraConfig
from flantune.host import atomic
from flantune.interop import huggingface_names, huggingface_writer, safetensors_file
from flantune.interop.param_source import ArrayInfo, ParamSource
from flantune.models import lora as lora_lib

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_PREFIX = "base_model.model."
_PARTS = dict(zip(lora_lib.NAMES, ("lora_A", "lora_B"), strict=True))


def write(
    folder: epath.PathLike, adapters: ParamSource, lora: LoraConfig, *, dtype: str, base: str | None
) -> None:
    """Writes the adapters of a run.

    Args:
        folder: that exists.
        adapters: `lora_a` and `lora_b` of every projection that has them, and nothing else.
        lora: of the run's model.
        dtype: of the written arrays.
        base: path or name at Hugging Face of the model that they belong to; None: it is not known.

    Raises:
        ValueError: parameters were trained that are no adapters.
    """
    others = sorted(name for name in adapters.arrays if not lora_lib.is_adapter(name))
    if others:
        raise ValueError(
            f"{adapters.description} holds more than adapters ({others[0]} and {len(others) - 1} more): "
            "convert it --to hf, which merges all."
        )
    modules = {name: _module(name) for name in adapters.arrays}
    ours = {f"{_PREFIX}{module}.{_part(name)}.weight": name for name, module in modules.items()}
    stored = huggingface_writer.DTYPES[dtype]
    arrays = {
        theirs: ArrayInfo(adapters.arrays[name].shape[::-1], stored)
        for theirs, name in sorted(ours.items())
    }

    def read(theirs: str) -> np.ndarray:
        return np.ascontiguousarray(adapters.read(ours[theirs]).T).astype(stored)

    safetensors_file.write_file(epath.Path(folder) / WEIGHTS, arrays, read)
    config = {
        "base_model_name_or_path": base,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": int(lora.alpha) if float(lora.alpha).is_integer() else lora.alpha,
        "lora_dropout": lora.dropout_rate,
        "peft_type": "LORA",
        "r": lora.rank,
        "target_modules": sorted(set(modules.values())),
        "task_type": "SEQ_2_SEQ_LM",
    }
    atomic.write_text(
        epath.Path(folder) / CONFIG, json.dumps(config, indent=2, sort_keys=True) + "\n"
    )


def _part(name: str) -> str:
    return _PARTS[name.rpartition("/")[2]]


def _module(name: str) -> str:
    """The module at Hugging Face that an adapter's parameter belongs to."""
    kernel = f"{name.rpartition('/')[0]}/kernel"
    theirs = huggingface_names.to_theirs(kernel)
    if theirs is None:
        raise ValueError(f"Hugging Face's T5 has no projection {kernel}.")
    return theirs.removesuffix(".weight")
