"""`Tfds`: rows of a TensorFlow dataset that is already built. TensorFlow is imported only while one is read.

Use it as `sources.Tfds`. Read `hugging_face.py` next.
"""

from collections.abc import Iterator
import dataclasses
import fnmatch
import os
import pathlib
import re

from etils import epath
import numpy as np

from flantune.data import task as task_lib
from flantune.data.sources import files

_VERSION = re.compile(r"\d+\.\d+\.\d+\Z")  # TFDS keeps unfinished ones beside, with longer names
_TFDS_DIR = "TFDS_DATA_DIR"  # the variable that TFDS itself reads


@dataclasses.dataclass(frozen=True, init=False)
class Tfds:
    """A TensorFlow dataset that is already built, in the data directory or in TFDS_DATA_DIR.

    A split is a TFDS split or slice: `Tfds("glue/rte:2.0.0", train="train", validation="validation[:200]")`. Without a
    version, the newest one that is there.
    """

    name: str
    tfds_splits: tuple[tuple[str, str], ...]

    def __init__(self, name: str, **splits: str) -> None:
        if not splits:
            raise ValueError(f"Tfds({name!r}) needs at least one split, as in train='train'.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "tfds_splits", tuple(splits.items()))

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, _ in self.tfds_splits)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """Rows of a split in the order of its shards: texts, numbers, lists and dictionaries of them.

        Raises:
            FileNotFoundError: the dataset is not there.
            KeyError: no such split.
        """
        files.check_split(self, split)
        directory = self._directory(data_dir)
        if directory is None:
            raise FileNotFoundError(
                f"TFDS dataset {self.name!r} is neither below the data directory {str(data_dir)!r} (--data_dir or "
                f"FLANTUNE_DATA_DIR sets it) nor below {_TFDS_DIR}. Build it with: {self.build_command(data_dir)}"
            )
        return _tfds_rows(directory, dict(self.tfds_splits)[split])

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the names, sizes and change times of the dataset's files."""
        paths = self.paths(split, data_dir)
        return files.stat_fingerprint(self._described(split), paths) if paths else None

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the content of the dataset's files."""
        paths = self.paths(split, data_dir)
        return files.content_sha256(self._described(split), paths) if paths else None

    def describe(self) -> dict[str, object]:
        return {"kind": "tfds", "name": self.name, "splits": dict(self.tfds_splits)}

    def _described(self, split: str) -> object:
        files.check_split(self, split)
        return {"kind": "tfds", "name": self.name, "split": dict(self.tfds_splits)[split]}

    @property
    def places(self) -> tuple[str, ...]:
        """Its folder below the data directory."""
        return (f"{self.name.replace(':', '/')}/",)

    def build_command(self, data_dir: object) -> str:
        """What downloads and builds the dataset."""
        return f"tfds build {self.name} --data_dir={data_dir}"

    def paths(self, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
        """All files of the dataset; none where it is not there."""
        files.check_split(self, split)
        directory = self._directory(data_dir)
        return [] if directory is None else sorted(directory.iterdir())

    def _directory(self, data_dir: pathlib.Path) -> epath.Path | None:
        """The folder of the dataset's newest version that fits the name."""
        name, _, wanted = self.name.partition(":")
        for root in (data_dir, os.environ.get(_TFDS_DIR)):
            folder = epath.Path(root or "") / name
            if root and folder.exists():
                versions = [path.name for path in folder.iterdir() if _VERSION.match(path.name)]
                found = fnmatch.filter(versions, wanted or "*")  # TFDS allows "1.*.*"
                if found:
                    return folder / max(
                        found, key=lambda version: [int(n) for n in version.split(".")]
                    )
        return None


def _tfds_rows(directory: epath.Path, split: str) -> Iterator[task_lib.Row]:
    import seqio  # 6 to 10 s, and TensorFlow with it: only where a TFDS dataset is read
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")  # or TensorFlow takes all of the GPU's memory
    source = seqio.TfdsDataSource(
        tfds_data_dir=os.fspath(directory), splits={"rows": split}, read_only=True
    )
    for row in source.get_dataset("rows", shuffle=False).as_numpy_iterator():
        yield {name: _python_value(value) for name, value in row.items()}


def _python_value(value: object) -> object:
    """Texts, numbers and lists of what TFDS gives as bytes, NumPy values and ragged tensors."""
    if isinstance(value, dict):
        return {name: _python_value(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_python_value(item) for item in value]
    if isinstance(value, bytes):
        # A row that is not UTF-8 gets characters that `prepare` counts as malformed.
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, np.ndarray | np.generic):
        return _python_value(value.tolist())
    to_list = getattr(value, "to_list", None)  # tf.RaggedTensor, named without importing TensorFlow
    return _python_value(to_list()) if to_list else value
