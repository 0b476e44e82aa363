"""Vocabularies on both sides: which SeqIO vocabulary is which of ours."""

import pytest

from flantune.data.plain_seqio import features as seqio_features
from flantune.data.vocabularies import vocabulary as vocabulary_lib

seqio = pytest.importorskip("seqio")


def test_vocabularies_are_compared_by_content(tmp_path):
    lines = [f"word{number % 7} more" for number in range(50)]
    for name in ("one.model", "two.model"):
        (tmp_path / name).write_bytes(vocabulary_lib.train(lines, 420))
    ours = vocabulary_lib.load(str(tmp_path / "one.model"))
    theirs = seqio_features.seqio_vocabulary(vocabulary_lib.load(str(tmp_path / "two.model")))
    seqio_features.check_same(theirs, ours, "It")
    assert seqio_features.vocabulary_name(theirs) == str(tmp_path / "two.model")
    assert seqio_features.vocabulary_name(seqio.ByteVocabulary(100)) == "bytes+100"
    seqio_features.check_same(seqio.PassThroughVocabulary(ours.size), ours, "It")
    for other in (seqio.PassThroughVocabulary(ours.size + 1), seqio.ByteVocabulary()):
        with pytest.raises(ValueError, match="It uses the vocabulary"):
            seqio_features.check_same(other, ours, "It")
    with pytest.raises(TypeError, match="neither a ByteVocabulary nor"):
        seqio_features.vocabulary_name(seqio.PassThroughVocabulary(9))
