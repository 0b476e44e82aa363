"""A process that dies at one of its writes, without one of its own lines run after that."""

from collections.abc import Iterator
import contextlib
import os

from etils import epath
import pytest

_WRITES = ("open", "replace", "unlink", "mkdir")


class Killed(BaseException):
    """In place of SIGKILL."""


@contextlib.contextmanager
def at(number: int, *, within: str) -> Iterator[None]:
    """Dies at the write of this number to a path that has `within` in it: opening, renaming, deleting, making a folder."""
    count = 0
    kind = type(epath.Path("/"))

    def counted(function):
        def call(path, *arguments, **keywords):
            nonlocal count
            reads = function.__name__ == "open" and (*arguments, "r")[0] in ("r", "rb")
            if within not in os.fspath(path) or reads:
                return function(path, *arguments, **keywords)
            count += 1
            if count > number:  # and so at every later one: nothing cleans up
                raise Killed
            return function(path, *arguments, **keywords)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in _WRITES:
            patch.setattr(kind, name, counted(getattr(kind, name)))
        yield
