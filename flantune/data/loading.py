"""From a `DataConfig` to what training and evaluation use: members bound to the prepared store, rates, batches.

Read `pipeline.py` for what the batches hold, and `registry.py` for the same tasks in SeqIO.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import itertools
import os
import pathlib
from typing import TYPE_CHECKING

from absl import logging
from etils import epath

from flantune import atomic
from flantune.configs import DataConfig
from flantune.data import (
    catalog as catalog_lib,
    names as names_lib,
    schedule as schedule_lib,
    store as store_lib,
    tokenize,
    vocabulary as vocabulary_lib,
)
from flantune.prompting import choice

if TYPE_CHECKING:
    import grain

    from flantune.data import pipeline

_PREFETCH_BATCHES = 4
# What a vocabulary trained on the spot sees, at most; more changes few pieces and takes minutes.
_VOCABULARY_EXAMPLES = 20_000
_VOCABULARY_CHARACTERS = 4_000_000
_VOCABULARY_KEY_LINES = 1_000
_VOCABULARY_SEED = 0  # not the run's: runs of different seeds share ids


def data_dir(config: DataConfig) -> pathlib.Path:
    """Root of source files."""
    given = config.data_dir or os.environ.get("FLANTUNE_DATA_DIR") or "."
    if "://" in given:
        raise ValueError(
            f"DataConfig.data_dir must be a local folder, not {given}: sources are read once, by flantune prepare; "
            "only the prepared store may be in a bucket."
        )
    return pathlib.Path(given).expanduser()


def open_store(config: DataConfig) -> store_lib.Store:
    """The prepared store of a run."""
    given = config.prepared_dir or os.environ.get("FLANTUNE_PREPARED_DIR")
    return store_lib.Store(epath.Path(given or "~/.cache/flantune/prepared").expanduser())


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoundMixture:
    """A mixture over the prepared store: members, their readers and their shares, in one order."""

    name: str
    members: tuple[tokenize.Member, ...]
    readers: tuple[store_lib.Reader, ...]
    rates: tuple[float, ...]

    def table(self) -> list[dict[str, object]]:
        """One row for each task: name, cluster, rate (share of examples), rows of its split, templates used."""
        return [
            {
                "task": member.name,
                "cluster": member.task.cluster,
                "rate": rate,
                "rows": len(reader),
                "templates": len(member.usable),
            }
            for member, reader, rate in zip(self.members, self.readers, self.rates, strict=True)
        ]


def bind_mixture(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    name: str,
    *,
    split: str,
    templates: str = "training",
) -> BoundMixture:
    """A mixture whose tasks are all prepared.

    Raises:
        KeyError: no such mixture, task or split.
        ValueError: a split is not prepared.
    """
    readers: dict[str, store_lib.Reader] = {}
    for member in catalog.members(name):
        readers[member] = _reader(catalog, store, member, split)
    rates = catalog.rates(name, lambda member: len(readers[member]))
    members = tuple(
        tokenize.make_member(member, catalog.task(member), split, templates) for member in rates
    )
    return BoundMixture(
        name=name,
        members=members,
        readers=tuple(readers[member] for member in rates),
        rates=tuple(rates.values()),
    )


def check_split(catalog: catalog_lib.Catalog, name: str, split: str) -> None:
    """Raises KeyError where a task of a mixture has no such split: SeqIO would skip it with a warning."""
    for member in catalog.members(name):
        task = catalog.task(member)
        if split not in task.source.splits:
            raise KeyError(
                names_lib.unknown(
                    f"Task {task.name!r} is asked for the split", split, task.source.splits
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
) -> "pipeline.TrainDataset":
    """This process's batches of a mixture, without end."""
    from flantune.data import pipeline  # brings Grain, which brings JAX: `prepare` needs neither

    lengths = {"inputs_length": config.inputs_length, "targets_length": config.targets_length}
    packer = pipeline.BlockPacker(
        members=bound.members,
        readers=bound.readers,
        schedule=make_schedule(bound, config, seed),
        tokenizer=tokenize.Tokenizer(vocabulary, seed=seed, **lengths),
        pack=config.pack,
        **lengths,
    )
    return pipeline.TrainDataset(
        packer,
        batch_size=config.batch_size,
        lanes=config.lanes or pipeline.default_lanes(config.batch_size),
        process_index=process_index,
        process_count=process_count,
    )


