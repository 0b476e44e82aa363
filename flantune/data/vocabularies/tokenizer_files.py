"""Vocabularies of Hugging Face folders as SentencePiece models, so that nothing but SentencePiece is needed.

    spiece.model                T5's pieces; sentinels are appended, as transformers does (`extra_ids`, 100 by default)
    tokenizer.json              the same without the SentencePiece file: pieces, scores and normalisation are in it
    tokenizer_config.json       says which class reads them; "ByT5Tokenizer" needs no other file

Ids equal those of transformers 5.23 (`AutoTokenizer.from_pretrained(folder)`), which splits a text at sentinels and
encodes what lies between on its own: "a<extra_id_0>b" is `▁a <extra_id_0> ▁b`, with or without spaces. That is what
earlier versions called "legacy". Three things differ:

- `</s>`, `<pad>` and `<unk>` in a text are text here, not special ids;
- T5's normalisation (nmt_nfkc) is SentencePiece's here. transformers' own loses a zero-width joiner after some
  characters, and does not join half-width kana with their voice marks;
- of two segmentations with the same score (in a long row of dashes, say), each library takes the one it met first.

`vocabulary.py` loads what is made here.
"""

import base64
from collections.abc import Mapping, Sequence
import json
import re
from typing import Any

from etils import epath
from google.protobuf import message
from sentencepiece import sentencepiece_model_pb2

MODEL_FILE = "spiece.model"
_MODEL_FILES = (MODEL_FILE, "sentencepiece.model", "tokenizer.model")
TOKENIZER_FILE, CONFIG_FILE = "tokenizer.json", "tokenizer_config.json"
BYTES_CLASS = "ByT5Tokenizer"
_T5_CLASSES = ("T5Tokenizer", "T5TokenizerFast", "MT5Tokenizer", "MT5TokenizerFast")
_T5_SENTINELS, _BYTES_SENTINELS = 100, 125  # defaults of transformers' classes
_SPECIAL = ("<pad>", "</s>", "<unk>")
_SENTINEL = re.compile(r"▁?<extra_id_(\d+)>")
_BYTE_PIECE = re.compile(r"<0x[0-9A-F]{2}>")

JsonDict = Mapping[str, Any]  # Any: whatever JSON holds
Proto = Any  # SentencePiece's protocol buffers, whose classes are made at run time


def is_in(folder: epath.Path) -> bool:
    """Whether a folder holds a vocabulary, of whatever kind."""
    return num_byte_sentinels(folder) is not None or any(
        (folder / name).exists() for name in (*_MODEL_FILES, TOKENIZER_FILE)
    )


def num_byte_sentinels(folder: epath.Path) -> int | None:
    """How many sentinels a folder's byte vocabulary has; None where its vocabulary is not of bytes."""
    config = _json(folder / CONFIG_FILE)
    if config.get("tokenizer_class") != BYTES_CLASS:
        return None
    return _num_sentinels(config, default=_BYTES_SENTINELS)


def read(folder: epath.Path) -> bytes:
    """A folder's vocabulary as a SentencePiece model; sentinels that transformers splits at are control pieces.

    Raises:
        ValueError: there is no such file, or a kind of tokenizer that T5 does not have.
    """
    config = _json(folder / CONFIG_FILE)
    _check_added(folder, config)
    for name in _MODEL_FILES:
        if (folder / name).exists():
            return _with_sentinels((folder / name).read_bytes(), config, folder / name)
    if (folder / TOKENIZER_FILE).exists():
        return _from_json(_json(folder / TOKENIZER_FILE), config, folder)
    raise ValueError(
        f"{folder} holds no vocabulary: none of {', '.join((*_MODEL_FILES, TOKENIZER_FILE))}, and no "
        f"{CONFIG_FILE} of a {BYTES_CLASS}."
    )


def _json(file: epath.Path) -> JsonDict:
    try:
        value = json.loads(file.read_text()) if file.exists() else {}
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{file} must hold a JSON object.")
    return value


def _num_sentinels(config: JsonDict, default: int) -> int:
    """How many sentinels the class adds: as many as are listed, else `extra_ids`."""
    for key in ("additional_special_tokens", "extra_special_tokens"):
        listed = [_content(token) for token in config.get(key) or ()]
        found = [token for token in listed if _SENTINEL.fullmatch(token)]
        if found:
            return len(found)
    count = config.get("extra_ids")
    return default if count is None else int(count)


def _content(token: object) -> str:
    return str(token["content"]) if isinstance(token, dict) else str(token)


