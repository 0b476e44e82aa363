"""Plain SeqIO tasks: a `seqio.Task` with TensorFlow preprocessors, prepared once as tokens, then trained on like any other.

    seqio.TaskRegistry.add("span_corruption", ...)   in a module of DataConfig.seqio_modules
    Mixture(name="both", rates={"flan2021:*": 0.9, "seqio:span_corruption": 0.1})

`seqio:NAME` is the task or mixture NAME of SeqIO's registries. `flantune prepare` runs its source and preprocessors, for
the run's lengths and vocabulary, and stores what comes out, in a folder of its own for each lengths and vocabulary;
training reads that and imports neither SeqIO nor the module. Features that are too long lose their end, as SeqIO trims
them, which is counted; rows without inputs or targets are dropped and counted. Random preprocessors run once: every
epoch sees the same noise.

    row      {"inputs": array([12, 7, 31, 1]), "targets": array([31, 5, 1])}
    fields   {"inputs": "12 7 31 1", "answer": "31 5 1", "cut": False}
"""

from collections.abc import Iterable, Iterator, Mapping
import dataclasses
import functools
import pathlib

from etils import epath
import numpy as np

from flantune import prompting
from flantune.configs import DataConfig
from flantune.data import catalog as catalog_lib, mixture as mixture_lib, task as task_lib
from flantune.data.plain_seqio import features as seqio_features, modules as seqio_modules
from flantune.data.sources import files as files_lib
from flantune.data.store import manifest as manifest_lib, reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import choice

PREFIX = "seqio:"
_CUT = "cut"
_SEED = 0  # of random preprocessors; not the run's: runs of different seeds share the prepared rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class SeqioSource:
    """Rows of a SeqIO task after its preprocessors.

    Attributes:
        name: in SeqIO's registry.
        files: those that each split reads, where SeqIO names them. One that a pattern of the task matches later is not
            noticed before a module changes.
        vocabulary: the run's, by name.
        vocabulary_fingerprint: of its content.
    """

    name: str
    modules: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    inputs_length: int
    targets_length: int
    vocabulary: str
    vocabulary_fingerprint: str

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.files)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """Inputs and targets of each example, not trimmed."""
        del data_dir  # SeqIO sources know their own
        import seqio

        seqio_modules.import_all(self.modules)
        task = seqio.TaskRegistry.get(self.name)
        self._check_features(task)
        dataset = task.get_dataset(
            sequence_length={"inputs": self.inputs_length, "targets": self.targets_length},
            split=split,
            use_cached=task.requires_caching,
            shuffle=False,
            seed=_SEED,
            trim_output_features=False,
            try_in_mem_cache=False,
        )
        for example in dataset.as_numpy_iterator():
            yield {feature: example[feature] for feature in seqio_features.FEATURES}

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Changes when a module, or the size or time of a file, changes; None where one of them is not here."""
        del data_dir
        modules = seqio_modules.source_fingerprint(self.modules)
        return modules and files_lib.stat_fingerprint(modules, self._paths(split))

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the modules' and files' content."""
        del data_dir
        modules = seqio_modules.source_fingerprint(self.modules)
        return modules and files_lib.content_sha256(modules, self._paths(split))

    def _paths(self, split: str) -> list[epath.Path]:
        return [epath.Path(file) for file in self.files[split]]

    def describe(self) -> dict[str, object]:
        return {
            "kind": "seqio",
            "name": self.name,
            "modules": list(self.modules),
            "inputs_length": self.inputs_length,
            "targets_length": self.targets_length,
            "vocabulary": self.vocabulary,
            "vocabulary_fingerprint": self.vocabulary_fingerprint,
        }

    def _check_features(self, task: object) -> None:
        """Raises ValueError where the task has no inputs and targets in the run's vocabulary."""
        found = getattr(task, "output_features", {})
        ours = vocabulary_lib.load(self.vocabulary)
        for feature in seqio_features.FEATURES:
            where = f"The SeqIO task {self.name!r}"
            if feature not in found:
                raise ValueError(
                    f"{where} has no feature {feature!r}, which an encoder-decoder needs; it has "
                    f"{', '.join(map(repr, found))}."
                )
            seqio_features.check_same(found[feature].vocabulary, ours, f"{where}, {feature},")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokensTask(task_lib.InstructionTask):
    """A task whose rows are ids already, written as decimal numbers; its one template shows them as they are."""

    stored_name: str

    def __post_init__(self) -> None:
        """SeqIO has checked the name, and the template is ours."""

    @property
    def is_tokenized(self) -> bool:
        return True

    @property
    def stored_as(self) -> str:
        return self.stored_name


