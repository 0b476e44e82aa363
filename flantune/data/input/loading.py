"""From a `DataConfig` to what training and evaluation use: members bound to the prepared store, rates, batches.

Read `pipeline.py` for what the batches hold, and `registry/publish.py` for the same tasks in SeqIO.
"""

import atexit
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING
import weakref

from etils import epath

from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib, members as members_lib, names as names_lib
from flantune.data.input import (
    blocks,
    loss_weights,
    measure,
    prompts,
    schedule as schedule_lib,
    tokenize,
)
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.host import places

if TYPE_CHECKING:
    import grain

    from flantune.data.input import pipeline

_PREFETCH_BATCHES = 4
_TASKS_SHOWN = 3


def data_dir(config: DataConfig) -> pathlib.Path:
    """Root of source files."""
    given = config.data_dir or os.environ.get("FLANTUNE_DATA_DIR") or "."
    if places.is_bucket(given):
        raise ValueError(
            f"DataConfig.data_dir must be a local folder, not {given}: sources are read once, by flantune prepare; "
            "only the prepared store may be in a bucket."
        )
    return pathlib.Path(given).expanduser()


def open_store(config: DataConfig) -> store_lib.Store:
    """The prepared store of a run.

    Raises:
        ValueError: there is a file in its place.
        PlaceError: a file or a link to nothing is on the way to it.
    """
    given = config.prepared_dir or os.environ.get("FLANTUNE_PREPARED_DIR")
    root = epath.Path(given or "~/.cache/flantune/prepared").expanduser()
    if not places.is_bucket(root) and os.path.isfile(root):  # a bucket is not asked
        raise ValueError(
            f"DataConfig.prepared_dir must be a folder, and {os.fspath(root)} is a file."
        )
    why = places.why_no_folder(root)
    if why is not None:
        raise places.PlaceError(
            f"The prepared store {os.fspath(root)} cannot be made: {why}. --prepared_dir or FLANTUNE_PREPARED_DIR names "
            "another."
        )
    return store_lib.Store(root)


