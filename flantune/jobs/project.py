"""A new project: a folder with tasks, data, a run file, a test and a README that work as they are.

It is a copy of `docs/starter/` under another name, which stands there in place of "my_lab". Commands find what is in it, since they
look for task modules in `tasks/` and for gin files in `gin/` of the folder that they run in.
"""

import keyword
import os
import pathlib
import re
import shlex
import shutil
import uuid

from flantune.host import places, shipped

FOLDER = "docs/starter"
NAME = "my_lab"
# Named one by one: a starter that was tried out holds runs, caches and a prepared store besides.
FILES = (
    ".gitignore",
    "README.md",
    "data/messages.jsonl",
    f"gin/runs/{NAME}.gin",
    "pytest.ini",
    f"tasks/{NAME}.py",
    f"tests/{NAME}_test.py",
)
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_OURS = ("tasks/{}.py", "gin/runs/{}.gin")  # a file here would stand for one of these


def write(folder: pathlib.Path) -> tuple[str, ...]:
    """Writes a project named like its folder, all of it or nothing, and returns its files.

    Raises:
        ValueError: the folder cannot be one: its name is not allowed, something is in it, or nothing can hold it.
    """
    target = folder.absolute()
    _check_name(target.name)
    _check_place(folder, target)
    files = {
        file.replace(NAME, target.name): _text(file).replace(NAME, target.name) for file in FILES
    }
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
    try:
        for file, text in files.items():
            path = temporary / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        # Takes the place of an empty folder too, and of none that another process has filled in the meantime.
        os.rename(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return tuple(files)


def next_commands(folder: pathlib.Path) -> tuple[str, ...]:
    """What to type after `write`: each works as it stands."""
    name = folder.absolute().name
    return (
        f"cd {shlex.quote(str(folder))}",
        f"flantune train gin/runs/{name}.gin",
        "python -m pytest",
    )


def _check_name(name: str) -> None:
    """Raises ValueError for what cannot be the name of a Python module, of tasks and of a mixture at once."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        near = re.sub(r"\W+", "_", name.lower(), flags=re.ASCII).strip("_")
        is_better = _NAME.fullmatch(near) and not keyword.iskeyword(near)
        raise ValueError(
            f"{name!r} cannot name a project, since its task module gets the same name: take lower-case letters a to z, "
            "digits and underscores, a letter first, and no keyword of Python"
            + (f", for example {near!r}." if is_better else ".")
        )
    for ours in _OURS:
        if (shipped.folder() / ours.format(name)).exists():
            raise ValueError(
                f"{name!r} cannot name a project: its {ours.format(name)} would stand for the one that comes with flantune. "
                f"Take another name, for example 'my_{name}'."
            )


def _check_place(folder: pathlib.Path, target: pathlib.Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ValueError(f"{folder} is there and is no folder: take another name.")
    if target.is_dir():
        if any(target.iterdir()):
            raise ValueError(f"The folder {folder} is there and is not empty: take another name.")
        if target.samefile(pathlib.Path.cwd()):
            raise ValueError(
                f"{folder} is the folder that you are in, which is replaced by the new one: go up with cd .. and run "
                f"flantune init {target.name}."
            )
    if not target.parent.is_dir():
        raise ValueError(
            f"There is no folder {target.parent} to hold {target.name}: make it first."
        )
    places.check_writable(f"The folder {folder}", target.parent)


def _text(file: str) -> str:
    return (shipped.folder() / FOLDER / file).read_text(encoding="utf-8")
