"""SeqIO: publishes flantune's tasks and mixtures, so that SeqIO, its cache tool and t5x can use them by name.

    registry.register(["tasks.sst2", "tasks.mixtures"], features)
    seqio.get_mixture_or_task("sst2:sst2").get_dataset(sequence_length, split="train")

One `seqio.Task` for each task and for each of its settings that a mixture names, one `seqio.Mixture` for each mixture.
The rows come from the prepared store and the text from the same `render` as in training; SeqIO itself tokenises, trims,
shuffles and mixes. SeqIO repeats the text of epoch 0 in every epoch. A "-" in a name becomes "_", since SeqIO refuses
it. `tasks.py` has the tasks.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
from typing import TYPE_CHECKING

from absl import logging

from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib, members as members_lib, task as task_lib
from flantune.data.input import loading, measure, prompts, tokenize
from flantune.data.plain_seqio import (
    features as seqio_features,
    modules as seqio_modules_lib,
    tasks as seqio_tasks,
)
from flantune.data.store import prepare, reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.registry import tasks as registry_tasks

if TYPE_CHECKING:
    import seqio

_MEASURED_ROWS = 64


def register(
    modules: Sequence[str],
    features: Mapping[str, "seqio.Feature"],
    *,
    data_dir: str | None = None,
    prepared_dir: str | None = None,
    split: str = "train",
    seed: int = 0,
    settings: Sequence[str] = (),
    seqio_modules: Sequence[str] = (),
    lengths: Mapping[str, int] | None = None,
    ignore_loss_weights: bool = False,
) -> tuple[str, ...]:
    """Publishes the tasks and mixtures of some modules; returns the names of the mixtures and tasks.

    A mixture with a member that no listed module defines is not published; the log says so.

    Splits are prepared when a dataset is first read. Calling it again with the same modules changes nothing.

    Args:
        features: SeqIO features of "inputs" and "targets", with their vocabularies.
        split: whose rows decide the mixtures' rates.
        settings: published for every task that has templates for them, besides the default and those that mixtures
            name.
        seed: of templates, options and references, as `experiments.train.seed`.
        seqio_modules: modules that register the plain SeqIO tasks which mixtures name as "seqio:NAME".
        lengths: of "inputs" and "targets". With them, prompts are shortened as in training, those that cannot be are
            left out, rates in tokens are measured as in training, and plain SeqIO tasks are prepared for them. Without
            them, SeqIO cuts the end of whatever is too long, be it the question of a few-shot prompt.
        ignore_loss_weights: publish tasks with loss weights of their own as if they had none. SeqIO's feature converters
            weigh every target token the same, as `DataConfig.loss_weighting` "token" does; none can weigh by example.

    Raises:
        ValueError: two names are the same in SeqIO's spelling, lengths are missing, or a task has a loss weight.
    """
    if seqio_modules and lengths is None:
        raise ValueError("register(seqio_modules=...) needs lengths of 'inputs' and 'targets' too.")
    places = dataclasses.replace(
        _config(modules, features, lengths),
        seqio_modules=tuple(seqio_modules),
        data_dir=data_dir,
        prepared_dir=prepared_dir,
    )
    store = loading.open_store(places)
    catalog = catalog_lib.load(modules, store, loading.data_dir(places))
    seqio_modules_lib.import_all(seqio_modules)
    catalog = seqio_tasks.extend(catalog, catalog.mixtures, places, store)
    rows = _Rows(catalog, store, places)
    renderer, mean_length = _text_and_length(places, store, features, seed, fit=lengths is not None)
    _check_names([*catalog.tasks, *catalog.mixtures])
    mixtures = _resolvable(catalog)
    members = _members(catalog, mixtures, settings)
    if not ignore_loss_weights:
        _check_weights(catalog, members)
    _add_tasks(members, rows, features, renderer)
    for name in mixtures:
        _add_mixture(name, _Shares(catalog, rows, name, split, mean_length))
    return (*map(seqio_name, mixtures), *map(seqio_name, members))


def _config(
    modules: Sequence[str],
    features: Mapping[str, "seqio.Feature"],
    lengths: Mapping[str, int] | None,
) -> DataConfig:
    """What a run with these modules would bind; without lengths, what has to do with tokens is left open."""
    return DataConfig(
        mixture="",
        modules=tuple(modules),
        vocabulary=seqio_features.vocabulary_name(features["inputs"].vocabulary) if lengths else "",
        inputs_length=lengths["inputs"] if lengths else 1,
        targets_length=lengths["targets"] if lengths else 1,
        batch_size=1,
    )


def _add_tasks(
    members: Sequence[str],
    rows: "_Rows",
    features: Mapping[str, "seqio.Feature"],
    renderer: registry_tasks.Renderer,
) -> None:
    """Publishes the members that SeqIO does not have yet."""
    import seqio

    known = seqio.TaskRegistry.names()
    for member in members:
        if seqio_name(member) not in known:
            registry_tasks.add_task(
                seqio_name(member),
                rows.catalog.task(member),
                functools.partial(rows.member, member),
                features,
                renderer,
            )


def _add_mixture(name: str, shares: "_Shares") -> None:
    """Publishes a mixture, unless SeqIO has it."""
    import seqio

    if seqio_name(name) not in seqio.MixtureRegistry.names():
        rates = [
            (seqio_name(member), functools.partial(shares.of, member)) for member in shares.members
        ]
        seqio.MixtureRegistry.add(seqio_name(name), rates)


def _text_and_length(
    places: DataConfig,
    store: store_lib.Store,
    features: Mapping[str, "seqio.Feature"],
    seed: int,
    *,
    fit: bool,
) -> tuple[registry_tasks.Renderer, Callable[[members_lib.Member], float]]:
    """What renders prompts, and what measures a member: as in training, or without lengths."""
    if not fit:
        return registry_tasks.Renderer(seed=seed), _MeanLength(features)
    vocabulary = vocabulary_lib.load(places.vocabulary)
    lengths = {"inputs_length": places.inputs_length, "targets_length": places.targets_length}
    tokenizer = tokenize.Tokenizer(vocabulary, seed=seed, **lengths)
    measurer = measure.Measurer(vocabulary, seed=seed, store=store, **lengths)
    return registry_tasks.Renderer(seed=seed, tokenizer=tokenizer), measurer.mean_tokens


def _members(
    catalog: catalog_lib.Catalog, mixtures: Sequence[str], settings: Sequence[str]
) -> list[str]:
    """Names of the tasks, with their settings, to publish."""
    names = [
        f"{name}#{setting}" if setting else name
        for name, task in catalog.tasks.items()
        for setting in ("", *settings)
        if members_lib.supports(task, catalog.setting(f"{name}#{setting}"))
    ]
    named = [member for mixture in mixtures for member in catalog.members(mixture)]
    found = dict.fromkeys((*names, *named))
    return [name for name in found if not catalog.task(name).is_tokenized]  # SeqIO has those


def _resolvable(catalog: catalog_lib.Catalog) -> list[str]:
    """Mixtures whose members the modules define; the others are logged, since a module may export many mixtures."""
    names = []
    for name in catalog.mixtures:
        if name.startswith(seqio_tasks.PREFIX):
            continue  # SeqIO has it
        try:
            catalog.members(name)
        except KeyError as error:
            logging.warning("The mixture %s is not published. %s", name, error.args[0])
        else:
            names.append(name)
    return names


def seqio_name(name: str) -> str:
    """A task's or mixture's name in SeqIO."""
    return name.removeprefix(seqio_tasks.PREFIX).replace("-", "_")


@dataclasses.dataclass(frozen=True)
class _Rows:
    """Readers of prepared splits; a split that is missing is prepared first."""

    catalog: catalog_lib.Catalog
    store: store_lib.Store
    places: DataConfig

    def reader(self, task: task_lib.InstructionTask, split: str) -> store_lib.Reader:
        data_dir = loading.data_dir(self.places)
        prepare.prepare([(task, (split,))], self.store, data_dir, num_processes=0).raise_if_failed()
        manifest = self.store.manifest(task, split)
        assert manifest is not None  # prepared just now
        return self.store.reader(manifest)

    def member(self, name: str, split: str) -> members_lib.Member:
        task, setting = self.catalog.task(name), self.catalog.setting(name)
        readers = {
            needed: self.reader(task, needed) for needed in members_lib.splits_of(setting, split)
        }
        return members_lib.make_member(
            name, task, setting, readers, split=split, templates="training"
        )


class _Shares:
    """Shares of a mixture's tasks, computed when SeqIO first asks for one."""

    def __init__(
        self,
        catalog: catalog_lib.Catalog,
        rows: _Rows,
        mixture: str,
        split: str,
        mean_length: Callable[[members_lib.Member], float],
    ) -> None:
        self.members = catalog.members(mixture)
        self._mean_length = mean_length
        self._catalog = catalog
        self._rows = rows
        self._mixture = mixture
        self._split = split

    @functools.cached_property
    def _shares(self) -> dict[str, float]:
        return loading.shares(
            self._catalog,
            self._mixture,
            {name: self._rows.member(name, self._split) for name in self.members},
            self._mean_length,
        )

    def of(self, member: str, task: "seqio.Task") -> float:
        """The share of a member; SeqIO passes the task, whose name says no more."""
        del task
        return self._shares.get(member, 0.0)


