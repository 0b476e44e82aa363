"""Modules of tasks by name: yours, and those that come with flantune. Imported only when a run names them.

`tasks.sentiment` is `tasks/sentiment.py` of the first folder that has it: here, then other folders of Python's path, then
flantune's own. So a `tasks/` folder of yours adds to what comes with flantune, and a module in it stands for one of the same
name; the log says so where the two differ. Python alone would know the modules of one folder only.
"""

from collections.abc import Iterator
import functools
import importlib
import importlib.util
import multiprocessing
import os
import pathlib
import pkgutil
import site
import sys
import types

from absl import logging

from flantune.host import shipped

PACKAGE = "tasks"


def load(name: str) -> types.ModuleType:
    """Imports the module of a name; errors are Python's.

    Raises:
        ImportError: there is no such module, or it needs one that is not there.
    """
    if name.partition(".")[0] == PACKAGE:
        join()
    return importlib.import_module(name)


def names(package: str) -> tuple[str, ...]:
    """Names of all modules of a package, such as "tasks", and of the packages in it, which are not imported for that.

    Raises:
        ImportError: there is no such package.
    """
    return tuple(sorted(_names(package, [pathlib.Path(path) for path in load(package).__path__])))


def _names(package: str, folders: list[pathlib.Path]) -> Iterator[str]:
    for module in pkgutil.iter_modules(map(str, folders)):
        name = f"{package}.{module.name}"
        yield name
        if module.ispkg:
            yield from _names(name, [folder / module.name for folder in folders])


def about_plain_file() -> str:
    """A sentence, after a space, where a plain file of the name `tasks` may be what was meant; empty without one."""
    for folder in _places(tuple(sys.path), os.getcwd()):
        file = folder.with_suffix(".py")
        if file.is_file():
            return (
                f" {file} is not read: {PACKAGE!r} is the package of all folders {PACKAGE}/, those that come with flantune "
                f"among them. Name the file my_{PACKAGE}.py, or move it to {folder}/NAME.py, which is {PACKAGE}.NAME."
            )
    return ""


def join() -> None:
    """Makes `tasks` the package of all its folders. Processes that unpickle tasks call it first."""
    folders = list(_folders())
    package = sys.modules.get(PACKAGE)
    if package is None:
        package = _package(folders)
    package.__path__ = [str(folder) for folder in folders]
    if multiprocessing.parent_process() is None:
        _log_what_is_hidden(tuple(folders))


def _folders() -> Iterator[pathlib.Path]:
    """Folders named `tasks`, each once: those of Python's path, then flantune's own."""
    own = shipped.folder() / PACKAGE
    places = _places(tuple(sys.path), os.getcwd())
    yield from (folder for folder in places if folder != own and folder.is_dir())
    yield own


@functools.lru_cache(maxsize=8)
def _places(path: tuple[str, ...], here: str) -> tuple[pathlib.Path, ...]:
    """Where Python's path may have such a folder. A package among the installed ones is another project's."""
    entries = dict.fromkeys(pathlib.Path(here, entry).resolve() for entry in path)
    installed = {pathlib.Path(folder).resolve() for folder in site.getsitepackages()}
    return tuple(entry / PACKAGE for entry in entries if entry not in installed)


def _package(folders: list[pathlib.Path]) -> types.ModuleType:
    """The package, made by the first folder's `__init__.py`, if one has any."""
    inits = [folder / "__init__.py" for folder in folders]
    init = next(file for file in inits if file.is_file())  # flantune's own has one
    paths = [str(folder) for folder in folders]
    spec = importlib.util.spec_from_file_location(PACKAGE, init, submodule_search_locations=paths)
    assert spec is not None
    assert spec.loader is not None
    package = importlib.util.module_from_spec(spec)
    sys.modules[PACKAGE] = package
    try:
        spec.loader.exec_module(package)
    except BaseException:
        del sys.modules[PACKAGE]
        raise
    return package


@functools.cache
def _log_what_is_hidden(folders: tuple[pathlib.Path, ...]) -> None:
    """Says once which modules stand for others of flantune's; a copy of one does not count."""
    *others, own = folders
    for folder in others:
        names = [file.name for file in sorted(folder.glob("*.py")) if (own / file.name).is_file()]
        hidden = [n for n in names if n != "__init__.py" and not _same(folder / n, own / n)]
        if hidden:
            logging.warning(
                "%s in %s: these stand for the modules of the same name that come with flantune, also for its own modules "
                "that import them.",
                ", ".join(hidden),
                folder,
            )


def _same(file: pathlib.Path, other: pathlib.Path) -> bool:
    return file.read_bytes() == other.read_bytes()
