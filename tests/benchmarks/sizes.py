"""Sizes of T5 1.1, read from `gin/models/` without gin, which a machine for benchmarks may lack."""

import ast
import pathlib
import re
from typing import Any

from flantune.configs import ModelConfig

_MODELS = pathlib.Path(__file__).resolve().parents[2] / "gin" / "models"
_BINDING = re.compile(r"^configs\.ModelConfig\.(\w+) = ([^#\n]+)", re.MULTILINE)


def of_t5_1_1(size: str, **changes: Any) -> ModelConfig:
    """The model of `gin/models/t5_1_1_<size>.gin`, with other fields changed."""
    return _read(f"t5_1_1_{size}.gin", changes)


def tiny(**changes: Any) -> ModelConfig:
    """The model of `gin/models/tiny.gin`, with other fields changed; it has no vocabulary size."""
    return _read("tiny.gin", changes)


def _read(name: str, changes: dict[str, Any]) -> ModelConfig:
    bindings = _BINDING.findall((_MODELS / name).read_text())
    fields = {field: ast.literal_eval(value.strip()) for field, value in bindings}
    return ModelConfig(**fields | changes)
