"""`Catalog`: the tasks and mixtures of the modules that a run lists. The only way to find one by name.

Families of tasks are found in the data directory, or, where that is absent, in the prepared store. Read `prepare.py`
next.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import importlib
import os
import pathlib
from typing import TypeVar

from flantune.data import (
    mixture as mixture_lib,
    names as names_lib,
    store as store_lib,
    task as task_lib,
)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything that the modules of a run define."""

    modules: tuple[str, ...]
    tasks: Mapping[str, task_lib.InstructionTask]
    mixtures: Mapping[str, mixture_lib.Mixture]
    problems: tuple[str, ...] = ()  # families of which no task was found

    def task(self, name: str) -> task_lib.InstructionTask:
        """The task of "family:dataset" or "family:dataset#setting".

        Raises:
            KeyError: no such task.
        """
        task_name, _ = task_lib.split_name(name)
        if task_name not in self.tasks:
            raise KeyError(self._unknown("You asked for the task", task_name))
        return self.tasks[task_name]

    def members(self, name: str) -> tuple[str, ...]:
        """Names of the tasks (with settings) of a mixture, a task or a pattern.

        Raises:
            KeyError: no such mixture or task, or a member of the mixture does not exist.
        """
        try:
            return self._as_mixture(name).members(self.mixtures, self.tasks)
        except KeyError as error:
            raise KeyError(" ".join([error.args[0], *self.problems])) from error

    def rates(self, name: str, num_rows: Callable[[str], int]) -> dict[str, float]:
        """The share of each task of a mixture, in examples; `num_rows` gives the rows of a member."""
        return self._as_mixture(name).task_rates(self.mixtures, self.tasks, num_rows)

    def _as_mixture(self, name: str) -> mixture_lib.Mixture:
        if name in self.mixtures:
            return self.mixtures[name]
        task_name, _ = task_lib.split_name(name)
        if task_name not in self.tasks and not any(mark in name for mark in "*?["):
            raise KeyError(self._unknown("You asked for the mixture or task", name))
        return mixture_lib.Mixture(name=name, rates={name: mixture_lib.equal()})

    def _unknown(self, who: str, name: str) -> str:
        sentence = names_lib.unknown(who, name, [*self.mixtures, *self.tasks])
        return f"{sentence} Modules searched: {', '.join(self.modules)}."


def load(modules: Sequence[str], store: store_lib.Store, data_dir: pathlib.Path) -> Catalog:
    """The catalog of some modules, each of which exports TASKS, MIXTURES or both.

    Raises:
        ValueError: a module cannot be imported or exports neither; two define the same name.
    """
    tasks: dict[str, task_lib.InstructionTask] = {}
    mixtures: dict[str, mixture_lib.Mixture] = {}
    problems: list[str] = []
    for module in modules:
        exported = _import(module)
        for entry in getattr(exported, "TASKS", ()):
            found: tuple[task_lib.InstructionTask, ...] = (
                store_lib.family_tasks(entry, store, data_dir)
                if isinstance(entry, task_lib.TaskFamily)
                else (entry,)
            )
            if not found:
                problems.append(
                    f"No task of the family {entry.name!r} was found below {data_dir} (--data_dir or FLANTUNE_DATA_DIR) "
                    f"or in the prepared store {os.fspath(store.root)}."
                )
            for task in found:
                _add(tasks, task.name, task, module)
        for mixture in getattr(exported, "MIXTURES", ()):
            _add(mixtures, mixture.name, mixture, module)
    return Catalog(modules=tuple(modules), tasks=tasks, mixtures=mixtures, problems=tuple(problems))


def _import(module: str) -> object:
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(error.name + ".")):
            raise
        raise ValueError(
            f"DataConfig.modules names {module!r}, which cannot be imported: {error}. Run from the folder that holds "
            "it, or install it."
        ) from error
    if not hasattr(imported, "TASKS") and not hasattr(imported, "MIXTURES"):
        raise ValueError(f"The module {module!r} exports neither TASKS nor MIXTURES.")
    return imported


def _add(known: dict[str, T], name: str, value: T, module: str) -> None:
    if known.get(name, value) is not value:
        raise ValueError(f"{name!r} is defined twice; the second time in {module!r}.")
    known[name] = value
