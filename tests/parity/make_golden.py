"""Writes what transformers computes for the tiny models, for the tests that run without it.

    python -m tests.parity.make_golden

Needs the hf extra. Run it only when a model of `families.py` changes; the files say which versions made them.
"""

import pathlib
import tempfile

import numpy as np
import torch
import transformers

from flantune.interop import huggingface_writer, tree_source

from . import families, in_transformers

FOLDER = pathlib.Path(__file__).parent / "golden"


def write_folder(folder, family, dtype="float32"):
    """A family's model as a Hugging Face folder."""
    source = tree_source.TreeSource("The tree", families.params(family))
    huggingface_writer.write(
        folder,
        source,
        families.MODELS[family],
        dtype=dtype,
        family=families.TYPES.get(family, "t5"),
    )


def golden(family):
    """Inputs and outputs of a family, and logits of the model in bfloat16."""
    examples = families.batch(family)
    with tempfile.TemporaryDirectory() as wide, tempfile.TemporaryDirectory() as narrow:
        write_folder(wide, family)
        outputs = in_transformers.outputs(in_transformers.load(wide, family), examples)
        write_folder(narrow, family, "bfloat16")
        model = in_transformers.load(narrow, family, "bfloat16")
        outputs["narrow_logits"] = in_transformers.logits(model, examples)
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    return examples | outputs | {"versions": np.array(versions)}


def main():
    FOLDER.mkdir(exist_ok=True)
    for family in families.MODELS:
        np.savez_compressed(FOLDER / f"{family}.npz", **golden(family))


if __name__ == "__main__":
    main()
