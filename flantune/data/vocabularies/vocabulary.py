"""Vocabularies without TensorFlow: bytes, and SentencePiece by file or trained on the spot.

    "bytes"                        UTF-8 bytes; "bytes+100" has 100 sentinels too
    "gs://bucket/t5.model"         a SentencePiece model, local or in a bucket
    "gs://bucket/t5.model+100"     the same with 100 sentinels appended, for a model that has none (T5's 32,000 pieces)
    "models/flan-t5-small"         a folder in Hugging Face's layout (`tokenizer_files.py`)
    "sentencepiece:32100"          to be trained (`train`): 32,000 pieces and 100 sentinels
    "start"                        that of `InitConfig.path` (`interop/start_vocabulary.py`); it must be found before `load`

Ids equal those of `seqio.ByteVocabulary(extra_ids)` and `seqio.SentencePieceVocabulary(file, extra_ids)`: padding 0, end
of sequence 1, unknown 2. Sentinels are the last ids, the first sentinel is the very last one, and `<extra_id_0>` stands
for it in text: one id at the beginning of a word, as in SeqIO (with bytes, text never gives a sentinel). `encode` adds
no end of sequence. Read `data/input/tokenize.py` next.
"""

import collections
from collections.abc import Iterable, Sequence
import functools
import hashlib
import io
import os
import re
from typing import Any, Protocol, runtime_checkable

from etils import epath
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from flantune.configs import published_t5
from flantune.data.vocabularies import tokenizer_files

PAD_ID = 0
EOS_ID = 1
UNK_ID = 2
NUM_SPECIAL = 3
NUM_BYTES = 256
NUM_SENTINELS = 100  # of a T5 vocabulary (https://arxiv.org/abs/1910.10683)
_TRAIN_PREFIX = "sentencepiece:"
_BYTES = "bytes"
OF_START = "start"
NO_START = (
    "DataConfig.vocabulary is not set, and there is no InitConfig.path whose vocabulary it could follow. Give 'bytes', the "
    "path of a SentencePiece model or of a Hugging Face folder, or 'sentencepiece:SIZE' to train one."
)
_WORD_START = "▁"  # how SentencePiece writes a space
MAX_SENTINELS = 1000  # of any T5; umT5 has 300
_EXTRA = re.compile(r"(?P<name>.+)\+(?P<count>[0-9]+)")
# Of what `train` makes of a text: a change raises it, so that no store keeps an older model.
TRAINER_VERSION = 2
# Pieces that no text decides; the 1 is the newline.
_NUM_FIXED = NUM_SPECIAL + 1 + NUM_BYTES + NUM_SENTINELS
_LONGEST_LINE_BYTES = 2**30  # SentencePiece silently leaves out longer ones; its default is 4,192


@runtime_checkable
class Vocabulary(Protocol):
    """What the pipeline and the predictor need of a vocabulary."""

    @property
    def size(self) -> int: ...

    @property
    def eos_id(self) -> int: ...

    @property
    def fingerprint(self) -> str: ...

    def encode(self, text: str) -> list[int]: ...

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]: ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def sentinel_id(self, number: int) -> int: ...


class ByteVocabulary:
    """UTF-8 bytes shifted by 3, as in ByT5 (https://arxiv.org/abs/2105.13626), then `extra_ids` sentinels."""

    eos_id = EOS_ID

    def __init__(self, extra_ids: int = 0) -> None:
        self.extra_ids = extra_ids

    @property
    def size(self) -> int:
        return NUM_BYTES + NUM_SPECIAL + self.extra_ids

    @property
    def fingerprint(self) -> str:
        return f"{_BYTES}+{self.extra_ids}"

    def encode(self, text: str) -> list[int]:
        """Example: `encode("ab")` is [100, 101]."""
        return [byte + NUM_SPECIAL for byte in text.encode()]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """Text up to the first end of sequence; special ids, sentinels and broken UTF-8 are skipped, as in SeqIO."""
        kept = [token - NUM_SPECIAL for token in _before_eos(ids) if token >= NUM_SPECIAL]
        return bytes(byte for byte in kept if byte < NUM_BYTES).decode(errors="ignore")

    def sentinel_id(self, number: int) -> int:
        """The id of a sentinel, counted from 0. Raises ValueError where there is none."""
        if not 0 <= number < self.extra_ids:
            raise ValueError(
                f"The byte vocabulary has {self.extra_ids} sentinels, so sentinel {number} does not exist. "
                f"'{_BYTES}+{NUM_SENTINELS}' has {NUM_SENTINELS}."
            )
        return self.size - 1 - number


