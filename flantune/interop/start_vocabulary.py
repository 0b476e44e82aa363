"""The vocabulary that parameters know: that of a run folder, of a Hugging Face folder, of a t5x run.

`DataConfig.vocabulary` follows it by default, and what differs from it is refused: ids would stand for other pieces.
"""

import dataclasses
import os

from etils import epath

from flantune import run_folder
from flantune.configs import DataConfig, InitConfig, published_t5
from flantune.data.vocabularies import comparison, tokenizer_files, vocabulary as vocabulary_lib
from flantune.interop import huggingface, sources
from flantune.run_folder import config_text, trained_with

# What names the vocabulary in a t5x run's config.gin: our run files of gin/t5x/, then t5x's own.
_T5X_NAMES = (
    "VOCABULARY_NAME",
    "flantune.vocabulary.name",
    "SentencePieceVocabulary.sentencepiece_model_file",
)
_T5X_EXTRA_IDS = "SentencePieceVocabulary.extra_ids"


def name_of(path: str) -> str | None:
    """The vocabulary of the parameters at a path, as `DataConfig.vocabulary` names it; None where nothing there says it.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = epath.Path(path).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"There is no folder {folder} to read parameters from.")
    run = sources.run_of(folder)
    if run is not None:
        return of_run_folder(run[0])
    if huggingface.is_model(folder):
        return os.fspath(folder) if tokenizer_files.is_in(folder) else None
    return _of_t5x(folder) or _of_t5x(folder.parent)


def of_run_folder(run_dir: epath.Path) -> str | None:
    """The vocabulary of a run: the file that its folder keeps, or the name of one that needs no file."""
    run_folder.finish(run_dir)
    file = run_dir / run_folder.VOCABULARY
    if file.exists():
        return os.fspath(file)
    kept = trained_with.read(run_dir).vocabulary
    if kept is None:
        name = config_text.literal(config_text.bindings_in(run_dir), "DataConfig.vocabulary")
    else:
        name = kept.name
    if not isinstance(name, str) or vocabulary_lib.size_to_train(name) is not None:
        return None
    return None if name == vocabulary_lib.OF_START else name


def followed(data: DataConfig, init: InitConfig | None) -> DataConfig:
    """The config with a vocabulary that can be loaded or trained: that of the start, where it names none itself.

    Raises:
        ValueError: it names none, and there is no start, or one that does not say its vocabulary.
    """
    if data.vocabulary != vocabulary_lib.OF_START:
        return data
    if init is None:
        raise ValueError(vocabulary_lib.NO_START)
    name = name_of(init.path)
    if name is None:
        raise ValueError(
            f"InitConfig.path {init.path} does not say its vocabulary. Give it as DataConfig.vocabulary. "
            f"{published_t5.VOCABULARY}."
        )
    return dataclasses.replace(data, vocabulary=name)


def check(vocabulary: vocabulary_lib.Vocabulary, name: str, init: InitConfig | None) -> None:
    """Raises ValueError where a run's vocabulary gives other ids than that of its start, unless `init` allows it.

    Args:
        vocabulary: of the run.
        name: of it, as the config has it.
        init: the start; one that does not say its vocabulary is not compared.
    """
    own = None if init is None or init.other_vocabulary else name_of(init.path)
    if own is None or init is None or own == name:  # the same file is not read again
        return
    found = comparison.difference(vocabulary, vocabulary_lib.load(own))
    if found is not None:
        raise ValueError(
            f"DataConfig.vocabulary {name!r} is not the vocabulary {own!r} that the parameters of InitConfig.path "
            f"({init.path}) know: {found}. Leave DataConfig.vocabulary out (or set it to '{vocabulary_lib.OF_START}') to "
            "take that one over; InitConfig.other_vocabulary = True trains with other ids all the same."
        )


def _of_t5x(folder: epath.Path) -> str | None:
    """What the config of a t5x run says."""
    bound = config_text.bindings_in(folder)
    named = [config_text.literal(bound, name) for name in _T5X_NAMES]
    name = next((one for one in named if isinstance(one, str)), None)
    extra_ids = config_text.literal(bound, _T5X_EXTRA_IDS)
    is_file = name is not None and name == named[-1]
    return f"{name}+{extra_ids}" if is_file and extra_ids else name
