"""Seconds and peak memory of `flantune convert` each way between Hugging Face, T5X and run folders, at T5 1.1 XL's size.

Makes a random bfloat16 checkpoint in Hugging Face's layout, array by array, converts it round in processes of their own,
and compares the bytes of what comes back. Needs four times the size of the model on the disk, 23 GB for XL; deletes all
of it.

    python -m tests.benchmarks.convert [--size xl] [--folder /tmp]
"""

import argparse
import dataclasses
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import ml_dtypes
import numpy as np

from flantune.configs import ModelConfig
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.interop import huggingface_tokenizer, huggingface_writer, tree_source
from flantune.jobs import convert

SIZES = {  # of T5 1.1: emb_dim, num_heads, mlp_dim, layers of each tower
    "small": (512, 6, 1024, 8),
    "base": (768, 12, 2048, 12),
    "large": (1024, 16, 2816, 24),
    "xl": (2048, 32, 5120, 24),
}
# In an order in which few copies are alive at a time: (from, to, destination, what is deleted afterwards).
WAYS = (
    ("hf", "flantune", "flantune", None),
    ("flantune", "hf", "hf_1", "hf_1"),
    ("flantune", "t5x", "t5x_1", "flantune"),
    ("t5x_1", "flantune", "flantune_1", "flantune_1"),
    ("t5x_1", "hf", "hf_2", "t5x_1"),
    ("hf_2", "t5x", "t5x_2", "t5x_2"),
)
MIB = 2**20


class RandomSource:
    """A `ParamSource` of normally distributed numbers, made when they are read."""

    description = "Random parameters"

    def __init__(self, model):
        separate = dataclasses.replace(model, scan_layers=False)
        self.arrays = tree_source.TreeSource("", convert.abstract_params(separate)).arrays

    def read(self, name, index=None):
        shape = self.arrays[name].shape
        numbers = np.random.default_rng(len(name)).standard_normal(math.prod(shape), np.float32)
        return numbers.astype(ml_dtypes.bfloat16).reshape(shape)


def make(folder, size):
    emb_dim, num_heads, mlp_dim, num_layers = SIZES[size]
    model = ModelConfig(
        vocab_size=32128,
        emb_dim=emb_dim,
        num_heads=num_heads,
        head_dim=64,
        mlp_dim=mlp_dim,
        num_encoder_layers=num_layers,
        num_decoder_layers=num_layers,
    )
    folder.mkdir()
    source = RandomSource(model)
    huggingface_writer.write(folder, source, model, dtype="bfloat16")
    huggingface_tokenizer.write(folder, vocabulary_lib.load("bytes+100"))
    return sum(math.prod(info.shape) for info in source.arrays.values())


def measured(command):
    """Wall seconds and the greatest resident set, in bytes, of a process."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed: {status}")
    return time.monotonic() - started, usage.ru_maxrss * 1024, json.loads(output)


def size_bytes(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def same_weights(first, second):
    names = sorted(path.name for path in first.glob("*.safetensors"))
    return all(
        subprocess.run(["cmp", "-s", first / name, second / name], check=False).returncode == 0
        for name in names
    ) and names == sorted(path.name for path in second.glob("*.safetensors"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="xl")
    parser.add_argument("--folder", default=None, help="where the temporary folder is made")
    parsed = parser.parse_args()
    place = pathlib.Path(tempfile.mkdtemp(dir=parsed.folder, prefix="convert_benchmark_"))
    try:
        started = time.monotonic()
        parameters = make(place / "hf", parsed.size)
        print(f"{parameters:,} parameters, made in {time.monotonic() - started:.0f} s", flush=True)
        idle = measured([sys.executable, "-c", "import flantune.jobs.convert; print('{}')"])
        print(f"imports alone: {idle[0]:.1f} s, {idle[1] / MIB:,.0f} MiB", flush=True)
        for origin, to, destination, done_with in WAYS:
            command = [sys.executable, "-m", "flantune", "convert", place / origin]
            command += [place / destination, "--to", to, "--json", "--vocabulary", "bytes+100"]
            seconds, peak, result = measured([str(word) for word in command])
            size = size_bytes(place / destination)
            print(
                f"{result['kind']:>8} -> {to:<8} {seconds:6.0f} s  peak {peak / MIB:6,.0f} MiB  "
                f"{size / 1e9:.2f} GB written",
                flush=True,
            )
            if to == "hf":
                print(
                    f"    bytes as in the beginning: {same_weights(place / 'hf', place / destination)}",
                    flush=True,
                )
            if done_with:
                shutil.rmtree(place / done_with)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