@dataclasses.dataclass(frozen=True)
class _MeanLength:
    """Mean tokens of a member's first examples in the vocabularies of the features, for rates that count tokens."""

    features: Mapping[str, "seqio.Feature"]

    def __call__(self, member: members_lib.Member) -> float:
        rows = range(min(_MEASURED_ROWS, len(member.reader)))
        requests = [prompts.Request(member, row, 0) for row in rows]
        found = [prompt for prompt in prompts.render(requests, seed=0) if prompt]
        encode = {name: feature.vocabulary.encode for name, feature in self.features.items()}
        tokens = sum(
            len(encode["inputs"](prompt.inputs)) + len(encode["targets"](prompt.targets))
            for prompt in found
        )
        return tokens / max(1, len(found))


def _check_weights(catalog: catalog_lib.Catalog, members: Sequence[str]) -> None:
    tasks = {catalog.task(member).name: catalog.task(member) for member in members}
    weighted = [name for name, task in tasks.items() if task.loss_weight != 1]
    if weighted:
        raise ValueError(
            f"SeqIO cannot carry the loss weight of {', '.join(map(repr, weighted[:3]))}"
            f"{f' and {len(weighted) - 3} more tasks' if len(weighted) > 3 else ''}. Leave them out, or give "
            "register(ignore_loss_weights=True) to weigh all targets alike there."
        )


def _check_names(names: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(seqio_name(name), name)
        if other != name:
            raise ValueError(f"{other!r} and {name!r} are both {seqio_name(name)!r} in SeqIO.")