def _check_added(folder: epath.Path, config: JsonDict) -> None:
    """Raises ValueError where tokens were added to T5's: transformers finds them in ways that SentencePiece has not."""
    added = [_content(token) for token in (config.get("added_tokens_decoder") or {}).values()]
    added += _json(folder / "added_tokens.json")
    added += [_content(token) for token in _json(folder / TOKENIZER_FILE).get("added_tokens") or ()]
    others = [token for token in added if token not in _SPECIAL and not _SENTINEL.fullmatch(token)]
    if others:
        shown = ", ".join(map(repr, dict.fromkeys(others[:8])))
        raise ValueError(
            f"{folder} has a vocabulary with added tokens, which are not read: {shown}."
        )


def _with_sentinels(model: bytes, config: JsonDict, file: epath.Path) -> bytes:
    """A model with the sentinels that transformers appends, unless it has sentinels of its own."""
    proto = _proto()
    try:
        proto.ParseFromString(model)
    except message.DecodeError as error:
        raise ValueError(f"{file} is not a SentencePiece model: {error}") from error
    if not any(_SENTINEL.fullmatch(piece.piece) for piece in proto.pieces):
        for number in reversed(range(_num_sentinels(config, default=_T5_SENTINELS))):
            _add(proto, f"<extra_id_{number}>", 0.0, "CONTROL")
    return proto.SerializeToString(deterministic=True)


def _from_json(tokenizer: JsonDict, config: JsonDict, folder: epath.Path) -> bytes:
    """The SentencePiece model that does what a `tokenizer.json` says."""
    model = tokenizer.get("model") or {}
    if model.get("type") != "Unigram":
        raise ValueError(
            f"{folder / TOKENIZER_FILE} holds a {model.get('type')} model; T5's vocabularies are Unigram."
        )
    # T5's classes replace the steps of the file by their own.
    is_t5 = config.get("tokenizer_class") in (None, *_T5_CLASSES)
    collapses = True if is_t5 else _collapses_spaces(tokenizer, folder / TOKENIZER_FILE)
    proto = _proto()
    has_bytes = bool(model.get("byte_fallback"))
    for index, (piece, score) in enumerate(model["vocab"]):
        _add(proto, piece, score, _kind(piece, index, model.get("unk_id"), has_bytes))
    trainer, normalizer = proto.trainer_spec, proto.normalizer_spec
    trainer.model_type = type(trainer).UNIGRAM
    trainer.pad_id, trainer.eos_id, trainer.unk_id, trainer.bos_id = 0, 1, 2, -1
    trainer.pad_piece, trainer.eos_piece, trainer.unk_piece = _SPECIAL
    trainer.byte_fallback = has_bytes
    trainer.vocab_size = len(proto.pieces)
    normalizer.name = "of_tokenizer_json"
    normalizer.precompiled_charsmap = _charsmap(tokenizer.get("normalizer"))
    normalizer.add_dummy_prefix = normalizer.escape_whitespaces = True
    normalizer.remove_extra_whitespaces = collapses
    return proto.SerializeToString(deterministic=True)


def _kind(piece: str, index: int, unk_id: object, has_bytes: bool) -> str:
    if index == unk_id:
        return "UNKNOWN"
    if piece in _SPECIAL or (piece.startswith("<") and _SENTINEL.fullmatch(piece)):
        return "CONTROL"
    return "BYTE" if has_bytes and _BYTE_PIECE.fullmatch(piece) else "NORMAL"


def _collapses_spaces(tokenizer: JsonDict, file: epath.Path) -> bool:
    """Whether runs of spaces count as one, for the steps of T5 and for those that `interop/huggingface_tokenizer.py` writes.

    Raises:
        ValueError: the file takes other steps.
    """
    splits = [step["type"] for step in _steps(tokenizer.get("pre_tokenizer"), "pretokenizers")]
    changes = [step["type"] for step in _steps(tokenizer.get("normalizer"), "normalizers")]
    inner = [change for change in changes if change != "Precompiled"]
    if splits == ["WhitespaceSplit", "Metaspace"] and not inner:
        return True
    if splits == ["Metaspace"] and inner == ["Strip", "Replace"]:
        return True
    if not splits and inner in (["Prepend", "Replace"], ["Strip", "Replace", "Prepend", "Replace"]):
        return "Strip" in inner
    raise ValueError(
        f"{file} normalises with {changes} and splits with {splits}, which is not T5's way; give its {MODEL_FILE}."
    )


def _steps(value: JsonDict | None, several: str) -> Sequence[JsonDict]:
    if value is None:
        return ()
    return value[several] if value["type"] == "Sequence" else (value,)


def _charsmap(normalizer: JsonDict | None) -> bytes:
    for step in _steps(normalizer, "normalizers"):
        if step["type"] == "Precompiled":
            return base64.b64decode(step["precompiled_charsmap"])
    return b""


def _proto() -> Proto:
    return sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]


def _add(proto: Proto, piece: str, score: float, kind: str) -> None:
    value = getattr(type(proto).SentencePiece, kind)
    proto.pieces.add(piece=piece, score=score, type=value)
