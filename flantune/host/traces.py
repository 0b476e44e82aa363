"""Where an error comes from, for one sentence: the line of the user's code that its traceback passes last.

Frames of Python, of installed packages and of flantune say how an error came about, not what must be changed. Task modules
are the user's code, also those that come with flantune.
"""

import functools
import os
import pathlib
import site
import sysconfig
import traceback

from flantune.host import error_text, shipped

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]


def users_place(error: BaseException) -> str | None:
    """The last line of the user's code that an error came through, "tasks/mine.py, line 7"; None where it came through none."""
    found = _users_lines(error)
    return place(*found[-1]) if found else None


def import_problem(error: BaseException) -> str:
    """What an import of the user's modules failed with, and where: "mine.py, line 2: ZeroDivisionError: division by zero".

    Where another file of theirs raised it, both are named. What flantune says of a task or template needs no type.
    """
    found = _users_lines(error)
    if isinstance(error, SyntaxError) and error.filename is not None:
        found.append((error.filename, error.lineno))
        said = f"{type(error).__name__}: {error.msg}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        of_flantune = isinstance(error, error_text.USER_ERRORS) and is_ours(frames[-1].filename)
        if of_flantune:
            said = error_text.sentence(error)
        else:
            said = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    if not found:
        return said
    (first, line), (last, last_line) = found[0], found[-1]
    start = "" if first == last else f"{place(first, line)}, leads to "
    return f"{start}{place(last, last_line)}: {said}"


def _users_lines(error: BaseException) -> list[tuple[str, int | None]]:
    """Files and lines of the user's code that an error came through, the outermost first."""
    frames = traceback.extract_tb(error.__traceback__)
    return [(frame.filename, frame.lineno) for frame in frames if _is_users(frame.filename)]


def place(file: str, line: int | None) -> str:
    """A line in words; below the working folder the file is named from there."""
    path = pathlib.Path(file)
    here = pathlib.Path.cwd()
    named = path.relative_to(here) if path.is_relative_to(here) else path
    return f"{os.fspath(named)}, line {line}"


def is_ours(file: str) -> bool:
    """Whether a file is the library's."""
    return pathlib.Path(file).is_relative_to(_PACKAGE) and not _is_shipped_task(file)


def _is_users(file: str) -> bool:
    if file.startswith("<"):  # "<frozen importlib._bootstrap>"
        return False
    path = pathlib.Path(file)
    of_others = any(path.is_relative_to(folder) for folder in (_PACKAGE, *_libraries()))
    return _is_shipped_task(file) or not of_others


def _is_shipped_task(file: str) -> bool:
    return pathlib.Path(file).is_relative_to(shipped.folder() / "tasks")


@functools.cache
def _libraries() -> tuple[pathlib.Path, ...]:
    """Folders of Python's own modules and of installed packages."""
    paths = sysconfig.get_paths()
    named = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    return tuple(pathlib.Path(folder) for folder in (*named, *site.getsitepackages()))
