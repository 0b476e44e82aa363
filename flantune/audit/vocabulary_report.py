"""What a vocabulary does to text: how many tokens, what it cannot write, what comes back changed.

`flantune vocab` prints it. `data/vocabularies/vocabulary.py` has the vocabularies.
"""

from collections.abc import Sequence
import dataclasses
import itertools

from flantune.data.vocabularies import vocabulary as vocabulary_lib

_NEWLINE = "\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularyReport:
    """What a vocabulary does to some texts.

    Attributes:
        size: ids, sentinels included.
        sentinels: how many it has where T5 has them.
        texts: how many texts were looked at.
        tokens_per_word: words are what stands between white space.
        bytes_per_token: of UTF-8.
        byte_fallback: share of tokens that are one byte of a character which the vocabulary lacks.
        unknown: share of tokens that are the unknown id.
        newlines_kept: whether every text has its line breaks after encoding and decoding.
        space_runs_kept: the same for runs of two and more spaces.
        survive: share of the texts that come back as they were.
    """

    size: int
    sentinels: int
    texts: int
    tokens_per_word: float
    bytes_per_token: float
    byte_fallback: float
    unknown: float
    newlines_kept: bool
    space_runs_kept: bool
    survive: float

    def as_json(self) -> dict[str, object]:
        return dataclasses.asdict(self)


def report(vocabulary: vocabulary_lib.Vocabulary, texts: Sequence[str]) -> VocabularyReport:
    """What a vocabulary does to some texts.

    Raises:
        ValueError: there are none.
    """
    encoded = vocabulary.encode_batch(texts)
    tokens = [token for ids in encoded for token in ids]
    if not tokens:
        raise ValueError("There is no text to look at.")
    back = [vocabulary.decode(ids) for ids in encoded]
    num_bytes = sum(len(text.encode()) for text in texts)
    num_words = sum(len(text.split()) for text in texts)
    pairs = list(zip(texts, back, strict=True))
    return VocabularyReport(
        size=vocabulary.size,
        sentinels=_num_sentinels(vocabulary),
        texts=len(texts),
        tokens_per_word=len(tokens) / max(1, num_words),
        bytes_per_token=num_bytes / len(tokens),
        byte_fallback=_byte_fallback(vocabulary, tokens),
        unknown=tokens.count(vocabulary_lib.UNK_ID) / len(tokens),
        newlines_kept=all(a.count(_NEWLINE) == b.count(_NEWLINE) for a, b in pairs),
        space_runs_kept=all(a.count("  ") == b.count("  ") for a, b in pairs),
        survive=sum(a == b for a, b in pairs) / len(pairs),
    )


def _byte_fallback(vocabulary: vocabulary_lib.Vocabulary, tokens: Sequence[int]) -> float:
    if not isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary):
        return 0.0
    return sum(map(vocabulary.is_byte, tokens)) / len(tokens)


def _num_sentinels(vocabulary: vocabulary_lib.Vocabulary) -> int:
    for count in itertools.count():
        try:
            vocabulary.sentinel_id(count)
        except ValueError:
            break
    return count
