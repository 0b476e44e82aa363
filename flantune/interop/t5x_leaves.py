"""Arrays of a T5X checkpoint before they are read: shape, dtype, and `read` of a part.

Here: arrays in TensorStore, arrays that lie in the msgpack file, and views of both that undo what a scanned T5X model
(`scalable_t5`) does: one layer of a stack, and a kernel with its heads joined. Also how TensorStore finds a folder,
local or in a bucket. `t5x_layout.py` builds the views, `t5x_native.py` and `t5x_orbax.py` find the arrays.
"""

from collections.abc import Mapping
import dataclasses
import re
from typing import Protocol, TypeAlias, runtime_checkable

from etils import epath
import ml_dtypes
import numpy as np
import tensorstore

from flantune.interop import param_source

KvSpec: TypeAlias = dict[str, object]
_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
BUCKET_PREFIX = "gs://"
# encoder/encoder/mlp/wo/kernel: a scanned model's stack of layers; the second "encoder" is the name of the scan.
STACK_NAME = re.compile(r"(?:.*/)?(encoder|decoder)/\1/(.+)")
# A chunk of a stack holds parts of all its layers, which are read one by one: without a cache, each would decode it anew.
_STACK_CACHE_BYTES = 2 * 2**30


@runtime_checkable
class Leaf(Protocol):
    """An array that has not been read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def read(self, index: param_source.Index | None = None) -> np.ndarray:
        """The array, or the part of it that `index` selects."""


def kvstore(folder: epath.PathLike, name: str = "") -> KvSpec:
    """TensorStore's key-value store of a folder, or of what lies in it as `name`: a local folder or `gs://BUCKET/...`.

    What a checkpoint says itself about driver, bucket and folder is that of the machine that wrote it, so it is not
    used: https://google.github.io/tensorstore/kvstore/gcs/index.html.
    """
    path = str(folder)
    if path.startswith(BUCKET_PREFIX):
        bucket, _, prefix = path.removeprefix(BUCKET_PREFIX).partition("/")
        parts = [part.strip("/") for part in (prefix, name) if part.strip("/")]
        return {
            "driver": "gcs",
            "bucket": bucket,
            "path": "/".join(parts) + "/" if parts else "",
        }
    place = epath.Path(path).expanduser().resolve() / name.strip("/")
    return {"driver": "file", "path": f"{place}/"}


def ocdbt(folder: epath.PathLike, name: str = "") -> KvSpec:
    """The store of an OCDBT database in a folder, or of what it holds below `name`."""
    database: KvSpec = {"driver": "ocdbt", "base": kvstore(folder)}
    return {**database, "path": f"{name}/"} if name else database


def open_zarr(kvstores: Mapping[str, KvSpec], *, what: str) -> dict[str, Leaf]:
    """Opens zarr (version 2) arrays by name, all at once, reading only their metadata.

    Shape and dtype are those of the array's own `.zarray`. `what` begins messages.

    Raises:
        ValueError: one cannot be opened.
    """
    plain = tensorstore.Context()
    cached = tensorstore.Context({"cache_pool": {"total_bytes_limit": _STACK_CACHE_BYTES}})
    opening = {
        name: tensorstore.open(
            {"driver": "zarr", "kvstore": spec, "recheck_cached_data": "open"},
            open=True,
            read=True,
            context=cached if STACK_NAME.fullmatch(name) else plain,
        )
        for name, spec in kvstores.items()
    }
    leaves: dict[str, Leaf] = {}
    for name, future in opening.items():
        try:
            leaves[name] = StoredLeaf(future.result())
        except ValueError as error:
            reason = str(error).split("\n")[0]
            raise ValueError(f"{what} cannot open its array {name!r}: {reason}") from error
    return leaves


@dataclasses.dataclass(frozen=True)
class StoredLeaf:
    """An array in TensorStore."""

    store: tensorstore.TensorStore

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.store.shape)

    @property
    def dtype(self) -> np.dtype:
        # Before its version 3 (June 2021), t5x wrote bfloat16 as the integers of the same bits, as zarr has no bfloat16.
        stored = self.store.dtype.numpy_dtype
        return _BFLOAT16 if stored == np.uint16 else stored

    def read(self, index: param_source.Index | None = None) -> np.ndarray:
        part = self.store if index is None else self.store[_bounded(index, self.shape)]
        array = np.asarray(part.read().result())
        return array.view(_BFLOAT16) if array.dtype == np.uint16 else array


@dataclasses.dataclass(frozen=True)
class InlineLeaf:
    """An array that the msgpack file holds."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype:
        return _BFLOAT16 if self.array.dtype == np.uint16 else self.array.dtype

    def read(self, index: param_source.Index | None = None) -> np.ndarray:
        part = self.array if index is None else self.array[index]
        return part.view(_BFLOAT16) if part.dtype == np.uint16 else part


@dataclasses.dataclass(frozen=True)
class LayerLeaf:
    """One layer of a stack [a, layers, ...], without the layer axis: [a, ...]."""

    stack: Leaf
    layer: int

    @property
    def shape(self) -> tuple[int, ...]:
        first, _, *rest = self.stack.shape
        return (first, *rest)

    @property
    def dtype(self) -> np.dtype:
        return self.stack.dtype

    def read(self, index: param_source.Index | None = None) -> np.ndarray:
        first, *rest = _bounded(index or (), self.shape)
        layer = slice(self.layer, self.layer + 1)
        return self.stack.read((first, layer, *rest)).squeeze(axis=1)


@dataclasses.dataclass(frozen=True)
class JoinedLeaf:
    """An array with dimensions `axis` and `axis + 1` as one: heads and head_dim of an attention kernel."""

    apart: Leaf
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        shape, axis = self.apart.shape, self.axis
        return (*shape[:axis], shape[axis] * shape[axis + 1], *shape[axis + 2 :])

    @property
    def dtype(self) -> np.dtype:
        return self.apart.dtype

    def read(self, index: param_source.Index | None = None) -> np.ndarray:
        index = _bounded(index or (), self.shape)
        inner = self.apart.shape[self.axis + 1]
        start, stop = index[self.axis].start, index[self.axis].stop
        first, last = start // inner, max(start // inner, -(-stop // inner))  # whole heads
        before, after = index[: self.axis], index[self.axis + 1 :]
        part = self.apart.read((*before, slice(first, last), slice(0, inner), *after))
        joined = part.reshape(
            *part.shape[: self.axis], (last - first) * inner, *part.shape[self.axis + 2 :]
        )
        kept = slice(start - first * inner, stop - first * inner)
        return joined[(slice(None),) * self.axis + (kept,)]


def _bounded(index: param_source.Index, shape: tuple[int, ...]) -> param_source.Index:
    """A slice of every axis, in TensorStore's terms, where -1 is no last row but one that does not exist."""
    slices = (*index, *[slice(None)] * (len(shape) - len(index)))
    return tuple(slice(*part.indices(size)) for part, size in zip(slices, shape, strict=True))
