"""The datasets that a run needs: where each is published, its files below the data directory, and whether they are there.

    datasets = needed(config, [("flan2021", "train")])

Nothing is read but names and sizes of files. What the tasks say is in `data/publication.py`; the text for a person is in
`views/datasets_text.py`, and `flantune data` prints it.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import pathlib
import re
from typing import Any

from flantune.audit import held_out
from flantune.configs import DataConfig
from flantune.data import (
    catalog as catalog_lib,
    members as members_lib,
    publication as publication_lib,
    task as task_lib,
    task_modules,
)
from flantune.data.input import loading
from flantune.data.publication import Publication
from flantune.data.sources import any_source, files
from flantune.data.store import reader as store_lib

Wanted = tuple[str, str | None]  # a mixture, task or pattern, and a split of it; None: all splits
MISSING, LEFT_OUT, PREPARED, HERE = "missing", "left out", "prepared", "there"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """What is published in one place, of what a run needs.

    Attributes:
        tasks: made of it.
        url: where it is published; None: no task says.
        get: how its files come below the data directory.
        licences: of its tasks.
        places: files and folders below the data directory; () where rows are made in code.
        download_bytes: as published; None: not stated.
        source_bytes: of the files that are there, of the splits that are needed.
        unprepared_bytes: of those of them that are still to be prepared.
        prepared_bytes: of the splits that are in the prepared store.
        num_splits: that are needed.
        unprepared: splits, "task (split)", that are not in the prepared store.
        missing: those of them that are not there either, and tasks of families whose files are not there.
        state: "missing", "left out" (missing, but `DataConfig.skip_absent` does without), "prepared" or "there".
    """

    tasks: tuple[str, ...]
    url: str | None
    get: str
    licences: tuple[str, ...]
    places: tuple[str, ...]
    download_bytes: int | None
    source_bytes: int
    unprepared_bytes: int
    prepared_bytes: int
    num_splits: int
    unprepared: tuple[str, ...]
    missing: tuple[str, ...]
    state: str

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def needed(config: DataConfig, wanted: Sequence[Wanted]) -> list[Dataset]:
    """The datasets behind some splits of mixtures and tasks, and of the config's held-out plan; the missing ones first.

    Raises:
        KeyError: no such mixture or task, or it has no such split.
    """
    store, data_dir = loading.open_store(config), loading.data_dir(config)
    families = _families(config.modules)
    catalog = open_catalog(config, store, [name for name, _ in wanted])
    if config.held_out is not None:
        wanted = [*wanted, *held_out.wanted(catalog.plan(config.held_out))]
    groups: dict[object, _Group] = {}
    for name, splits in _splits(catalog, wanted).items():
        task = catalog.tasks[name]
        family = families.get(task.family)
        publication = task.publication or (family.publication if family else None)
        group = groups.setdefault(publication or task.family, _Group(publication))
        group.add(task, splits, store, data_dir)
    for member in dict.fromkeys(name for one, _ in wanted for name in catalog.absent(one)):
        family = families[member.partition(":")[0]]
        group = groups.setdefault(family.publication or family.name, _Group(family.publication))
        group.add_absent(member, family)
    # Without any data there is nothing that the run could do without.
    skip = config.skip_absent and any(group.is_here for group in groups.values())
    found = [group.dataset(data_dir, skip) for group in groups.values()]
    order = (MISSING, LEFT_OUT, HERE, PREPARED)
    return sorted(found, key=lambda one: order.index(one.state))


def open_catalog(
    config: DataConfig, store: store_lib.Store, names: Iterable[str]
) -> catalog_lib.Catalog:
    """The catalog of a run in which every task is there, but for those of families without files: `Catalog.absent`."""
    everything = dataclasses.replace(config, skip_absent=False)
    catalog = loading.load_catalog(everything, store, names)
    absent = frozenset(f"{family}:*" for family in _families(config.modules))
    return dataclasses.replace(catalog, may_be_absent=absent, problems=())


def of_module(module: str) -> list[Wanted]:
    """All splits of all tasks of a module."""
    entries = getattr(task_modules.load(module), "TASKS", ())
    names = (
        f"{entry.name}:*" if isinstance(entry, task_lib.TaskFamily) else entry.name
        for entry in entries
    )
    return [(name, None) for name in names]


def _families(modules: Iterable[str]) -> dict[str, task_lib.TaskFamily]:
    return {
        entry.name: entry
        for module in modules
        for entry in getattr(task_modules.load(module), "TASKS", ())
        if isinstance(entry, task_lib.TaskFamily)
    }


def _splits(catalog: catalog_lib.Catalog, wanted: Sequence[Wanted]) -> dict[str, dict[str, None]]:
    """The splits of each task that is known, by its name; a task in several mixtures or settings is there once."""
    found: dict[str, dict[str, None]] = {}
    for name, split in wanted:
        for member in catalog.members_here(name):
            task = catalog.task(member)
            own = found.setdefault(task.name, {})
            if split is None:
                own.update(dict.fromkeys(task.source.splits))
                continue
            for needed_split in members_lib.splits_of(catalog.setting(member), split):
                files.check_split(task.source, needed_split)
                own[needed_split] = None
    return found


class _Group:
    """What is found of the tasks with one publication; `is_here` where at least a split can be read."""

    def __init__(self, publication: Publication | None) -> None:
        self._publication = publication
        self._tasks: list[str] = []
        self._licences: dict[str, None] = {}
        self._places: dict[str, None] = {}
        self._commands: dict[str, None] = {}
        self._here: dict[Any, int] = {}
        self._unprepared: dict[Any, int] = {}
        self._prepared_bytes = 0
        self._missing: list[str] = []
        self._unprepared_splits: list[str] = []
        self._num_splits = 0
        self.is_here = False

    def add(
        self,
        task: task_lib.InstructionTask,
        splits: Iterable[str],
        store: store_lib.Store,
        data_dir: pathlib.Path,
    ) -> None:
        self._tasks.append(task.name)
        self._licences[task.licence] = None
        self._places |= dict.fromkeys(any_source.places(task.source))
        self._commands[any_source.how_to_get(task.source, data_dir)] = None
        for split in splits:
            self._num_splits += 1
            found = any_source.files_here(task.source, split, data_dir)
            self._here |= found
            manifest = store.manifest(task, split)
            if manifest is not None:
                self._prepared_bytes += sum(shard.bytes for shard in manifest.shards)
                self.is_here = True
                continue
            self._unprepared_splits.append(f"{task.name} ({split})")
            self._unprepared |= found
            if task.source.fingerprint(split, data_dir) is None:
                self._missing.append(f"{task.name} ({split})")
            else:
                self.is_here = True

    def add_absent(self, member: str, family: task_lib.TaskFamily) -> None:
        """A task, or a pattern, of a family of which nothing is known without its files."""
        self._tasks.append(member)
        self._missing.append(member)
        self._licences[family.licence] = None
        self._places |= {f"{folder}/": None for folder in family.folders}

    def dataset(self, data_dir: pathlib.Path, skip_absent: bool) -> Dataset:
        published = self._publication
        state = HERE if self._unprepared_splits else PREPARED
        if self._missing:
            state = LEFT_OUT if skip_absent else MISSING
        return Dataset(
            tasks=tuple(self._tasks),
            url=published.url if published else None,
            get=self._get(data_dir),
            licences=tuple(self._licences),
            places=tuple(self._places),
            download_bytes=published.download_bytes if published else None,
            source_bytes=sum(self._here.values()),
            unprepared_bytes=sum(self._unprepared.values()),
            prepared_bytes=self._prepared_bytes,
            num_splits=self._num_splits,
            unprepared=tuple(self._unprepared_splits),
            missing=tuple(self._missing),
            state=state,
        )

    def _get(self, data_dir: pathlib.Path) -> str:
        """What the publication says, then what the sources do, with the data directory in its place."""
        own = self._publication.get if self._publication else ""
        own = re.sub(rf"\b{publication_lib.DATA}\b", lambda _: str(data_dir), own)
        commands = " && ".join(filter(None, self._commands))
        return f"{own}, then: {commands}" if own and commands else own or commands