def load_catalog(
    config: DataConfig, store: store_lib.Store, names: Iterable[str]
) -> catalog_lib.Catalog:
    """The catalog of a run's modules, with the plain SeqIO tasks that some mixtures or tasks reach."""
    catalog = catalog_lib.load(
        config.modules, store, data_dir(config), skip_absent=config.skip_absent
    )
    return seqio_tasks.extend(catalog, names, config, store)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unfit:
    """A member of which no measured example fits: how many rows it has, and what they need."""

    rows: int
    lengths: measure.Lengths


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundMixture:
    """A mixture over the prepared store: its members and their shares of the examples, in one order.

    Attributes:
        absent: members that it does without, as `DataConfig.skip_absent` allows.
        unfit: members that are left out, since no example of theirs fits and their rates count tokens.
    """

    name: str
    members: tuple[members_lib.Member, ...]
    rates: tuple[float, ...]
    absent: tuple[str, ...] = ()
    unfit: Mapping[str, Unfit] = dataclasses.field(default_factory=dict)

    def table(self) -> list[dict[str, object]]:
        """One row for each task: name, cluster, rate (share of examples), rows of its split, templates used, loss weight."""
        return [
            {
                "task": member.name,
                "cluster": member.task.cluster,
                "rate": rate,
                "rows": len(member.reader),
                "templates": len(member.usable),
                "loss_weight": member.task.loss_weight,
            }
            for member, rate in zip(self.members, self.rates, strict=True)
        ]


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of bound members; lengths are asked for only where rates count tokens. Those `without` have no rows."""

    members: Mapping[str, members_lib.Member]
    mean_length: Callable[[members_lib.Member], float]
    without: Collection[str] = ()

    def rows(self, member: str) -> int:
        return 0 if member in self.without else len(self.members[member].reader)

    def num_templates(self, member: str) -> int:
        return len(self.members[member].usable)

    def tokens(self, member: str) -> float:
        return self.mean_length(self.members[member])


def bind_mixture(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    name: str,
    *,
    split: str,
    templates: str = "training",
    mean_length: Callable[[members_lib.Member], float] = prompts.mean_bytes,
) -> BoundMixture:
    """A mixture whose tasks are all prepared.

    Args:
        mean_length: of a member's examples, for mixtures whose rates count tokens. UTF-8 bytes stand in for tokens
            before there is a vocabulary.

    Raises:
        KeyError: no such mixture, task, setting or split.
        ValueError: a split is not prepared, or a task has no template for its setting.
    """
    members = {
        member: _member(catalog, store, member, split, templates)
        for member in catalog.members(name)
    }
    _check_rows(name, split, members.values())
    rates = shares(catalog, name, members, mean_length)
    return BoundMixture(
        name=name,
        members=tuple(members[member] for member in rates),
        rates=tuple(rates.values()),
        absent=catalog.absent(name),
    )


def _check_rows(name: str, split: str, members: Collection[members_lib.Member]) -> None:
    """Raises ValueError, with what became of the rows, where no member has any."""
    if any(len(member.reader) for member in members):
        return
    manifests = {member.task.name: member.reader.manifest for member in members}
    told = [
        f"{task} (to_fields dropped {manifest.dropped:,}, and {manifest.malformed.count:,} are malformed)"
        for task, manifest in manifests.items()
    ]
    more = f" and {len(told) - _TASKS_SHOWN} more" if told[_TASKS_SHOWN:] else ""
    raise ValueError(
        f"Mixture {name!r} has no example: the split {split!r} has no rows in {', '.join(told[:_TASKS_SHOWN])}{more}."
    )


def shares(
    catalog: catalog_lib.Catalog,
    name: str,
    members: Mapping[str, members_lib.Member],
    mean_length: Callable[[members_lib.Member], float],
) -> dict[str, float]:
    """The share of each bound member of a mixture, in examples."""
    return catalog.rates(name, Sizes(members, mean_length))


def in_tokens(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    bound: BoundMixture,
    config: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    *,
    seed: int,
    without_unfit: bool = False,
) -> BoundMixture:
    """The mixture with the shares that its rates mean in this vocabulary; itself where they count examples.

    Args:
        without_unfit: leaves out tasks that have a rate in tokens and no example that fits, and says which
            (`BoundMixture.unfit`), for a plan of the rest.

    Raises:
        ValueError: there are such tasks, and they are not to be left out or no other is there.
    """
    if not catalog.counts_tokens(bound.name):
        return bound
    measurer = measure.Measurer(
        vocabulary,
        inputs_length=config.inputs_length,
        targets_length=config.targets_length,
        seed=seed,
        store=store,
    )
    measured = measurer.measure(bound.members)
    members = {member.name: member for member in bound.members}
    unfit: dict[str, measure.Lengths] = {}

    def mean_tokens(member: members_lib.Member) -> float:
        tokens = measured[member.name].tokens_per_visit
        if not tokens:
            unfit[member.name] = measured[member.name]
        return tokens or 1.0  # any length will do: the task is left out, or all are refused

    found = catalog.rates(bound.name, Sizes(members, mean_tokens))
    if unfit and (not without_unfit or unfit.keys() >= found.keys()):
        raise measure.nothing_fits(unfit)
    if unfit:
        found = catalog.rates(bound.name, Sizes(members, mean_tokens, without=unfit))
    return dataclasses.replace(
        bound,
        members=tuple(members[name] for name in found),
        rates=tuple(found.values()),
        unfit={
            name: Unfit(rows=len(members[name].reader), lengths=lengths)
            for name, lengths in unfit.items()
        },
    )


def check_split(catalog: catalog_lib.Catalog, name: str, split: str) -> None:
    """Raises KeyError where a task of a mixture lacks a split that it reads: SeqIO would skip it with a warning."""
    for member in catalog.members(name):
        task = catalog.task(member)
        for needed in members_lib.splits_of(catalog.setting(member), split):
            if needed not in task.source.splits:
                raise KeyError(
                    names_lib.unknown(
                        f"Task {member!r} is asked for the split", needed, task.source.splits
                    )
                )


def train_dataset(
    bound: BoundMixture,
    config: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    *,
    seed: int,
    process_index: int = 0,
    process_count: int = 1,
    with_shortfall: bool = False,
) -> "pipeline.TrainDataset":
    """This process's batches of a mixture, without end.

    Args:
        with_shortfall: each batch says what was cut and dropped (`packing.SHORTFALL_KEYS`), for `audit/ledger/counts.py`.

    Raises:
        ValueError: rows of a plain SeqIO task were prepared with another vocabulary.
    """
    from flantune.data.input import (
        pipeline,  # brings Grain, which brings JAX: `prepare` needs neither
    )

    lanes = config.lanes or pipeline.default_lanes(config.batch_size)
    return pipeline.TrainDataset(
        make_packer(bound, config, vocabulary, seed=seed, lanes=lanes),
        batch_size=config.batch_size,
        lanes=lanes,
        process_index=process_index,
        process_count=process_count,
        with_shortfall=with_shortfall,
    )


def make_packer(
    bound: BoundMixture,
    config: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    *,
    seed: int,
    lanes: int,
) -> blocks.BlockPacker:
    """What turns the blocks of a mixture, in the order of training with so many lanes, into rows.

    Raises:
        ValueError: rows of a plain SeqIO task were prepared with another vocabulary.
    """
    for member in bound.members:
        seqio_tasks.check_vocabulary(member.reader.manifest, vocabulary)
    lengths = {"inputs_length": config.inputs_length, "targets_length": config.targets_length}
    tokenizer = tokenize.Tokenizer(vocabulary, seed=seed, **lengths)
    mean_targets = None
    if config.loss_weighting == "example":
        in_whole_blocks = make_schedule(bound, config, seed)
        mean_targets = loss_weights.mean_targets(bound.members, in_whole_blocks, tokenizer)
    return blocks.BlockPacker(
        members=bound.members,
        schedule=make_schedule(bound, config, seed, lanes),
        tokenizer=tokenizer,
        pack=config.pack,
        mean_targets=mean_targets,
        **lengths,
    )


def prefetched(
    dataset: "pipeline.TrainDataset",
) -> "grain.DatasetIterator[blocks.Batch]":
    """Its iterator, filled by a thread; its state is that of the last batch taken, not of the last one made."""
    import grain

    prefetch = grain.experimental.ThreadPrefetchIterDataset(
        dataset, prefetch_buffer_size=_PREFETCH_BATCHES
    )
    iterator = iter(prefetch)
    # A thread that still reads when Python ends takes the process down with it.
    atexit.register(_close, weakref.ref(iterator))
    return iterator


def _close(reference: "weakref.ref[grain.DatasetIterator[blocks.Batch]]") -> None:
    iterator = reference()
    if iterator is not None:
        iterator.close()


def make_schedule(
    bound: BoundMixture, config: DataConfig, seed: int, lanes: int | None = None
) -> schedule_lib.Schedule:
    """The global order of a bound mixture, in whole blocks or, for training, in those of its lanes."""
    return schedule_lib.Schedule(
        names=[member.name for member in bound.members],
        rates=bound.rates,
        num_rows=[len(member.reader) for member in bound.members],
        block_size=config.block_size,
        seed=seed,
        lanes=lanes,
    )


def splits_needed(
    catalog: catalog_lib.Catalog, wanted: Sequence[tuple[str, str]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Tasks and their splits behind (mixture, split) pairs, each task once."""
    splits: dict[str, dict[str, None]] = {}
    for mixture, split in wanted:
        check_split(catalog, mixture, split)
        for member in catalog.members(mixture):
            own = splits.setdefault(catalog.task(member).name, {})
            own.update(dict.fromkeys(members_lib.splits_of(catalog.setting(member), split)))
    return [(name, tuple(found)) for name, found in splits.items()]


def _member(
    catalog: catalog_lib.Catalog, store: store_lib.Store, name: str, split: str, templates: str
) -> members_lib.Member:
    task, setting = catalog.task(name), catalog.setting(name)
    readers = {}
    for needed in members_lib.splits_of(setting, split):
        manifest = store.manifest(task, needed)
        if manifest is None:
            raise ValueError(
                f"Task {task.name!r} has no prepared split {needed!r}: run flantune prepare."
            )
        readers[needed] = store.reader(manifest)
    return members_lib.make_member(name, task, setting, readers, split=split, templates=templates)
