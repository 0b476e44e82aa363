"""What a mixture is by the row counts that publishers state, before any data are there.

Rates are resolved as for a run (`data/rates.py`), with `InstructionTask.published_rows` and `TaskFamily.declared` instead of
prepared rows. The tasks of a family whose files are not looked at stand as one, "family:*": its share is known where the
mixture fixes it by a number, or where it is alone in a submixture; anything else is an error. A run counts the rows that it
has prepared, which are fewer where `to_fields` drops some.
"""

from collections.abc import Collection, Iterable, Sequence
import dataclasses
import pathlib
import tempfile

from flantune.data import (
    catalog as catalog_lib,
    mixture as mixture_lib,
    names as names_lib,
    rates as rates_lib,
    task as task_lib,
    task_modules,
)
from flantune.data.store import reader as store_lib
from flantune.prompting import rendering


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A task in a setting, or a family whose tasks are not known: "family:*".

    Attributes:
        submixtures: share of all examples through each submixture, by the names that lead to the task joined by "/"; ""
            where it is a direct member.
        share: of all examples.
        caps: rows that its rates count at most.
        rows: as published; None where nothing is declared.
        templates: how many its rates count; None where that is not known.
    """

    task: str
    submixtures: dict[str, float]
    share: float
    caps: tuple[int, ...]
    rows: int | None
    templates: int | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """The shares of a mixture by published row counts."""

    mixture: str
    split: str
    entries: tuple[Entry, ...]

    def by_submixture(self) -> dict[str, float]:
        """The share of every mixture inside it, by the names that lead there joined by "/", in its own order."""
        found: dict[str, float] = {}
        for entry in self.entries:
            for path, share in entry.submixtures.items():
                names = path.split("/") if path else []
                for length in range(1, len(names) + 1):
                    inner = "/".join(names[:length])
                    found[inner] = found.get(inner, 0.0) + share
        return found

    def by_task(self) -> dict[str, float]:
        """The share of each task in all of its settings, the largest one first."""
        found: dict[str, float] = {}
        for entry in self.entries:
            task, _ = task_lib.split_name(entry.task)
            found[task] = found.get(task, 0.0) + entry.share
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def plan(modules: Sequence[str], names: Sequence[str], *, split: str = "train") -> list[Published]:
    """What some mixtures of the modules are; reads no data.

    Raises:
        KeyError: no such mixture, or a member that exists only where its family's files are.
        ValueError: rates that depend on rows, tasks or tokens that nobody has declared.
    """
    with tempfile.TemporaryDirectory() as empty:
        folder = pathlib.Path(empty)
        catalog = catalog_lib.load(modules, store_lib.Store(folder), folder)
    sizes = _Sizes(catalog, _families(modules), split)
    return [_plan_one(catalog, sizes, name, split) for name in names]


def _families(modules: Iterable[str]) -> list[task_lib.TaskFamily]:
    return [
        entry
        for module in modules
        for entry in getattr(task_modules.load(module), "TASKS", ())
        if isinstance(entry, task_lib.TaskFamily)
    ]


class _Sizes:
    """Declared sizes of tasks and of families, which rates ask for by the names of members."""

    def __init__(
        self,
        catalog: catalog_lib.Catalog,
        families: Collection[task_lib.TaskFamily],
        split: str,
    ) -> None:
        self._catalog = catalog
        self._split = split
        self._declared: dict[str, task_lib.Declared] = {}
        for family in families:
            self._declared |= family.declared
        self.whole_families = {f"{family.name}:*" for family in families}
        self.tasks = {*catalog.tasks, *self._declared, *self.whole_families}

    def known_rows(self, member: str) -> int | None:
        """Published rows; None where there are none declared."""
        task, _ = task_lib.split_name(member)
        if task in self.whole_families:
            return None
        if task in self._declared:
            return self._declared[task].rows.get(self._split)
        return self._catalog.task(task).published_rows.get(self._split)

    def known_templates(self, member: str) -> int | None:
        task, _ = task_lib.split_name(member)
        if task in self.whole_families:
            return None
        setting = self._catalog.setting(member)
        if task in self._declared:
            return self._declared[task].num_templates(setting)
        templates = self._catalog.task(task).templates
        return len(rendering.usable_templates(templates, "training", setting))

    def rows(self, member: str) -> int:
        """For rates. One stands for a number that no share depends on: `_check` has seen to that."""
        rows = self.known_rows(member)
        return 1 if rows is None else rows

    def num_templates(self, member: str) -> int:
        """For rates; one stands for a number that no share depends on."""
        templates = self.known_templates(member)
        if templates == 0:
            raise ValueError(f"{member!r} has no training template in its setting.")
        return 1 if templates is None else templates

    def tokens(self, member: str) -> float:
        raise ValueError(
            f"The rates of {member!r} count tokens, which are only known once its rows are prepared."
        )

    def supports(self, task: str, setting: str) -> bool:
        """Whether a pattern brings a task in, in a setting."""
        if task in self.whole_families:
            return True
        if task in self._declared:
            return bool(self.known_templates(f"{task}#{setting}" if setting else task))
        return self._catalog.supports(task, setting)

    def ruled_out(self, plan: str, candidates: Collection[str]) -> frozenset[str]:
        """Which tasks a held-out plan rules out."""
        unseen = sorted(set(candidates) - self._catalog.tasks.keys())
        if unseen:
            raise ValueError(
                f"The held-out plan {plan!r} goes by cluster and source dataset, and those of {unseen[0]!r} are only known "
                "where its files are."
            )
        return self._catalog.ruled_out(plan, candidates)


def _plan_one(catalog: catalog_lib.Catalog, sizes: _Sizes, name: str, split: str) -> Published:
    if name not in catalog.mixtures:
        raise KeyError(names_lib.unknown("You asked for the mixture", name, catalog.mixtures))
    mixture = catalog.mixtures[name]
    book = rates_lib.Book(
        tasks=dict.fromkeys(sizes.tasks),
        mixtures=catalog.mixtures,
        supports=sizes.supports,
        ruled_out=sizes.ruled_out,
    )
    try:
        _check(mixture, book, sizes)
        parts = rates_lib.parts(mixture, book, sizes)
    except KeyError as error:
        raise KeyError(
            f"{error.args[0]} Of the families {', '.join(sorted(sizes.whole_families))}, tasks that are not declared exist "
            "only where their files are."
        ) from error
    return Published(mixture=name, split=split, entries=tuple(_entries(parts, sizes)))


def _check(mixture: mixture_lib.Mixture, book: rates_lib.Book, sizes: _Sizes) -> None:
    """Raises ValueError where a share depends on what nobody has declared."""
    everything = rates_lib.members(mixture, book)
    for member, rate in mixture.rates.items():
        if member in book.mixtures:
            _check(book.mixtures[member], book, sizes)
        is_number = isinstance(rate, int | float)
        if is_number and member in book.mixtures:
            continue
        own = rates_lib.members(dataclasses.replace(mixture, rates={member: rate}), book)
        if len(own if is_number else everything) == 1:
            continue  # it gets all of its mixture's share, or all of its own rate
        whole = [one for one in own if task_lib.split_name(one)[0] in sizes.whole_families]
        if whole:
            raise ValueError(
                f"Mixture {mixture.name!r} divides a share among {whole[0]!r} and others, and how many tasks or rows that "
                "family has is only known where its files are."
            )
        unknown = [one for one in own if sizes.known_rows(one) is None]
        if unknown and isinstance(rate, mixture_lib.Proportional):
            raise ValueError(
                f"Mixture {mixture.name!r} counts the rows of {unknown[0]!r}, and its published_rows are not declared."
            )


def _entries(parts: Sequence[rates_lib.Part], sizes: _Sizes) -> Iterable[Entry]:
    by_task: dict[str, list[rates_lib.Part]] = {}
    for part in parts:
        by_task.setdefault(part.task, []).append(part)
    for task, own in by_task.items():
        submixtures: dict[str, float] = {}
        for part in own:
            path = "/".join(part.path)
            submixtures[path] = submixtures.get(path, 0.0) + part.share
        yield Entry(
            task=task,
            submixtures=submixtures,
            share=sum(submixtures.values()),
            caps=_caps(part.rate for part in own),
            rows=sizes.known_rows(task),
            templates=sizes.known_templates(task),
        )


def _caps(rates: Iterable[mixture_lib.Rate]) -> tuple[int, ...]:
    capped = (rate.cap for rate in rates if isinstance(rate, mixture_lib.Proportional))
    return tuple(sorted({cap for cap in capped if cap is not None}))