def extend(
    catalog: catalog_lib.Catalog,
    names: Iterable[str],
    config: DataConfig,
    store: store_lib.Store,
) -> catalog_lib.Catalog:
    """The catalog with the SeqIO tasks and mixtures that some mixtures, or tasks, reach.

    Raises:
        ValueError: a module cannot be imported, or the run's vocabulary is still to be trained.
    """
    found = reached(catalog, names)
    wanted = [task_lib.split_name(name)[0].removeprefix(PREFIX) for name in found]
    if not wanted:
        return catalog
    if not config.seqio_modules:
        problem = f"{found[0]!r} needs the module that registers it in DataConfig.seqio_modules."
        return dataclasses.replace(catalog, problems=(*catalog.problems, problem))
    if vocabulary_lib.size_to_train(config.vocabulary) is not None:
        raise ValueError(
            f"DataConfig.vocabulary {config.vocabulary!r} is trained on text, but {PREFIX + wanted[0]!r} brings ids of "
            "its task's own vocabulary. Make one first, with flantune vocab, and use its file for both."
        )
    index = seqio_modules.index(config.seqio_modules, wanted, store)
    vocabulary = vocabulary_lib.load(config.vocabulary)
    tasks, mixtures = dict(catalog.tasks), dict(catalog.mixtures)
    for name in wanted:
        members = {name: 1.0}
        if name in index.mixtures:
            members = {task: rate for task, rate in index.mixtures[name].rates.items() if rate}
            rates = {PREFIX + task: rate for task, rate in members.items()}
            mixtures[PREFIX + name] = mixture_lib.Mixture(name=PREFIX + name, rates=rates)
        for task in members:
            if task in index.tasks:
                entry = index.tasks[task]
                tasks[PREFIX + task] = _make_task(task, entry, config, vocabulary)
    problems = [index.problems[name] for name in wanted if name in index.problems]
    return dataclasses.replace(
        catalog, tasks=tasks, mixtures=mixtures, problems=(*catalog.problems, *problems)
    )


def reached(catalog: catalog_lib.Catalog, names: Iterable[str]) -> list[str]:
    """Names of SeqIO tasks and mixtures among some names and, through mixtures, their members."""
    waiting, seen = list(names), set[str]()
    while waiting:
        name = waiting.pop()
        if name not in seen and name in catalog.mixtures:
            waiting += catalog.mixtures[name].rates
        seen.add(name)
    return sorted(name for name in seen if name.startswith(PREFIX))


def _make_task(
    name: str,
    entry: seqio_modules.TaskEntry,
    config: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
) -> TokensTask:
    source = SeqioSource(
        name=name,
        modules=config.seqio_modules,
        files=entry.splits,
        inputs_length=config.inputs_length,
        targets_length=config.targets_length,
        vocabulary=config.vocabulary,
        vocabulary_fingerprint=vocabulary.fingerprint,
    )
    lengths = (config.inputs_length, config.targets_length)
    key = choice.hash64(config.seqio_modules, *lengths, vocabulary.fingerprint)
    return TokensTask(
        name=PREFIX + name,
        # SeqIO's names may hold ":" but not "-".
        stored_name=f"{PREFIX}{name.replace(':', '-')}.{key:016x}",
        source=source,
        to_fields=functools.partial(
            to_fields,
            inputs_length=config.inputs_length,
            targets_length=config.targets_length,
            vocabulary_size=vocabulary.size,
        ),
        templates=(prompting.Template(inputs="{inputs}"),),
        cluster="seqio",
        metrics=(),
        extra_fields=(_CUT,),
    )


def to_fields(
    row: task_lib.Row, *, inputs_length: int, targets_length: int, vocabulary_size: int
) -> task_lib.Fields | None:
    """A row's ids as text, trimmed as SeqIO trims them; None where inputs or targets are empty."""
    inputs, targets = (np.asarray(row[feature]) for feature in seqio_features.FEATURES)
    for ids in (inputs, targets):
        if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(
                f"a feature must be a list of ids, not {ids.dtype} of shape {ids.shape}"
            )
        # Padding is no id of an example: SeqIO's feature converters give it no loss, ours would.
        if len(ids) and not 0 < ids.min() <= ids.max() < vocabulary_size:
            raise ValueError(
                f"ids must be from 1 to {vocabulary_size - 1}, not {ids.min()} to {ids.max()}"
            )
    if not len(inputs) or not len(targets):
        return None
    return {
        "inputs": " ".join(map(str, inputs[:inputs_length].tolist())),
        "answer": " ".join(map(str, targets[:targets_length].tolist())),
        _CUT: len(inputs) > inputs_length or len(targets) > targets_length,
    }


def ids_of(text: str) -> list[int]:
    """The ids that a field holds."""
    return [int(token) for token in text.split()]


def was_cut(fields: Mapping[str, object]) -> bool:
    """Whether a row was too long for the run's lengths."""
    return bool(fields[_CUT])


def check_vocabulary(
    manifest: manifest_lib.Manifest, vocabulary: vocabulary_lib.Vocabulary
) -> None:
    """Raises ValueError where rows hold ids of another vocabulary than the run's; other rows hold text."""
    prepared = manifest.source.get("vocabulary_fingerprint")
    if manifest.source.get("kind") == "seqio" and prepared != vocabulary.fingerprint:
        raise ValueError(
            f"The rows of the SeqIO task {manifest.source['name']!r} were prepared with the vocabulary "
            f"{manifest.source['vocabulary']!r}, whose content is not that of the run's vocabulary any more."
        )
