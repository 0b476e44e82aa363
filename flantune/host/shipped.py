"""Where the gin files, task modules, starter and constraints that come with flantune lie."""

import functools
import pathlib


@functools.cache
def folder() -> pathlib.Path:
    """The folder that holds `gin/`, `tasks/`, `docs/starter/` and `constraints.txt`: of an installed wheel, or the checkout."""
    package = pathlib.Path(__file__).resolve().parents[1]
    wheel = package / "shipped"  # pyproject.toml puts them there
    return wheel if wheel.is_dir() else package.parent
