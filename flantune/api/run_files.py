"""A call's run file and bindings, parsed for this call alone."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import os
from typing import TypeAlias

from flantune.jobs import gin_files

RunFile: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


@contextlib.contextmanager
def parsed(
    run_file: RunFile,
    bindings: Mapping[str, object],
    *,
    defaults: Mapping[str, object] | None = None,
) -> Iterator[None]:
    """`jobs/gin_files.py` has the run in the block; what gin held before comes back after it.

    Args:
        run_file: one gin file, or several, of which the last wins; looked for here, then among those that come with flantune.
        bindings: values by name, as after `--gin.`, which win over the files.
        defaults: bindings that stand in for a run file: then there is none.

    Raises:
        ValueError: a file does not exist or does not parse, or a name or parameter does not exist.
    """
    files = [run_file] if isinstance(run_file, str | os.PathLike) else list(run_file)
    with gin_files.own_state():
        gin_files.parse(
            [os.fspath(file) for file in files] if defaults is None else [],
            {**(defaults or {}), **bindings},
        )
        yield
