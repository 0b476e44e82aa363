"""Tasks without a run file: every module of `tasks/` and of the working folder is searched, and prompts are measured in bytes."""

import ast
from collections.abc import Sequence
import importlib.util
import pathlib
import sys
from typing import Any

from absl import logging

from flantune.data import catalog, task_modules
from flantune.host import traces


def data_config(
    name: str | None, modules: Sequence[str] | None = None
) -> dict[str, Any]:  # Any: of fields
    """Fields of `DataConfig` that stand in for a run file: modules to find `name` in, bytes, lengths in which most prompts fit.

    Args:
        name: of a module, mixture or task; None: of everything.
        modules: to search; None: the one named, or all of `tasks/` and of the working folder.

    Raises:
        ValueError: `modules` is a single text.
    """
    if isinstance(modules, str):
        raise ValueError(
            f"modules must be a tuple of module names, not {modules!r}: write ({modules!r},) for one."
        )
    return {
        "mixture": "",
        "modules": modules_for(name or "") if modules is None else tuple(modules),
        "vocabulary": "bytes",
        "inputs_length": 4096,
        "targets_length": 1024,
        "batch_size": 1,
    }


def modules_for(name: str) -> tuple[str, ...]:
    """The module of that name, or all of `tasks/` and here, where a mixture or task is looked for."""
    return (name,) if is_module_of_tasks(name) else (*modules_of(), *modules_here())


def modules_of(package: str | None = None) -> tuple[str, ...]:
    """The modules of a package, or of tasks/, that a catalog can hold, by name.

    One that cannot be imported is left out, and the log says so.
    """
    package = package or task_modules.PACKAGE
    try:
        names = task_modules.names(package)
    except ModuleNotFoundError as error:
        raise ValueError(
            f"There is no package {package!r} to search: {error}. Run from the folder that holds it."
        ) from error
    return _importable(names)


def modules_here() -> tuple[str, ...]:
    """The modules of the working folder that a catalog can hold, by name; the others are not imported, as they may be scripts.

    One that cannot be imported is left out, and the log says so.
    """
    return _importable(
        [file.stem for file in sorted(pathlib.Path().glob("*.py")) if _exports(file)]
    )


def _importable(names: Sequence[str]) -> tuple[str, ...]:
    """Those of some modules that export what a catalog can hold; the log names those that cannot be imported."""
    found = []
    for name in names:
        try:
            module = task_modules.load(name)
        except (Exception, SystemExit) as error:  # whatever it raises: nobody asked for it by name
            said = traces.import_problem(error)
            logging.warning("%s is left out, since it cannot be imported: %s", name, said)
            continue
        if any(hasattr(module, export) for export in catalog.EXPORTS):
            found.append(name)
    return tuple(found)


def _exports(file: pathlib.Path) -> bool:
    """Whether a file assigns what a catalog looks for, as its text says."""
    try:
        body = ast.parse(file.read_bytes()).body
    except (SyntaxError, ValueError, OSError):
        return False  # no module, whatever it is
    targets: list[ast.expr] = []
    for statement in body:
        if isinstance(statement, ast.Assign):
            targets += statement.targets
        elif isinstance(statement, ast.AnnAssign):
            targets.append(statement.target)
    return any(isinstance(one, ast.Name) and one.id in catalog.EXPORTS for one in targets)


def is_module_of_tasks(name: str) -> bool:
    """Whether a name is that of a module, rather than of a task or mixture. One that cannot be imported is.

    Any name with a dot is: tasks have a colon, and mixtures neither.
    """
    if not all(part.isidentifier() for part in name.split(".")):
        return False
    if "." in name:
        return True
    if name not in sys.modules and importlib.util.find_spec(name) is None:
        return False
    try:
        module = task_modules.load(name)
    except Exception:  # whatever it raises: the catalog then reports it by the module's name
        return True
    return any(hasattr(module, export) for export in catalog.EXPORTS)
