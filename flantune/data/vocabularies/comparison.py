"""Whether two vocabularies give a text the same ids. What a vocabulary is: `data/vocabularies/vocabulary.py`."""

from collections.abc import Sequence
import re
from typing import Any

from sentencepiece import sentencepiece_model_pb2

from flantune.data.vocabularies import vocabulary as vocabulary_lib

_SENTINEL = re.compile(r"▁?(<extra_id_\d+>)")
# How a SentencePiece model changes a text before it looks for pieces.
_NORMALISATION = (
    "precompiled_charsmap",
    "add_dummy_prefix",
    "remove_extra_whitespaces",
    "escape_whitespaces",
)


def difference(mine: vocabulary_lib.Vocabulary, other: vocabulary_lib.Vocabulary) -> str | None:
    """Where two vocabularies first differ; None: a text without sentinels has the same ids in both.

    One may have sentinels that the other lacks, and they may be written with the space before them (T5) or without
    (Hugging Face). Example: "id 37 is '▁good' and '▁cat'".
    """
    if mine.fingerprint == other.fingerprint:
        return None
    are_bytes = [isinstance(one, vocabulary_lib.ByteVocabulary) for one in (mine, other)]
    if all(are_bytes):
        return None  # sentinels come after all bytes
    if any(are_bytes):
        return "one is of bytes, the other of pieces"
    models = [_parsed(one) for one in (mine, other)]
    pieces = [[_name(piece.piece) for piece in model.pieces] for model in models]
    return (
        _first_difference(*pieces)
        or _other_scores(*models)
        or _other_normalisation(*(model.normalizer_spec for model in models))
    )


def _first_difference(mine: Sequence[str], other: Sequence[str]) -> str | None:
    for index, (a, b) in enumerate(zip(mine, other, strict=False)):
        if a != b:
            return f"id {index} is {a!r} and {b!r}"
    shorter, longer = sorted((mine, other), key=len)
    for index, name in enumerate(longer[len(shorter) :], len(shorter)):
        if not _SENTINEL.fullmatch(name):
            return f"one ends before id {index}, which is {name!r} in the other"
    return None


def _other_scores(mine: Any, other: Any) -> str | None:  # Any: protocol buffers have no types
    for index, (a, b) in enumerate(zip(mine.pieces, other.pieces, strict=False)):
        # Scores decide which pieces a word is cut into; those of bytes, sentinels and special ids do not count.
        if a.type == b.type == type(a).NORMAL and a.score != b.score:
            return f"{a.piece!r} (id {index}) has the scores {a.score:.6g} and {b.score:.6g}"
    return None


def _other_normalisation(mine: Any, other: Any) -> str | None:
    for name in _NORMALISATION:
        if getattr(mine, name) != getattr(other, name):
            return f"they normalise text otherwise ({name})"
    return None


def _name(piece: str) -> str:
    match = _SENTINEL.fullmatch(piece)
    return match[1] if match else piece


def _parsed(vocabulary: vocabulary_lib.Vocabulary) -> Any:
    assert isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary)
    return sentencepiece_model_pb2.ModelProto.FromString(vocabulary.model)  # type: ignore[attr-defined]
