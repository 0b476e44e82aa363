"""Modules that register plain SeqIO tasks: which splits and rates they define, and whether their source text changed.

The prepared store remembers the answers, so that a training host imports neither SeqIO nor the modules; where they must
be asked anew, a process of its own imports them, and TensorFlow with them. `tasks.py` turns the answers into tasks.
"""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
import dataclasses
from importlib import machinery
import json
import os
import pathlib
from typing import Any

from absl import logging
from etils import epath

from flantune.data import fingerprint as fingerprint_lib, names as names_lib, task_modules
from flantune.data.store import reader as store_lib
from flantune.host import atomic, traces, workers
from flantune.prompting import choice


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskEntry:
    """What is known of a task: its splits, each with the files it reads where the source names them."""

    splits: Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixtureEntry:
    """What is known of a mixture: the rate of each of its tasks, nested ones resolved."""

    rates: Mapping[str, float]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Index:
    """What some modules register, by SeqIO's names.

    Attributes:
        fingerprint: of the modules' source text when they were asked.
        problems: a sentence for each name that they do not register.
    """

    fingerprint: str | None
    tasks: Mapping[str, TaskEntry]
    mixtures: Mapping[str, MixtureEntry]
    problems: Mapping[str, str]

    def names(self) -> set[str]:
        return {*self.tasks, *self.mixtures, *self.problems}


def index(modules: Sequence[str], names: Collection[str], store: store_lib.Store) -> Index:
    """The index of some names: the store's, or, where that is missing or older than the modules, a fresh one.

    Raises:
        ValueError: a module cannot be imported, and the store does not know the names.
    """
    path = store.root / "seqio" / f"modules-{choice.hash64(tuple(modules)):016x}.json"
    known = _read(path)
    fingerprint = source_fingerprint(modules)
    is_current = fingerprint is None or known.fingerprint == fingerprint
    if is_current and set(names) <= known.names():
        return known
    logging.info("Asking %s for their SeqIO tasks.", ", ".join(modules))
    found = _asked(modules, sorted({*names, *(known.names() if is_current else ())}))
    fresh = dataclasses.replace(found, fingerprint=fingerprint)
    try:
        atomic.write_text(path, json.dumps(dataclasses.asdict(fresh), indent=1))
    except OSError as error:  # a store for reading only: the next start asks again
        logging.warning("The index %s cannot be written: %s", path, error)
    return fresh


def _read(path: epath.Path) -> Index:
    try:
        values = json.loads(path.read_text())
        return Index(
            fingerprint=values["fingerprint"],
            tasks={
                name: TaskEntry(splits={key: tuple(item) for key, item in entry["splits"].items()})
                for name, entry in values["tasks"].items()
            },
            mixtures={name: MixtureEntry(**entry) for name, entry in values["mixtures"].items()},
            problems=values["problems"],
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Index(
            fingerprint=None, tasks={}, mixtures={}, problems={}
        )  # none, or of another version


def _asked(modules: Sequence[str], names: Sequence[str]) -> Index:
    """The answers of a process that imports the modules."""
    job = (tuple(modules), tuple(names))
    for _, answer in workers.run(_ask, [job], 1):
        if isinstance(answer, workers.Crash):
            raise ValueError(f"DataConfig.seqio_modules cannot be imported: {answer}.")
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer
    raise AssertionError("one job has one answer")


def _ask(job: tuple[tuple[str, ...], tuple[str, ...]]) -> Index | str:
    """The index, or what went wrong; runs in a worker process."""
    modules, names = job
    try:
        import_all(modules)
        return describe(names)
    except Exception as error:  # the modules are the user's, and may raise anything
        return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def import_all(modules: Sequence[str]) -> None:
    """Imports modules, which registers their tasks.

    Raises:
        ValueError: one cannot be imported.
    """
    for module in modules:
        try:
            task_modules.load(module)
        except (Exception, SystemExit) as error:  # whatever a user's module raises
            own = isinstance(error, ModuleNotFoundError) and error.name == module.partition(".")[0]
            advice = " Run from the folder that holds it, or install it." if own else ""
            problem = traces.import_problem(error).rstrip(".")
            raise ValueError(
                f"DataConfig.seqio_modules names {module!r}, which cannot be imported: {problem}.{advice}"
            ) from error


def describe(names: Sequence[str]) -> Index:
    """The index of some names in this process's SeqIO."""
    import seqio

    tasks: dict[str, TaskEntry] = {}
    mixtures: dict[str, MixtureEntry] = {}
    problems: dict[str, str] = {}
    for name in names:
        if name in seqio.MixtureRegistry.names():
            mixture = seqio.MixtureRegistry.get(name)
            rates = {task.name: float(mixture.get_rate(task)) for task in mixture.tasks}
            mixtures[name] = MixtureEntry(rates=rates)
            tasks |= {task.name: _task_entry(task) for task in mixture.tasks}
        elif name in seqio.TaskRegistry.names():
            tasks[name] = _task_entry(seqio.TaskRegistry.get(name))
        else:
            registered = [*seqio.TaskRegistry.names(), *seqio.MixtureRegistry.names()]
            who = "DataConfig.seqio_modules do not register"
            problems[name] = names_lib.unknown(who, name, registered)
    return Index(fingerprint=None, tasks=tasks, mixtures=mixtures, problems=problems)


def _task_entry(task: Any) -> TaskEntry:  # a seqio.Task
    import seqio

    has_files = isinstance(task.source, seqio.FileDataSource)
    return TaskEntry(
        splits={
            split: tuple(map(str, task.source.list_shards(split))) if has_files else ()
            for split in sorted(task.splits)
        }
    )


def source_fingerprint(modules: Sequence[str]) -> str | None:
    """A sha256 of the modules' source text; None where one is not here.

    Modules of the same package that they import count too, wherever in a file the import stands. Nothing is imported.
    """
    texts: dict[str, str] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        path = None if name in texts else _file_of(name)
        if path is not None:
            texts[name] = path.read_text()
            own = name.split(".")[0]
            imported = _imports(texts[name], name, path.name == "__init__.py")
            waiting += [other for other in imported if other.split(".")[0] == own]
    if not set(modules) <= texts.keys():
        return None
    return fingerprint_lib.value_fingerprint(texts)


def _file_of(module: str) -> pathlib.Path | None:
    """The source file of a module; unlike `importlib.util.find_spec` it imports no package on the way."""
    parts = module.split(".")
    search = None
    for number in range(1, len(parts) + 1):
        spec = machinery.PathFinder.find_spec(".".join(parts[:number]), search)
        if spec is None:
            return None
        search = spec.submodule_search_locations
        if number < len(parts) and search is None:
            return None
    origin = spec.origin if spec is not None else None
    is_source = origin is not None and origin.endswith(".py") and os.path.exists(origin)
    return pathlib.Path(origin) if origin is not None and is_source else None


def _imports(text: str, module: str, is_package: bool) -> Iterator[str]:
    """Names that may be modules which a module imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")
            base = base[: len(base) - node.level + is_package] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield origin
            yield from (f"{origin}.{alias.name}" for alias in node.names)