def prefetched(
    dataset: "pipeline.TrainDataset",
) -> "grain.DatasetIterator[pipeline.Batch]":
    """Its iterator, filled by a thread; its state is that of the last batch taken, not of the last one made."""
    import grain

    prefetch = grain.experimental.ThreadPrefetchIterDataset(
        dataset, prefetch_buffer_size=_PREFETCH_BATCHES
    )
    return iter(prefetch)


def make_schedule(bound: BoundMixture, config: DataConfig, seed: int) -> schedule_lib.Schedule:
    """The global order of a bound mixture."""
    return schedule_lib.Schedule(
        names=[member.name for member in bound.members],
        rates=bound.rates,
        num_rows=[len(reader) for reader in bound.readers],
        block_size=config.block_size,
        seed=seed,
    )


def rendered_lines(bound: BoundMixture, config: DataConfig) -> Iterator[str]:
    """Different lines of the mixture's first prompts and targets: what a vocabulary is trained on."""
    schedule = make_schedule(bound, config, _VOCABULARY_SEED)
    seen: set[str] = set()
    characters = 0
    for block in range(_VOCABULARY_EXAMPLES // config.block_size + 1):
        for visit in schedule.block(block):
            fields = bound.readers[visit.task].fetch([visit.row])[0]
            member = bound.members[visit.task]
            prompt = tokenize.render(
                member, fields, visit.row, epoch=visit.epoch, seed=_VOCABULARY_SEED
            )
            for line in (*prompt.inputs.split("\n"), *prompt.targets.split("\n")):
                if line and line not in seen:  # a definition counts once, not for each row
                    seen.add(line)
                    characters += len(line)
                    yield line
        if characters > _VOCABULARY_CHARACTERS:
            return


def trained_vocabulary(
    store: store_lib.Store, config: DataConfig, bound: BoundMixture, size: int
) -> bytes:
    """The SentencePiece model of a mixture, trained once for the prepared rows and then kept in the store."""
    rows = [
        (member.name, *reader.manifest.shards)
        for member, reader in zip(bound.members, bound.readers, strict=True)
    ]
    # The first lines stand for the wordings and the code that renders them.
    lines = list(itertools.islice(rendered_lines(bound, config), _VOCABULARY_KEY_LINES))
    key = choice.hash64(size, config.block_size, rows, bound.rates, lines)
    path = store.root / "vocabularies" / f"{size}-{key:016x}.model"
    if not path.exists():
        logging.info("Training a vocabulary of %d pieces on %s.", size, bound.name)
        atomic.write_bytes(path, vocabulary_lib.train(rendered_lines(bound, config), size))
    return path.read_bytes()


def load_vocabulary(
    config: DataConfig,
    path: epath.Path,
    *,
    store: store_lib.Store | None = None,
    bound: BoundMixture | None = None,
) -> vocabulary_lib.Vocabulary:
    """The vocabulary of a run, kept as `path` unless it is bytes.

    A file that is there already is used as it is: a resumed run must not change its ids. Otherwise the config says
    which one; one to be trained needs the store and the mixture.
    """
    if path.exists():
        return vocabulary_lib.load(os.fspath(path))
    size = vocabulary_lib.size_to_train(config.vocabulary)
    if size is not None:
        if store is None or bound is None:
            raise ValueError(f"The run's trained vocabulary {path} is missing.")
        model = trained_vocabulary(store, config, bound, size)
        atomic.write_bytes(path, model)
        return vocabulary_lib.SentencePieceVocabulary(model, os.fspath(path))
    vocabulary = vocabulary_lib.load(config.vocabulary)
    if isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary):
        atomic.write_bytes(path, vocabulary.model)
    return vocabulary


def splits_needed(
    catalog: catalog_lib.Catalog, wanted: Sequence[tuple[str, str]]
) -> list[tuple[str, tuple[str, ...]]]:
    """Tasks and their splits behind (mixture, split) pairs, each task once."""
    splits: dict[str, dict[str, None]] = {}
    for mixture, split in wanted:
        check_split(catalog, mixture, split)
        for member in catalog.members(mixture):
            splits.setdefault(catalog.task(member).name, {})[split] = None
    return [(name, tuple(own)) for name, own in splits.items()]


def _reader(
    catalog: catalog_lib.Catalog, store: store_lib.Store, member: str, split: str
) -> store_lib.Reader:
    task = catalog.task(member)
    manifest = store.manifest(task.name, split)
    if manifest is None:
        raise ValueError(
            f"Task {task.name!r} has no prepared split {split!r}: run flantune prepare."
        )
    return store.reader(manifest)
