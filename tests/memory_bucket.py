"""A bucket in this process's memory, behind the paths that a real one has."""

from typing import ClassVar

from fsspec.implementations import memory
from fsspec.registry import _registry
import pytest


class Bucket(memory.MemoryFileSystem):
    """Objects: they cannot be appended to, and there are no renames."""

    protocol = ("gs", "gcs")
    store: ClassVar[dict] = {}
    pseudo_dirs: ClassVar[list] = [""]

    def __init__(self, **_):
        super().__init__()

    def _open(self, path, mode="rb", **options):
        assert "a" not in mode, "a bucket takes no appending"
        return super()._open(path, mode, **options)

    def mv(self, *_, **__):
        raise AssertionError("a rename is a copy and a deletion")


def install(patch: pytest.MonkeyPatch) -> type[Bucket]:
    """Makes gs:// an empty bucket."""
    from flantune.host import buckets

    buckets.settle()
    for protocol in Bucket.protocol:
        patch.setitem(_registry, protocol, Bucket)
    Bucket.store.clear()
    return Bucket
