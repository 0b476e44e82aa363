"""`Catalog`: the tasks and mixtures of the modules that a run lists. The only way to find one by name.

Families of tasks are found in the data directory, or, where that is absent, in the prepared store. Read `data/store/prepare.py`
next.
"""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import functools
import os
import pathlib
from typing import TypeVar

from flantune import prompting
from flantune.data import (
    held_out_names,
    members as members_lib,
    mixture as mixture_lib,
    names as names_lib,
    rates as rates_lib,
    task as task_lib,
    task_modules,
)
from flantune.data.held_out_plan import HeldOutPlan
from flantune.data.store import reader as store_lib
from flantune.host import traces
from flantune.prompting import settings as settings_lib

T = TypeVar("T")
_ENTRIES: dict[str, tuple[type, ...]] = {
    "TASKS": (task_lib.InstructionTask, task_lib.TaskFamily),
    "MIXTURES": (mixture_lib.Mixture,),
    "PLANS": (HeldOutPlan,),
}
_MODULES_SHOWN = 5
EXPORTS = ("TASKS", "MIXTURES", "SETTINGS", "PLANS")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Catalog:
    """Everything that the modules of a run define."""

    modules: tuple[str, ...]
    tasks: Mapping[str, task_lib.InstructionTask]
    mixtures: Mapping[str, mixture_lib.Mixture]
    settings: Mapping[str, prompting.PromptSetting] = dataclasses.field(default_factory=dict)
    plans: Mapping[str, HeldOutPlan] = dataclasses.field(default_factory=dict)
    origins: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )  # modules of each task
    problems: tuple[
        str, ...
    ] = ()  # families of which no task was found, and what else is not there
    empty_families: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )  # their problems, by name
    may_be_absent: frozenset[str] = frozenset()  # tasks and "family:*" that mixtures do without

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
        found = self.members_here(name)
        if not found and self.absent(name):
            raise ValueError(
                f"No task of {name!r} is there: all of its {len(self.absent(name))} are absent, and DataConfig.skip_absent "
                "leaves them out."
            )
        return found

    def members_here(self, name: str) -> tuple[str, ...]:
        """The same, and none where all members are absent."""
        try:
            return rates_lib.members(self._as_mixture(name), self._book())
        except KeyError as error:
            said = error.args[0]
            raise KeyError(" ".join([said, *self._problems_with(said)])) from error

    def setting(self, name: str) -> prompting.PromptSetting:
        """The setting of a member, "family:dataset#setting".

        Raises:
            KeyError: no such setting.
            ValueError: its words exclude each other.
        """
        _, setting = task_lib.split_name(name)
        return settings_lib.parse(setting, self.settings)

    def rates(self, name: str, sizes: rates_lib.Sizes) -> dict[str, float]:
        """The share of each task of a mixture, in examples."""
        return rates_lib.shares(self._as_mixture(name), self._book(), sizes)

    def parts(self, name: str, sizes: rates_lib.Sizes) -> list[rates_lib.Part]:
        """What each task of a mixture gets on each way to it, in examples."""
        return rates_lib.parts(self._as_mixture(name), self._book(), sizes)

    def counts_tokens(self, name: str) -> bool:
        """Whether the rates of a mixture count tokens, so that its shares depend on a vocabulary."""
        return rates_lib.counts_tokens(self._as_mixture(name), self._book())

    def plan(self, name: str) -> HeldOutPlan:
        """The held-out plan of a name.

        Raises:
            KeyError: no such plan.
        """
        if name not in self.plans:
            sentence = names_lib.unknown("You asked for the held-out plan", name, self.plans)
            raise KeyError(f"{sentence} Modules searched: {', '.join(self.modules)}.")
        return self.plans[name]

    def ruled_out(self, plan: str, candidates: Collection[str]) -> frozenset[str]:
        """Which of some tasks a held-out plan rules out.

        Raises:
            KeyError: no such plan, or a mixture that it evaluates has a member that does not exist.
        """
        return self._ruled_out((), plan, candidates)

    def left_out(self, name: str) -> frozenset[str]:
        """Names of the tasks that a mixture leaves out for its held-out plan."""
        return rates_lib.left_out(self._as_mixture(name), self._book())

    def absent(self, name: str) -> tuple[str, ...]:
        """Members that a mixture does without: `DataConfig.skip_absent` allows it, and their data are not there."""
        return rates_lib.absent(self._as_mixture(name), self._book())

    def _book(self, plans: tuple[str, ...] = ()) -> rates_lib.Book:
        return rates_lib.Book(
            tasks=self.tasks,
            mixtures=self.mixtures,
            supports=self.supports,
            ruled_out=functools.partial(self._ruled_out, plans),
            may_be_absent=self.may_be_absent,
        )

    def _ruled_out(
        self, plans: tuple[str, ...], name: str, candidates: Collection[str]
    ) -> frozenset[str]:
        """Which candidates a plan rules out; `plans` are those that are being asked already."""
        if name in plans:
            raise ValueError(
                f"The held-out plan {name!r} evaluates a mixture that itself leaves out what the plan rules out."
            )
        plan = self.plan(name)
        book = self._book((*plans, name))
        evaluated = [
            self.task(member).name
            for mixture in plan.evaluation
            for member in rates_lib.members(self._as_mixture(mixture), book)
        ]
        return held_out_names.ruled_out(self.tasks, candidates, evaluated, plan)

    def supports(self, task: str, setting: str) -> bool:
        """Whether a pattern over names brings a task in, in a setting."""
        found = self.tasks[task]
        # Plain SeqIO tasks are there where something names them: a pattern must not depend on that.
        if found.is_tokenized:
            return False
        return members_lib.supports(found, settings_lib.parse(setting, self.settings))

    def _as_mixture(self, name: str) -> mixture_lib.Mixture:
        if name in self.mixtures:
            return self.mixtures[name]
        task_name, _ = task_lib.split_name(name)
        alone = mixture_lib.Mixture(name=name, rates={name: mixture_lib.equal()})
        known = task_name in self.tasks or names_lib.is_pattern(name)
        if not known and not rates_lib.absent(alone, self._book()):
            raise KeyError(self._unknown("You asked for the mixture or task", name))
        return alone

    def _unknown(self, who: str, name: str) -> str:
        sentence = names_lib.unknown(who, name, [*self.mixtures, *self.tasks, *self.modules])
        searched = ", ".join(self.modules[:_MODULES_SHOWN])
        more = len(self.modules) - _MODULES_SHOWN
        return f"{sentence} Modules searched: {searched}{f' and {more} more' if more > 0 else ''}."

    def _problems_with(self, sentence: str) -> list[str]:
        """The problems that may be why a sentence says that a name does not exist: of other families they are not."""
        others = {
            problem
            for family, problem in self.empty_families.items()
            if f"{family}:" not in sentence
        }
        return [problem for problem in self.problems if problem not in others]


