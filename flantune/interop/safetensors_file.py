"""Files in the safetensors format, read and written one array or a part of one at a time.

A file is 8 bytes with the length of its header (little endian), the header as JSON (name -> dtype, shape and the first
and last byte of its data), then the arrays, row by row. Local or in a bucket (etils.epath). The library `safetensors`
is not needed, and gives no bfloat16 in numpy; tests compare with it. Source: https://github.com/huggingface/safetensors.
Which arrays a T5 has is in `huggingface.py`.
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import json
import math

from etils import epath
import ml_dtypes
import numpy as np

from flantune.interop.param_source import ArrayInfo, Index

DTYPES: Mapping[str, np.dtype] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000  # the library refuses longer ones too
_BLOCK_BYTES = 64 * 2**20  # read at a time where only some columns are wanted


@dataclasses.dataclass(frozen=True)
class SafetensorsFile:
    """An open file: nothing but its header is in memory."""

    path: epath.Path
    arrays: Mapping[str, ArrayInfo]
    starts: Mapping[str, int]  # byte of the file at which an array begins

    def read(self, name: str, index: Index | None = None) -> np.ndarray:
        """An array, or the part of it that `index` selects: only the rows between its first and last are read."""
        info = self.arrays[name]
        whole = tuple(slice(None) for _ in info.shape)
        index = (*(index or ()), *whole[len(index or ()) :])
        if not info.shape:
            return self._rows(name, 0, 1).reshape(())
        rows = range(*index[0].indices(info.shape[0]))
        if not rows:
            return np.empty(info.shape, info.dtype)[index]
        first, end = min(rows), max(rows) + 1
        if all(part.indices(size) == (0, size, 1) for part, size in _columns(index, info)):
            return self._rows(name, first, end)[:: rows.step]
        return self._selected(name, range(first, end), index)[:: rows.step]

    def _selected(self, name: str, rows: range, index: Index) -> np.ndarray:
        """Some columns of rows, a block of rows at a time, so that memory holds little beyond the result."""
        info = self.arrays[name]
        columns = index[1:]
        row_bytes = math.prod(info.shape[1:]) * info.dtype.itemsize
        step = max(1, _BLOCK_BYTES // max(1, row_bytes))
        blocks = [
            self._rows(name, start, min(start + step, rows.stop))[(slice(None), *columns)].copy()
            for start in range(rows.start, rows.stop, step)
        ]
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)

    def _rows(self, name: str, first: int, end: int) -> np.ndarray:
        info = self.arrays[name]
        shape = (end - first, *info.shape[1:])
        row_bytes = math.prod(info.shape[1:]) * info.dtype.itemsize
        data = bytearray((end - first) * row_bytes)
        with self.path.open("rb") as file:
            file.seek(self.starts[name] + first * row_bytes)
            view, done = memoryview(data), 0
            while done < len(data):
                part = file.read(min(len(data) - done, _BLOCK_BYTES))
                if not part:
                    raise ValueError(f"{self.path} ended within {name!r}: the file is not whole.")
                view[done : done + len(part)] = part
                done += len(part)
        return np.frombuffer(data, info.dtype).reshape(shape)


def _columns(index: Index, info: ArrayInfo) -> Iterator[tuple[slice, int]]:
    return zip(index[1:], info.shape[1:], strict=True)


def open_file(path: epath.PathLike) -> SafetensorsFile:
    """Reads the header of a file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no safetensors file, or shorter than its header says.
    """
    file = epath.Path(path)
    size = file.stat().length
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > _MAX_HEADER_BYTES:
            raise ValueError(f"{file} is no safetensors file: its first bytes are no length.")
        text = opened.read(length)
    if len(text) < length:
        raise ValueError(
            f"{file} is not whole: it has {size:,} bytes, and its header alone has {length:,}."
        )
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{file} is no safetensors file: its header is no JSON.") from error
    arrays, starts, end = {}, {}, 0
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        arrays[name], (start, stop) = _entry(file, name, entry)
        starts[name] = _LENGTH_BYTES + length + start
        end = max(end, _LENGTH_BYTES + length + stop)
    if size < end:
        raise ValueError(
            f"{file} is not whole: it has {size:,} of {end:,} bytes. Copy or download it again."
        )
    return SafetensorsFile(file, arrays, starts)


def _entry(file: epath.Path, name: str, entry: object) -> tuple[ArrayInfo, tuple[int, int]]:
    """What the header says of one array."""
    try:
        dtype, shape, (start, stop) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]  # type: ignore[index]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{file} is damaged: its header does not say where {name!r} lies."
        ) from error
    if dtype not in DTYPES:
        raise ValueError(
            f"{file} holds {name!r} as {dtype}, which is not read; known are {', '.join(DTYPES)}."
        )
    info = ArrayInfo(shape, DTYPES[dtype])
    if stop - start != math.prod(shape) * info.dtype.itemsize:
        raise ValueError(
            f"{file} is damaged: {name!r} has {stop - start} bytes, which do not fit {dtype} {list(shape)}."
        )
    return info, (start, stop)


def write_file(
    path: epath.PathLike,
    arrays: Mapping[str, ArrayInfo],
    read: Callable[[str], np.ndarray],
) -> int:
    """Writes a file array by array, and returns the bytes of the arrays; the caller renames it when all is done.

    Args:
        path: overwritten where it exists.
        arrays: what to write, in this order.
        read: gives each array when its turn comes, in the shape and dtype that `arrays` says.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}  # transformers demands it
    start = 0
    for name, info in arrays.items():
        stop = start + math.prod(info.shape) * info.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[info.dtype],
            "shape": list(info.shape),
            "data_offsets": [start, stop],
        }
        start = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # arrays begin at a multiple of 8
    with epath.Path(path).open("wb") as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little"))
        file.write(text)
        for name, info in arrays.items():
            array = read(name)
            if array.shape != info.shape or array.dtype != info.dtype:
                raise AssertionError(f"{name}: {array.shape} {array.dtype} instead of {info}")
            file.write(contiguous_bytes(array))
    return start


def contiguous_bytes(array: np.ndarray) -> memoryview:
    """The bytes of an array, row by row."""
    if array.dtype == ml_dtypes.bfloat16:
        array = array.view(np.uint16)  # numpy copies its own dtypes faster
    return memoryview(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
