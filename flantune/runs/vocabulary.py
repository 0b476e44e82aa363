"""The vocabulary of a run: its folder's once it is trained, else the config's, which follows the start of the run.

How one is trained: `data/input/mixture_vocabulary.py`. Which one a start knows: `interop/start_vocabulary.py`.
"""

from collections.abc import Callable
import dataclasses
import os

from etils import epath

from flantune import run_folder
from flantune.configs import DataConfig, InitConfig
from flantune.data.input import loading, mixture_vocabulary
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import comparison, vocabulary as vocabulary_lib
from flantune.interop import start_vocabulary
from flantune.run_folder import trained_with


def named(data: DataConfig, init: InitConfig | None, run_dir: epath.Path | None) -> DataConfig:
    """The config with a vocabulary that it names itself, where it leaves that to its start (`DataConfig.vocabulary`).

    Args:
        run_dir: of a run with a checkpoint, which keeps its vocabulary whatever became of its start; None: a new run.

    Raises:
        ValueError: neither says a vocabulary.
    """
    own = None if run_dir is None else start_vocabulary.of_run_folder(run_dir)
    if own is not None and data.vocabulary == vocabulary_lib.OF_START:
        return dataclasses.replace(data, vocabulary=own)
    return start_vocabulary.followed(data, init)


def of_new_run(
    data: DataConfig,
    init: InitConfig | None,
    store: store_lib.Store,
    bind: Callable[[], loading.BoundMixture],
) -> vocabulary_lib.Vocabulary:
    """The vocabulary that a new run trains with.

    Raises:
        ValueError: its ids are not those that the start's parameters know.
    """
    vocabulary = mixture_vocabulary.of_config(data, store, bind)
    start_vocabulary.check(vocabulary, data.vocabulary, init)
    return vocabulary


def of_trained_run(
    run_dir: epath.Path,
    kept: trained_with.Vocabulary | None,
    data: DataConfig,
    store: store_lib.Store,
    bind: Callable[[], loading.BoundMixture],
    *,
    allow_other: bool,
) -> tuple[str, vocabulary_lib.Vocabulary, list[trained_with.Change]]:
    """What a run with a checkpoint goes on with: the vocabulary's name, the vocabulary, how it differs from the run's own.

    The folder's own, unless the config names another one and that is allowed.
    """
    own = of_checkpoint(run_dir, data)
    file = os.fspath(run_dir / run_folder.VOCABULARY)
    own_name = file if kept is None else kept.name
    is_trained = vocabulary_lib.size_to_train(data.vocabulary) is not None
    # A folder that does not say its vocabulary's name is not doubted over one that would have to be trained.
    if data.vocabulary in (own_name, file) or (kept is None and is_trained):
        return own_name, own, []
    if is_trained and not allow_other:
        about = "to be trained on the mixture"
        return own_name, own, [_change(own_name, own, data.vocabulary, about)]
    wanted = mixture_vocabulary.of_config(data, store, bind)
    found = comparison.difference(own, wanted)
    if found is None:
        return data.vocabulary, own, []
    about = f"{wanted.size} ids: {found}"
    return data.vocabulary, wanted, [_change(own_name, own, data.vocabulary, about)]


def of_checkpoint(run_dir: epath.Path, data: DataConfig) -> vocabulary_lib.Vocabulary:
    """The vocabulary that a run was trained with: of its folder, else the one that `data` names.

    Raises:
        ValueError: it was trained for the run, and its file is missing.
    """
    name = start_vocabulary.of_run_folder(run_dir) or data.vocabulary
    if vocabulary_lib.size_to_train(name) is not None:
        raise ValueError(
            f"The run's trained vocabulary {run_dir / run_folder.VOCABULARY} is missing."
        )
    return vocabulary_lib.load(name)


def facts(vocabulary: vocabulary_lib.Vocabulary, name: str) -> trained_with.Vocabulary:
    """What a run folder keeps of its vocabulary beside the file."""
    return trained_with.Vocabulary(
        name=name, fingerprint=vocabulary.fingerprint, size=vocabulary.size
    )


def files(vocabulary: vocabulary_lib.Vocabulary) -> dict[str, bytes | None]:
    """What a run folder keeps of its vocabulary, by file name; None of one that is bytes, and needs no file."""
    if isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary):
        return {run_folder.VOCABULARY: vocabulary.model}
    return {run_folder.VOCABULARY: None}


def _change(
    own_name: str, own: vocabulary_lib.Vocabulary, named: str, about: str
) -> trained_with.Change:
    return trained_with.Change(
        kind=trained_with.VOCABULARY,
        what="DataConfig.vocabulary =",
        before=f"{own_name!r} ({own.size} ids)",
        after=f"{named!r} ({about})",
    )
