"""Modules of tasks by name: yours, and those that come with flantune. Imported only when a run names them.

`tasks.sentiment` is `tasks/sentiment.py` of the first folder that has it: here, then other folders of Python's path, then
flantune's own. So a `tasks/` folder of yours adds to what comes with flantune, and a module in it stands for one of the same
name; the log says so where the two differ. Python alone would know the modules of one folder only.
"""

from collections.abc import Iterator
import functools
import importlib
import importlib.util
import pathlib
import pkgutil
import sys
import sysconfig
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
        _log_what_it_hides(name)
    return importlib.import_module(name)


def names(package: str) -> tuple[str, ...]:
    """Names of all modules of a package, such as "tasks".

    Raises:
        ImportError: there is no such package.
    """
    folders = load(package).__path__
    return tuple(sorted(f"{package}.{module.name}" for module in pkgutil.iter_modules(folders)))


def join() -> None:
    """Makes `tasks` the package of all its folders. Processes that unpickle tasks call it first."""
    folders = list(_folders())
    package = sys.modules.get(PACKAGE)
    if package is None:
        package = _package(folders)
    package.__path__ = [str(folder) for folder in folders]


def _folders() -> Iterator[pathlib.Path]:
    """Folders named `tasks`, each once: those of Python's path, then flantune's own."""
    # A package of that name among the installed ones is another project's.
    installed = {
        pathlib.Path(sysconfig.get_path(kind)).resolve() for kind in ("purelib", "platlib")
    }
    places = [pathlib.Path(entry or ".").resolve() for entry in sys.path]
    found = dict.fromkeys(place / PACKAGE for place in places if place not in installed)
    own = shipped.folder() / PACKAGE
    found.pop(own, None)
    yield from (folder for folder in found if folder.is_dir())
    yield own


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
def _log_what_it_hides(name: str) -> None:
    """Says once where a module stands for another one of flantune's."""
    file = "/".join(name.split(".")[1:]) + ".py"
    own = shipped.folder() / PACKAGE / file
    chosen = next((folder / file for folder in _folders() if (folder / file).is_file()), own)
    if chosen != own and own.is_file() and chosen.read_bytes() != own.read_bytes():
        logging.warning(
            "%s is %s, not the module of that name that comes with flantune.", name, chosen
        )
