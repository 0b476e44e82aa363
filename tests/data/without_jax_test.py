"""`flantune.data` is of use to other frameworks: it needs no JAX, from the source to packed batches."""

import subprocess
import sys

CODE = """
import sys

for name in ("jax", "jaxlib", "flax", "orbax", "tensorflow", "seqio"):
    sys.modules[name] = None
import importlib
import pathlib
import pkgutil

from flantune import data as package, testing
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog
from flantune.data.input import loading, prompts
from flantune.data.vocabularies import vocabulary

for module in pkgutil.walk_packages(package.__path__, "flantune.data."):
    importlib.import_module(module.name)
rows = [{"text": f"number {row}", "answer": str(row)} for row in range(20)]
task = testing.make_task("w:echo", {"train": rows})
mixture = Mixture(name="w_all", rates={"w:echo": 1, "w:echo#2_shot": 1})
store = testing.prepare([task], pathlib.Path(sys.argv[1]))
with testing.task_module("w_tasks", [task], [mixture]):
    found = catalog.load(["w_tasks"], store, pathlib.Path())
bound = loading.bind_mixture(found, store, "w_all", split="train")
(prompt,) = prompts.render([prompts.Request(bound.members[1], 3, 0)], seed=0)
print(prompt.inputs.count("Echo:"))
config = DataConfig(
    mixture="w_all", modules=(), vocabulary="bytes", inputs_length=96, targets_length=16,
    batch_size=4, block_size=32,
)
dataset = loading.train_dataset(bound, config, vocabulary.load("bytes"), seed=0)
print(len(dataset.packer.rows(0)) > 0)
batches = loading.prefetched(dataset)
print(next(batches)["encoder_input_tokens"].shape, sorted(batches.get_state()))
"""


def test_data_works_where_jax_cannot_be_imported(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == ["3", "True"]
    assert done.stdout.splitlines()[2].startswith("(4, 96)")
