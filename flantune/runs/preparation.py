"""What a job reads is prepared: which splits, into which store, and the vocabulary that may have to be trained on them."""

from collections.abc import Sequence
import dataclasses

from absl import logging

from flantune.configs import DataConfig, EvalConfig
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, mixture_vocabulary
from flantune.data.store import prepare as prepare_lib, reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.host import stages
from flantune.views import data_log


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingMixture:
    """What a run trains on: its mixture, bound to a store that holds it, with the shares that training uses, and its vocabulary."""

    catalog: catalog_lib.Catalog
    store: store_lib.Store
    bound: loading.BoundMixture
    vocabulary: vocabulary_lib.Vocabulary


def training_mixture(
    data: DataConfig,
    *,
    seed: int,
    vocabulary: vocabulary_lib.Vocabulary | None = None,
    without_unfit: bool = False,
) -> TrainingMixture:
    """What a run of this config and seed trains on; prepares what is missing. No run folder is looked at or written to.

    Args:
        vocabulary: the run's own; None: the config's.
        without_unfit: whether tasks with a rate in tokens of which nothing fits are left out, rather than refused.
    """
    catalog, store = opened(data, [(data.mixture, data.split)])
    bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
    if vocabulary is None:
        vocabulary = mixture_vocabulary.of_config(data, store, lambda: bound)
    bound = loading.in_tokens(
        catalog, store, bound, data, vocabulary, seed=seed, without_unfit=without_unfit
    )
    return TrainingMixture(catalog=catalog, store=store, bound=bound, vocabulary=vocabulary)


def splits_read(
    data: DataConfig, evaluation: EvalConfig | None, *, train: bool = True
) -> list[tuple[str, str]]:
    """(mixture, split) pairs that a job reads."""
    wanted = [(data.mixture, data.split)] if train else []
    if evaluation is not None:
        wanted += [(suite.mixture or data.mixture, suite.split) for suite in evaluation.suites]
    return wanted


def opened(
    data: DataConfig, wanted: Sequence[tuple[str, str]]
) -> tuple[catalog_lib.Catalog, store_lib.Store]:
    """The catalog and store of a run, with the splits of some mixtures prepared."""
    with stages.stage("prepare"):
        store = loading.open_store(data)
        catalog = loading.load_catalog(data, store, [name for name, _ in wanted])
        fill(catalog, store, data, wanted).raise_if_failed()
    return catalog, store


def fill(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    wanted: Sequence[tuple[str, str]],
    num_processes: int | None = None,
) -> prepare_lib.PrepareReport:
    """Prepares splits of mixtures and tasks; what is there and unchanged is left alone."""
    tasks = [
        (catalog.tasks[name], splits) for name, splits in loading.splits_needed(catalog, wanted)
    ]
    data_dir = loading.data_dir(data)
    if not data_dir.is_dir():
        logging.warning(
            "The data folder %s is not there: only what was prepared before can be used.", data_dir
        )
    return prepare_lib.prepare(
        tasks,
        store,
        data_dir,
        num_processes=num_processes,
        on_progress=data_log.PrepareProgress(),
        max_malformed_fraction=data.max_malformed_fraction,
    )


def vocabulary(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    bound: loading.BoundMixture,
) -> vocabulary_lib.Vocabulary:
    """The vocabulary of a config; one that is trained is the run's, or of `bound` where there is no run's mixture."""

    def bind() -> loading.BoundMixture:
        if not data.mixture:
            return bound
        fill(catalog, store, data, [(data.mixture, data.split)]).raise_if_failed()
        return loading.bind_mixture(catalog, store, data.mixture, split=data.split)

    return mixture_vocabulary.of_config(data, store, bind)
