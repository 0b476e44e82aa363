"""`open_binary`: a file's bytes, decompressed where its name ends in .gz, .bz2, .xz or .zst. Read `formats.py` next."""

import bz2
from collections.abc import Iterator
import contextlib
import gzip
import io
import lzma
from typing import IO
import zlib

from etils import epath

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
# What the decompressors raise on a file that is damaged, ends early or is not compressed at all.
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError)


def without_suffix(name: str) -> str:
    """A file's name without the suffix of its compression.

    Example: `without_suffix("rows.jsonl.gz")` is "rows.jsonl".
    """
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


@contextlib.contextmanager
def open_binary(path: epath.Path) -> Iterator[IO[bytes] | io.BufferedIOBase]:
    """The content of a file for reading, decompressed as its suffix says.

    Raises:
        ValueError: compressed content is damaged or ends early; also while it is read.
    """
    with path.open("rb") as raw:
        if path.suffix not in SUFFIXES:
            yield raw
            return
        try:
            yield _decompressed(raw, path.suffix)
        except _DAMAGED as error:
            raise ValueError(f"{path} cannot be decompressed: {error}.") from error


def _decompressed(raw: IO[bytes], suffix: str) -> io.BufferedIOBase:
    if suffix == ".gz":
        return gzip.GzipFile(fileobj=raw)
    if suffix == ".bz2":
        return bz2.BZ2File(raw)
    if suffix == ".xz":
        return lzma.LZMAFile(raw)
    import pyarrow  # 0.1 s: only where a .zst file is read

    return io.BufferedReader(pyarrow.CompressedInputStream(pyarrow.PythonFile(raw), "zstd"))
