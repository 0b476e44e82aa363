"""From a `DataConfig` to what training and evaluation use: members bound to the prepared store, rates, batches.

Read `pipeline.py` for what the batches hold, and `registry.py` for the same tasks in SeqIO.
"""

from collections.abc import Iterator, Sequence
import dataclasses
import os
import pathlib

from etils import epath
import grain

from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib, names as names_lib, pipeline, store as store_lib
from flantune.data import schedule as schedule_lib, tokenize, vocabulary as vocabulary_lib

_PREFETCH_BATCHES = 4
_VOCABULARY_EXAMPLES = 20_000  # rendered examples that a vocabulary trained on the spot sees


def data_dir(config: DataConfig) -> pathlib.Path:
    """Root of source files."""
    given = config.data_dir or os.environ.get("FLANTUNE_DATA_DIR") or "."
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
) -> pipeline.TrainDataset:
    """This process's batches of a mixture, without end."""
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


def prefetched(dataset: pipeline.TrainDataset) -> grain.DatasetIterator[pipeline.Batch]:
    """Its iterator, filled by a thread; its state is that of the last batch taken, not of the last one made."""
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


def rendered_lines(bound: BoundMixture, config: DataConfig, *, seed: int) -> Iterator[str]:
    """Lines of the mixture's first prompts and targets: what a vocabulary is trained on."""
    schedule = make_schedule(bound, config, seed)
    block, seen = 0, 0
    while seen < _VOCABULARY_EXAMPLES:
        for visit in schedule.block(block):
            fields = bound.readers[visit.task].fetch([visit.row])[0]
            member = bound.members[visit.task]
            prompt = tokenize.render(member, fields, visit.row, epoch=visit.epoch, seed=seed)
            for text in (prompt.inputs, prompt.targets):
                yield from (line for line in text.split("\n") if line)
            seen += 1
        block += 1


def load_vocabulary(
    config: DataConfig, bound: BoundMixture | None, *, path: epath.Path, seed: int
) -> vocabulary_lib.Vocabulary:
    """The vocabulary of a run, kept as `path` unless it is bytes; trained there where the config says so.

    A file that is there already is used as it is: a resumed run must not change its ids.
    """
    size = vocabulary_lib.size_to_train(config.vocabulary)
    if path.exists():
        return vocabulary_lib.load(os.fspath(path))
    if size is not None:
        if bound is None:
            raise ValueError(f"The trained vocabulary {path} is missing.")
        model = vocabulary_lib.train(rendered_lines(bound, config, seed=seed), size)
        vocabulary_lib.write_model(model, path)
        return vocabulary_lib.load(os.fspath(path))
    vocabulary = vocabulary_lib.load(config.vocabulary)
    if isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary):
        vocabulary_lib.write_model(vocabulary.model, path)
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