def load(
    modules: Sequence[str],
    store: store_lib.Store,
    data_dir: pathlib.Path,
    *,
    skip_absent: bool = False,
) -> Catalog:
    """The catalog of some modules, each of which exports TASKS, MIXTURES, SETTINGS or PLANS.

    Args:
        skip_absent: mixtures do without tasks that have neither a source here nor a prepared split, and without those of
            families that are not found; names that no module can mean are errors still.

    Raises:
        ValueError: a module cannot be imported or exports none of them; two define the same name.
    """
    tasks: dict[str, task_lib.InstructionTask] = {}
    mixtures: dict[str, mixture_lib.Mixture] = {}
    settings: dict[str, prompting.PromptSetting] = {}
    plans: dict[str, HeldOutPlan] = {}
    origins: dict[str, tuple[str, ...]] = {}
    homes: dict[tuple[str, str], str] = {}  # the module that defines the thing of a kind and name
    empty_families: dict[str, str] = {}
    absent: set[str] = set()
    for module in modules:
        exported = _import(module)
        _check_exports(module, exported)
        for entry in getattr(exported, "TASKS", ()):
            if skip_absent and isinstance(entry, task_lib.TaskFamily):
                absent.add(f"{entry.name}:*")
            elif skip_absent and not _is_there(entry, store, data_dir):
                absent.add(entry.name)
                continue
            found = _tasks_of(entry, store, data_dir)
            if not found:
                empty_families[entry.name] = (
                    f"No task of the family {entry.name!r} was found below {data_dir} (--data_dir or FLANTUNE_DATA_DIR) "
                    f"or in the prepared store {os.fspath(store.root)}."
                )
            for task in found:
                _add(tasks, homes, ("task", task.name), task, module)
                origins[task.name] = (*origins.get(task.name, ()), module)
        for mixture in getattr(exported, "MIXTURES", ()):
            _add(mixtures, homes, ("mixture", mixture.name), mixture, module)
        for name, setting in getattr(exported, "SETTINGS", {}).items():
            settings_lib.check_name(name)
            _add(settings, homes, ("setting", name), setting, module)
        for plan in getattr(exported, "PLANS", ()):
            _add(plans, homes, ("held-out plan", plan.name), plan, module)
    return Catalog(
        modules=tuple(modules),
        tasks=tasks,
        mixtures=mixtures,
        settings=settings,
        plans=plans,
        origins=origins,
        problems=tuple(empty_families.values()),
        empty_families=empty_families,
        may_be_absent=frozenset(absent),
    )


