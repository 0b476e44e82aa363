"""Vocabularies without TensorFlow: bytes, and SentencePiece by file or trained on the spot.

Ids equal those of `seqio.ByteVocabulary` and `seqio.SentencePieceVocabulary`: padding 0, end of sequence 1, unknown 2.
`encode` adds no end of sequence. Read `tokenize.py` next.
"""

from collections.abc import Iterable, Sequence
import io
import os
from typing import Protocol, runtime_checkable

from etils import epath
import sentencepiece

PAD_ID = 0
EOS_ID = 1
UNK_ID = 2
_NUM_SPECIAL = 3
_TRAIN_PREFIX = "sentencepiece:"


@runtime_checkable
class Vocabulary(Protocol):
    """What the pipeline and the predictor need of a vocabulary."""

    @property
    def size(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...


class ByteVocabulary:
    """UTF-8 bytes shifted by 3, as in ByT5 (https://arxiv.org/abs/2105.13626)."""

    size = 256 + _NUM_SPECIAL
    eos_id = EOS_ID

    def encode(self, text: str) -> list[int]:
        """Example: `encode("ab")` is [100, 101]."""
        return [byte + _NUM_SPECIAL for byte in text.encode()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Text up to the first end of sequence; special ids are skipped, broken UTF-8 is replaced."""
        kept = [token - _NUM_SPECIAL for token in _before_eos(ids) if token >= _NUM_SPECIAL]
        return bytes(byte for byte in kept if byte < 256).decode(errors="replace")


class SentencePieceVocabulary:
    """A SentencePiece model from a local or `gs://` file."""

    eos_id = EOS_ID

    def __init__(self, model: bytes, path: str) -> None:
        """Use `load`. Raises: ValueError where the model is broken or numbers its special ids otherwise."""
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except RuntimeError as error:
            raise ValueError(f"{path} is not a SentencePiece model: {error}") from error
        ids = (self._processor.pad_id(), self._processor.eos_id(), self._processor.unk_id())
        if ids != (PAD_ID, EOS_ID, UNK_ID):
            raise ValueError(
                f"{path} has padding, end and unknown at ids {ids}; T5 needs {(PAD_ID, EOS_ID, UNK_ID)}."
            )
        self.model = model

    @property
    def size(self) -> int:
        return self._processor.vocab_size()

    def encode(self, text: str) -> list[int]:
        return self._processor.encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return self._processor.encode(list(texts), num_threads=os.cpu_count() or 1)

    def decode(self, ids: Sequence[int]) -> str:
        """Text up to the first end of sequence; ids outside the vocabulary (its padding) are skipped."""
        kept = [int(token) for token in _before_eos(ids) if PAD_ID < token < self.size]
        return self._processor.decode(kept)


def _before_eos(ids: Sequence[int]) -> list[int]:
    listed = [int(token) for token in ids]
    return listed[: listed.index(EOS_ID)] if EOS_ID in listed else listed


def load(name: str) -> Vocabulary:
    """The vocabulary "bytes", or the SentencePiece model at a path.

    Raises:
        ValueError: no such file, or not a model that T5 can use.
    """
    if name == "bytes":
        return ByteVocabulary()
    path = epath.Path(name)
    if not path.exists():
        raise ValueError(
            f"The vocabulary {name!r} does not exist. Give 'bytes', the path of a SentencePiece model, or "
            f"'{_TRAIN_PREFIX}SIZE' to train one."
        )
    return SentencePieceVocabulary(path.read_bytes(), name)


def size_to_train(name: str) -> int | None:
    """SIZE of "sentencepiece:SIZE"; None for any other name.

    Raises:
        ValueError: SIZE is not a number, or leaves no room beside the bytes and special ids.
    """
    if not name.startswith(_TRAIN_PREFIX):
        return None
    size = name.removeprefix(_TRAIN_PREFIX)
    smallest = 256 + _NUM_SPECIAL + 1
    if not size.isdecimal() or int(size) < smallest:
        raise ValueError(
            f"DataConfig.vocabulary {name!r}: SIZE must be a whole number from {smallest}."
        )
    return int(size)


def train(texts: Iterable[str], size: int) -> bytes:
    """A SentencePiece model of at most `size` pieces.

    Unigram pieces with byte fallback, no normalisation, newlines and runs of spaces kept: every text survives encoding
    and decoding, so templates keep their line structure (T5's own vocabulary loses it).
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        vocab_size=size,
        model_type="unigram",
        pad_id=PAD_ID,
        eos_id=EOS_ID,
        unk_id=UNK_ID,
        bos_id=-1,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        user_defined_symbols=["\n"],
        hard_vocab_limit=False,
        num_threads=1,  # more threads change the pieces from run to run
        minloglevel=2,
    )
    return model.getvalue()
