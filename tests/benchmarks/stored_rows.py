"""A small prepared store with a vocabulary, made once, and batches of its rows: packed, or one example in each.

Making it needs the sources; using it neither those nor TensorFlow, SeqIO, gin or Grain.
"""

import dataclasses
import pathlib

from etils import epath
import numpy as np

from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib
from flantune.data.input import blocks, loading, mixture_vocabulary, packing
from flantune.data.store import prepare
from flantune.data.vocabularies import vocabulary as vocabulary_lib

MAX_BYTES = 50_000_000
_BLOCK = 256  # examples packed together


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """Which tasks, and how many pieces their vocabulary has, 100 sentinels among them."""

    mixture: str
    modules: tuple[str, ...]
    pieces: int


GENERATED = Rows(
    mixture="quickstart_train", modules=("tasks.quickstart", "tasks.mixtures"), pieces=700
)
NATURAL_INSTRUCTIONS = Rows(
    mixture="super_ni_eval20",
    modules=("tasks.natural_instructions", "tasks.mixtures"),
    pieces=8_100,
)


def rows_of(root: pathlib.Path, data_dir: str | None) -> Rows:
    """What the store at `root` holds, or will: generated tasks where there are no data to make it of."""
    is_real = data_dir is not None or (root / "prepared" / "natural_instructions").exists()
    return NATURAL_INSTRUCTIONS if is_real else GENERATED


def config(
    rows: Rows, root: pathlib.Path, *, inputs_length: int, targets_length: int, batch_size: int
) -> DataConfig:
    """What a run on the store at `root` would have."""
    return DataConfig(
        mixture=rows.mixture,
        modules=rows.modules,
        vocabulary=str(root / "words.model"),
        inputs_length=inputs_length,
        targets_length=targets_length,
        batch_size=batch_size,
        block_size=_BLOCK,
        prepared_dir=str(root / "prepared"),
        data_dir=str(root),
    )


def make(rows: Rows, root: pathlib.Path, data_dir: str | None) -> None:
    """Prepares the mixture's training split and its vocabulary below `root`, if they are not there."""
    words = root / "words.model"
    if words.exists():
        return
    data = config(rows, root, inputs_length=512, targets_length=128, batch_size=64)
    data = dataclasses.replace(data, data_dir=data_dir or str(root))
    store = loading.open_store(data)
    catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
    wanted = loading.splits_needed(catalog, [(data.mixture, "train")])
    tasks = [(catalog.tasks[name], splits) for name, splits in wanted]
    prepare.prepare(tasks, store, loading.data_dir(data)).raise_if_failed()
    bound = loading.bind_mixture(catalog, store, data.mixture, split="train")
    epath.Path(words).write_bytes(mixture_vocabulary.trained(store, data, bound, rows.pieces))
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    if size > MAX_BYTES:
        raise ValueError(f"The store {root} has {size:,} bytes, more than {MAX_BYTES:,}.")


def packer(data: DataConfig) -> blocks.BlockPacker:
    """Reads, renders, tokenises and packs the store's rows, in one lane."""
    store = loading.open_store(data)
    catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
    bound = loading.bind_mixture(catalog, store, data.mixture, split="train")
    vocabulary = vocabulary_lib.load(data.vocabulary)
    return loading.make_packer(bound, data, vocabulary, seed=0, lanes=1)


def write_batches(path: pathlib.Path, data: DataConfig, *, count: int) -> None:
    """The first batches of the store, stacked, as `training_process.Job.batches` wants them; padded unless `data.pack`."""
    source, found, block = packer(data), [], 0
    while len(found) < count * data.batch_size:
        found += source.rows(block)
        block += 1
    arrays = [
        source.batch(found[first : first + data.batch_size])
        for first in range(0, count * data.batch_size, data.batch_size)
    ]
    names = [name for name in packing.BATCH_KEYS if data.pack or not name.endswith("_segment_ids")]
    np.savez(path, **{name: np.stack([array[name] for array in arrays]) for name in names})