def _is_there(
    task: task_lib.InstructionTask, store: store_lib.Store, data_dir: pathlib.Path
) -> bool:
    """Whether a split of the task can be read or is prepared already."""
    return any(
        task.source.fingerprint(split, data_dir) is not None
        or store.manifest(task, split) is not None
        for split in task.source.splits
    )


def _tasks_of(
    entry: task_lib.InstructionTask | task_lib.TaskFamily,
    store: store_lib.Store,
    data_dir: pathlib.Path,
) -> tuple[task_lib.InstructionTask, ...]:
    if isinstance(entry, task_lib.TaskFamily):
        return store_lib.family_tasks(entry, store, data_dir)
    return (entry,)


def _import(module: str) -> object:
    try:
        imported = task_modules.load(module)
    except ModuleNotFoundError as error:
        own = error.name and (module == error.name or module.startswith(error.name + "."))
        if own and module.startswith(f"{task_modules.PACKAGE}."):
            known = task_modules.names(task_modules.PACKAGE)
            sentence = names_lib.unknown("You asked for the module", module, known)
            raise ValueError(f"{sentence}{task_modules.about_plain_file()}") from error
        advice = (
            "Run from the folder that holds it, or install it." if own else "It needs that module."
        )
        problem = error if own else traces.import_problem(error)
        raise ValueError(f"{_cannot(module)}: {problem}. {advice}") from error
    except (Exception, SystemExit) as error:  # whatever a user's module raises
        problem = traces.import_problem(error).rstrip(".")
        raise ValueError(f"{_cannot(module)}: {problem}.") from error
    if not any(hasattr(imported, name) for name in EXPORTS):
        hint = task_modules.about_plain_file() if module == task_modules.PACKAGE else ""
        raise ValueError(f"The module {module!r} exports none of {', '.join(EXPORTS)}.{hint}")
    return imported


def _cannot(module: str) -> str:
    return f"DataConfig.modules names {module!r}, which cannot be imported"


def _check_exports(module: str, exported: object) -> None:
    """Raises TypeError where an export of a module does not hold what it is there for."""
    for name, kinds in _ENTRIES.items():
        entries = getattr(exported, name, ())
        if not isinstance(entries, list | tuple):
            raise TypeError(
                f"{name} of the module {module!r} must be a tuple, not a {type(entries).__name__}."
            )
        for entry in entries:
            if not isinstance(entry, kinds):
                wanted = " or ".join(kind.__name__ for kind in kinds)
                raise TypeError(
                    f"{name} of the module {module!r} must hold {wanted}, not {entry!r}."
                )
    settings = getattr(exported, "SETTINGS", {})
    if not isinstance(settings, Mapping) or not all(
        isinstance(setting, prompting.PromptSetting) for setting in settings.values()
    ):
        raise TypeError(
            f"SETTINGS of the module {module!r} must be a dictionary of PromptSettings, not {settings!r}."
        )


def _add(
    known: dict[str, T],
    homes: dict[tuple[str, str], str],
    key: tuple[str, str],
    value: T,
    module: str,
) -> None:
    """Enters a thing under its kind and name; one that a module hands on from another is the same thing."""
    kind, name = key
    if known.get(name, value) is not value:
        first = homes[key]
        where = f"in {first!r} and in {module!r}" if first != module else f"in {module!r}"
        raise ValueError(f"The {kind} {name!r} is defined twice, {where}.")
    known[name] = value
    homes.setdefault(key, module)