class SentencePieceVocabulary:
    """A SentencePiece model from a local or `gs://` file.

    Attributes:
        model: the model, with its sentinels.
        path: the file it came from.
        extra_ids: sentinels that the file lacks and that were appended.
    """

    eos_id = EOS_ID

    def __init__(self, model: bytes, path: str, extra_ids: int = 0) -> None:
        """Use `load`.

        Raises:
            ValueError: the model is broken, numbers its special ids otherwise, or has sentinels already.
        """
        self._processor = _processor(model, path)
        ids = (self._processor.pad_id(), self._processor.eos_id(), self._processor.unk_id())
        if ids != (PAD_ID, EOS_ID, UNK_ID):
            raise ValueError(
                f"{path} has padding, end and unknown at ids {ids}; T5 needs {(PAD_ID, EOS_ID, UNK_ID)}."
            )
        if extra_ids:
            if self._find_sentinel(0) is not None:
                raise ValueError(f"{path} has sentinels already: leave out '+{extra_ids}'.")
            model = with_sentinels(model, extra_ids)
            self._processor = _processor(model, path)
        self.model = model
        self.path = path
        self.extra_ids = extra_ids
        # What transformers splits a text at: SentencePiece itself never finds control pieces in text.
        self._separators = {
            text: token
            for number in range(MAX_SENTINELS)
            if (token := self._processor.piece_to_id(text := sentinel_text(number))) != UNK_ID
            and self._processor.is_control(token)
        }
        longest_first = sorted(self._separators, key=len, reverse=True)
        self._separator = re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @property
    def size(self) -> int:
        return self._processor.vocab_size()

    @functools.cached_property
    def fingerprint(self) -> str:
        """The same for models with the same pieces and normalisation, however their file was written."""
        return hashlib.sha256(_parsed(self.model).SerializeToString(deterministic=True)).hexdigest()

    def encode(self, text: str) -> list[int]:
        return self.encode_batch([text])[0] if self._separators else self._processor.encode(text)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        if self._separators:
            return self._encode_between_sentinels(texts)
        return self._processor.encode(list(texts), num_threads=os.cpu_count() or 1)

    def _encode_between_sentinels(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of texts that are split at sentinels, each part encoded on its own."""
        split = [[part for part in self._separator.split(text) if part] for text in texts]
        words = [part for parts in split for part in parts if part not in self._separators]
        encoded = iter(self._processor.encode(words, num_threads=os.cpu_count() or 1))
        return [
            [
                token
                for part in parts
                for token in (
                    [self._separators[part]] if part in self._separators else next(encoded)
                )
            ]
            for parts in split
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Text up to the first end of sequence; ids outside the vocabulary (its padding) are skipped."""
        size = self.size  # asked of SentencePiece: once, not for each token
        kept = [token for token in _before_eos(ids) if PAD_ID <= token < size]
        return self._processor.decode(kept)

    def is_byte(self, token: int) -> bool:
        """Whether an id stands for one byte of a character that the vocabulary lacks."""
        return self._processor.is_byte(int(token))

    def sentinel_id(self, number: int) -> int:
        """The id of a sentinel, counted from 0. Raises ValueError where there is none at T5's place."""
        token = self._find_sentinel(number)
        if token is None:
            raise ValueError(
                f"The vocabulary {self.path} has no piece {sentinel_text(number)!r}. Where it has no sentinels at all, "
                f"'{self.path}+{NUM_SENTINELS}' appends {NUM_SENTINELS}."
            )
        if token != self.size - 1 - number:
            raise ValueError(
                f"The vocabulary {self.path} has {sentinel_text(number)!r} at id {token}; T5 counts sentinels down "
                f"from the last id, so it must be {self.size - 1 - number}."
            )
        return token

    def _find_sentinel(self, number: int) -> int | None:
        """The id of a sentinel's piece; T5 writes it with the space before it, Hugging Face without."""
        for piece in (_WORD_START + sentinel_text(number), sentinel_text(number)):
            token = self._processor.piece_to_id(piece)
            if token != UNK_ID:
                return token
        return None


def sentinel_text(number: int) -> str:
    """What stands for a sentinel in text."""
    return f"<extra_id_{number}>"


def with_sentinels(model: bytes, count: int) -> bytes:
    """A SentencePiece model with `count` sentinels as its last pieces, just as SeqIO appends `extra_ids`."""
    parsed = _parsed(model)
    kind = type(parsed).SentencePiece.USER_DEFINED
    for number in reversed(range(count)):
        parsed.pieces.add(piece=_WORD_START + sentinel_text(number), score=0.0, type=kind)
    return parsed.SerializeToString(deterministic=True)


def load(name: str) -> Vocabulary:
    """The vocabulary of a name, as the module's docstring lists them; one that is still to be trained is refused.

    Raises:
        ValueError: no such file, or not a model that T5 can use.
    """
    match = _EXTRA.fullmatch(name)
    base, extra_ids = (match["name"], int(match["count"])) if match else (name, 0)
    if base == OF_START:
        raise ValueError(NO_START)
    if base == _BYTES:
        return ByteVocabulary(extra_ids)
    path = epath.Path(base)
    if path.is_dir():
        return _load_folder(path, name, extra_ids)
    if not path.exists():
        raise ValueError(
            f"The vocabulary {base!r} does not exist. Give '{_BYTES}', the path of a SentencePiece model, either with "
            f"'+{NUM_SENTINELS}' to append sentinels, or '{_TRAIN_PREFIX}SIZE' to train one. "
            f"{published_t5.VOCABULARY}."
        )
    return SentencePieceVocabulary(path.read_bytes(), base, extra_ids)


def _load_folder(path: epath.Path, name: str, extra_ids: int) -> Vocabulary:
    if extra_ids:
        raise ValueError(
            f"{name!r}: a folder says itself how many sentinels it has; leave out '+{extra_ids}'."
        )
    num_byte_sentinels = tokenizer_files.num_byte_sentinels(path)
    if num_byte_sentinels is not None:
        return ByteVocabulary(num_byte_sentinels)
    return SentencePieceVocabulary(tokenizer_files.read(path), os.fspath(path))


def size_to_train(name: str) -> int | None:
    """SIZE of "sentencepiece:SIZE"; None for any other name.

    Raises:
        ValueError: SIZE is not a number, or leaves no room beside bytes, sentinels and special ids.
    """
    if not name.startswith(_TRAIN_PREFIX):
        return None
    size = name.removeprefix(_TRAIN_PREFIX)
    if not size.isdecimal() or int(size) <= _NUM_FIXED:
        raise ValueError(
            f"DataConfig.vocabulary {name!r}: SIZE must be a whole number from {_NUM_FIXED + 1}; it counts "
            f"{NUM_BYTES} bytes and {NUM_SENTINELS} sentinels."
        )
    return int(size)


def train(texts: Iterable[str], size: int) -> bytes:
    """A SentencePiece model of at most `size` pieces, the last 100 of them T5's sentinels; the same for the same text.

    Unigram pieces with byte fallback, no normalisation, newlines and runs of spaces kept: every text survives encoding
    and decoding, so templates keep their line structure (T5's own vocabulary loses it). Single characters take half of
    the pieces at most; rarer ones are written as bytes.

    Raises:
        ValueError: there is no text, or `size` is too small.
    """
    lines = [text for text in texts if text]
    if size <= _NUM_FIXED:
        raise ValueError(f"A vocabulary needs more than {_NUM_FIXED} pieces, not {size}.")
    if not lines:
        raise ValueError("There is no text to train a vocabulary on.")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            vocab_size=size - NUM_SENTINELS,
            model_type="unigram",
            pad_id=PAD_ID,
            eos_id=EOS_ID,
            unk_id=UNK_ID,
            bos_id=-1,
            byte_fallback=True,
            character_coverage=_coverage(lines, (size - _NUM_FIXED) // 2),
            normalization_rule_name="identity",
            remove_extra_whitespaces=False,
            user_defined_symbols=["\n"],
            hard_vocab_limit=False,
            max_sentence_length=_LONGEST_LINE_BYTES,
            num_threads=1,  # more threads change the pieces from run to run
            minloglevel=2,
        )
    except RuntimeError as error:
        raise ValueError(f"A vocabulary of {size} pieces is too small: {error}") from error
    return with_sentinels(model.getvalue(), NUM_SENTINELS)


def _coverage(lines: Sequence[str], most: int) -> float:
    """The share of all characters that the `most` frequent ones make up."""
    counts: collections.Counter[str] = collections.Counter()
    for line in lines:
        counts.update(line)
    kept = counts.most_common(max(1, most))
    return max(
        0.98, sum(count for _, count in kept) / counts.total()
    )  # SentencePiece takes no less


def _processor(model: bytes, path: str) -> sentencepiece.SentencePieceProcessor:
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:
        raise ValueError(f"{path} is not a SentencePiece model: {error}") from error


def _parsed(model: bytes) -> Any:
    """Its protocol buffer, whose classes are made at run time and have no types."""
    return sentencepiece_model_pb2.ModelProto.FromString(model)  # type: ignore[attr-defined]


def _before_eos(ids: Sequence[int]) -> list[int]:
    listed = [int(token) for token in ids]
    return listed[: listed.index(EOS_ID)] if EOS_ID in listed else listed
