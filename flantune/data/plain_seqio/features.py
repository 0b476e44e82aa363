"""Vocabularies and features for SeqIO that give the ids of ours. SeqIO is imported only when a function here runs.

registry.register(modules, seqio_features.features(vocabulary.load("spiece.model+100")))
"""

from typing import TYPE_CHECKING

from flantune.data.vocabularies import vocabulary as vocabulary_lib

if TYPE_CHECKING:
    import seqio

FEATURES = ("inputs", "targets")


def features(vocabulary: vocabulary_lib.Vocabulary) -> dict[str, "seqio.Feature"]:
    """SeqIO features of "inputs" and "targets", with end of sequence."""
    import seqio

    return {name: seqio.Feature(seqio_vocabulary(vocabulary)) for name in FEATURES}


def seqio_vocabulary(vocabulary: vocabulary_lib.Vocabulary) -> "seqio.Vocabulary":
    """SeqIO's vocabulary with the same ids; a SentencePiece one reads the file that ours came from.

    Raises:
        TypeError: SeqIO has no such vocabulary.
    """
    import seqio

    if isinstance(vocabulary, vocabulary_lib.ByteVocabulary):
        return seqio.ByteVocabulary(extra_ids=vocabulary.extra_ids)
    if isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary):
        return seqio.SentencePieceVocabulary(vocabulary.path, extra_ids=vocabulary.extra_ids)
    raise TypeError(f"SeqIO has no vocabulary like {type(vocabulary).__name__}.")


def vocabulary_name(theirs: "seqio.Vocabulary") -> str:
    """The name by which `vocabulary.load` finds a SeqIO vocabulary.

    Raises:
        TypeError: it has no such vocabulary.
    """
    import seqio

    extra = f"+{theirs.extra_ids}" if theirs.extra_ids else ""
    if isinstance(theirs, seqio.ByteVocabulary):
        return f"bytes{extra}"
    if isinstance(theirs, seqio.SentencePieceVocabulary):
        return f"{theirs.sentencepiece_model_file}{extra}"
    raise TypeError(f"{theirs} is neither a ByteVocabulary nor a SentencePieceVocabulary.")


def check_same(theirs: "seqio.Vocabulary", ours: vocabulary_lib.Vocabulary, where: str) -> None:
    """Raises ValueError where a SeqIO vocabulary does not have the ids of ours.

    Of one that passes ids through, only the size is known.
    """
    import seqio

    if isinstance(theirs, seqio.PassThroughVocabulary):
        same = theirs.vocab_size <= ours.size
    elif isinstance(theirs, seqio.ByteVocabulary):
        same = vocabulary_lib.ByteVocabulary(theirs.extra_ids).fingerprint == ours.fingerprint
    elif isinstance(theirs, seqio.SentencePieceVocabulary):
        path = str(theirs.sentencepiece_model_file)
        own = vocabulary_lib.SentencePieceVocabulary(theirs.sp_model or b"", path)
        same = own.fingerprint == ours.fingerprint
    else:
        same = False
    if not same:
        raise ValueError(
            f"{where} uses the vocabulary {theirs} of {theirs.vocab_size} ids, which is not the run's, of {ours.size} "
            "ids: their ids would mean different things. Set DataConfig.vocabulary to it ('bytes' or a file, with "
            "'+N' for N extra ids)."
        )
