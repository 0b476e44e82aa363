"""The vocabulary that a config names: loaded, or trained on the mixture's prompts and kept in the store.

What a vocabulary is: `data/vocabularies/vocabulary.py`. What one does to a mixture: `audit/vocabulary_report.py`.
"""

from collections.abc import Callable, Iterator
import itertools

from absl import logging
from etils import epath

from flantune.configs import DataConfig
from flantune.data.input import loading, prompts
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.host import atomic
from flantune.prompting import choice

# What a vocabulary trained on the spot sees, at most; more changes few pieces and takes minutes.
_VOCABULARY_EXAMPLES = 20_000
_VOCABULARY_CHARACTERS = 4_000_000
_VOCABULARY_STALE_EXAMPLES = 1_000  # so many without a new line: a small mixture has been seen
_VOCABULARY_KEY_LINES = 1_000
_REPORT_EXAMPLES = 2_000  # what a vocabulary is looked at with
_VOCABULARY_SEED = 0  # not the run's: runs of different seeds share ids


def of_config(
    config: DataConfig, store: store_lib.Store, bind: Callable[[], loading.BoundMixture]
) -> vocabulary_lib.Vocabulary:
    """The vocabulary that a config names; one that is to be trained is trained on the mixture that `bind` gives."""
    size = vocabulary_lib.size_to_train(config.vocabulary)
    if size is None:
        return vocabulary_lib.load(config.vocabulary)
    return vocabulary_lib.SentencePieceVocabulary(
        trained(store, config, bind(), size), config.vocabulary
    )


def kept(
    store: store_lib.Store, config: DataConfig, bound: loading.BoundMixture, size: int
) -> bytes | None:
    """The SentencePiece model of a mixture, if the store has it; None: it is still to be trained."""
    path = _path(store, config, bound, size)
    return path.read_bytes() if path.exists() else None


def trained(
    store: store_lib.Store, config: DataConfig, bound: loading.BoundMixture, size: int
) -> bytes:
    """The SentencePiece model of a mixture, trained once for the prepared rows and then kept in the store."""
    path = _path(store, config, bound, size)
    if not path.exists():
        logging.info("Training a vocabulary of %d pieces on %s.", size, bound.name)
        model = vocabulary_lib.train(rendered_lines(bound, config), size)
        with store.writing():
            atomic.write_bytes(path, model)
    return path.read_bytes()


def _path(
    store: store_lib.Store, config: DataConfig, bound: loading.BoundMixture, size: int
) -> epath.Path:
    """Where the store keeps a vocabulary: a name for the prepared rows, the wordings and the code that trains it."""
    rows = [
        (
            member.name,
            *(reader.manifest.shards for reader in (member.reader, member.pool) if reader),
        )
        for member in bound.members
    ]
    # The first lines stand for the wordings and the code that renders them.
    lines = list(itertools.islice(rendered_lines(bound, config), _VOCABULARY_KEY_LINES))
    trainer = vocabulary_lib.TRAINER_VERSION
    key = choice.hash64(trainer, size, config.block_size, rows, bound.rates, lines)
    return store.root / "vocabularies" / f"{size}-{key:016x}.model"


def rendered_lines(bound: loading.BoundMixture, config: DataConfig) -> Iterator[str]:
    """Different lines of the mixture's first prompts and targets: what a vocabulary is trained on."""
    seen: set[str] = set()
    characters = stale = 0
    num_blocks = _VOCABULARY_EXAMPLES // config.block_size + 1
    for found in _rendered_blocks(bound, config, _VOCABULARY_SEED, num_blocks):
        before = len(seen)
        for text in found:
            for line in text.split("\n"):
                if line and line not in seen:  # a definition counts once, not for each row
                    seen.add(line)
                    characters += len(line)
                    yield line
        stale = 0 if len(seen) > before else stale + config.block_size
        if characters > _VOCABULARY_CHARACTERS or stale > _VOCABULARY_STALE_EXAMPLES:
            return


def rendered_texts(bound: loading.BoundMixture, config: DataConfig) -> Iterator[str]:
    """Whole prompts and targets of a mixture: what a vocabulary is looked at with; chosen with another seed."""
    num_blocks = _REPORT_EXAMPLES // config.block_size + 1
    for found in _rendered_blocks(bound, config, _VOCABULARY_SEED + 1, num_blocks):
        yield from found


def _rendered_blocks(
    bound: loading.BoundMixture, config: DataConfig, seed: int, num_blocks: int
) -> Iterator[list[str]]:
    """Prompts and targets of the first blocks of a mixture."""
    schedule = loading.make_schedule(bound, config, seed)
    for block in range(num_blocks):
        requests = [
            prompts.Request(bound.members[visit.task], visit.row, visit.epoch)
            for visit in schedule.block(block)
        ]
        found = [prompt for prompt in prompts.render(requests, seed=seed) if prompt]
        yield [text for prompt in found for text in (prompt.inputs, prompt.targets)]
