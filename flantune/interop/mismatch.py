"""What a source of parameters and a model disagree on, as one table, before anything is read.

    problems = mismatch.compare(source.arrays, abstract_params)
    if problems:
        print(problems.table(source.description))

The model's parameters may have their layers separate or stacked (`models/stacking.py`); a source has them separate.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import re

import jax
from jaxtyping import PyTree

from flantune.interop import param_source
from flantune.training import sharding

Shape = tuple[int, ...]

_STACK = re.compile(r"(^|/)layers(?=/|$)")
_LAYER = re.compile(r"(?<=layers_)\d+(?=/|$)")
_EMBEDDING = "token_embedder/embedding"


def separate_names(name: str, num_layers: int) -> list[str]:
    """Names of a stack's layers: "encoder/layers/mlp" with two gives "encoder/layers_0/mlp", "encoder/layers_1/mlp"."""
    return [_STACK.sub(rf"\g<1>layers_{layer}", name) for layer in range(num_layers)]


def is_stack(name: str) -> bool:
    """Whether a parameter of this name holds all layers of a tower, on its first axis."""
    return bool(_STACK.search(name))


class MismatchError(ValueError):
    """A source does not fit a model; the message is the table, whose lines the command line keeps."""

    keeps_lines = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mismatch:
    """Where a source does not fit a model; false if it does. Names are those of separate layers.

    Attributes:
        missing: shapes of parameters that the model needs and the source lacks.
        unexpected: shapes of parameters that the source has and the model does not.
        other_shape: (source's, model's) shape of parameters that differ.
    """

    missing: Mapping[str, Shape]
    unexpected: Mapping[str, Shape]
    other_shape: Mapping[str, tuple[Shape, Shape]]

    def __bool__(self) -> bool:
        return bool(self.missing or self.unexpected or self.other_shape)

    def table(self, what: str) -> str:
        """The table as text, with what to change; `what` names the source: "The T5X checkpoint runs/a/checkpoint_8".

        Equal lines of several layers are one line: `encoder/layers_{0..7}/mlp/wi/kernel`.
        """
        lines: list[tuple[str, ...]] = [("", "parameter", "there", "model")]
        for kind, shapes in (
            ("missing", {name: ("-", _text(shape)) for name, shape in self.missing.items()}),
            ("unexpected", {name: (_text(shape), "-") for name, shape in self.unexpected.items()}),
            (
                "other shape",
                {name: tuple(map(_text, both)) for name, both in self.other_shape.items()},
            ),
        ):
            lines += [(kind, name, *cells) for name, cells in _layers_joined(shapes)]
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        rows = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([f"{what} does not fit the model.", *rows, *self._hints()])

    def _hints(self) -> Iterable[str]:
        if _EMBEDDING in self.other_shape:
            (rows, width), (wanted_rows, wanted_width) = self.other_shape[_EMBEDDING]
            if rows != wanted_rows and width == wanted_width:
                yield f"Set ModelConfig.vocab_size to {rows}: rows of the embedding are neither cut nor added."
        if "decoder/logits_dense/kernel" in {*self.missing, *self.unexpected}:
            tied = "decoder/logits_dense/kernel" in self.missing
            yield f"Set ModelConfig.logits_via_embedding to {tied}."
        if any(name.endswith("mlp/wi/kernel") for name in self.unexpected):
            yield "Set ModelConfig.mlp_activations to one activation, for example ('relu',): the MLP there is not gated."
        if any(name.endswith("mlp/wi/kernel") for name in self.missing):
            yield "Set ModelConfig.mlp_activations to two, for example ('gelu', 'linear'): the MLP there is gated."
        biases = "/layers_0/relpos_bias/rel_embedding"
        if any(name.endswith(biases) for name in {*self.missing, *self.unexpected}):
            per_layer = any(name.endswith(biases) for name in self.unexpected)
            yield f"Set ModelConfig.relative_attention_per_layer to {per_layer}."


def compare(arrays: Mapping[str, param_source.ArrayInfo], abstract: PyTree) -> Mismatch:
    """What is missing, unexpected or of another shape in `arrays`, for the parameters of a model.

    Args:
        arrays: those of a `ParamSource`.
        abstract: a nested dict of arrays or jax.ShapeDtypeStruct, layers separate or stacked.
    """
    wanted: dict[str, Shape] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(abstract):
        name, shape = sharding.path_name(path), tuple(leaf.shape)
        if is_stack(name):
            wanted |= dict.fromkeys(separate_names(name, shape[0]), shape[1:])
        else:
            wanted[name] = shape
    found = {name: info.shape for name, info in arrays.items()}
    return Mismatch(
        missing={name: shape for name, shape in wanted.items() if name not in found},
        unexpected={name: shape for name, shape in found.items() if name not in wanted},
        other_shape={
            name: (found[name], shape)
            for name, shape in wanted.items()
            if found.get(name, shape) != shape
        },
    )


def _text(shape: Shape) -> str:
    return " x ".join(map(str, shape)) or "one number"


def _layers_joined(
    rows: Mapping[str, Sequence[str]],
) -> Iterable[tuple[str, Sequence[str]]]:
    """Names in order; those that differ only in the number of the layer, with equal cells, as one."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for name, cells in rows.items():
        layers = groups.setdefault((_LAYER.sub("{}", name), *cells), [])
        layers.extend(int(number) for number in _LAYER.findall(name)[:1])
    for (pattern, *cells), layers in sorted(groups.items()):
        yield pattern.replace("{}", _ranges(layers)), cells


def _ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "{0..2,5}", [3] as "3"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = [str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs]
    return texts[0] if len(numbers) == 1 else "{" + ",".join(texts) + "}"
