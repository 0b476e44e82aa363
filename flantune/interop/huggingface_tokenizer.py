"""Writes a vocabulary as the tokenizer files of a Hugging Face folder, with equal ids.

    bytes                          tokenizer_config.json of a ByT5Tokenizer; the first sentinel is the last id, as here
    SentencePiece, read from       spiece.model and tokenizer_config.json of a T5Tokenizer, as released with T5
      such a folder
    other SentencePiece models     tokenizer.json, which does step by step what SentencePiece does, and spiece.model

T5Tokenizer throws away newlines and runs of spaces and has no bytes for rare characters, whatever its model says, so
the third kind loads as a PreTrainedTokenizerFast. Read by `flantune.data.vocabularies.tokenizer_files`.
"""

import base64
import json
import re
from typing import Any

from etils import epath
from sentencepiece import sentencepiece_model_pb2

from flantune.data.vocabularies import tokenizer_files, vocabulary as vocabulary_lib

_SPECIAL = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
_SENTINEL = re.compile(r"<extra_id_\d+>")
_METASPACE = "▁"

JsonDict = dict[str, Any]  # Any: whatever JSON holds
Proto = Any  # SentencePiece's protocol buffers, whose classes are made at run time


def write(folder: epath.PathLike, vocabulary: vocabulary_lib.Vocabulary) -> None:
    """Writes tokenizer files into a folder that exists.

    Raises:
        ValueError: a SentencePiece model of a kind that T5 does not have.
    """
    path = epath.Path(folder)
    if isinstance(vocabulary, vocabulary_lib.ByteVocabulary):
        _write_json(path / tokenizer_files.CONFIG_FILE, _bytes_config(vocabulary.extra_ids))
        return
    assert isinstance(vocabulary, vocabulary_lib.SentencePieceVocabulary)
    proto = sentencepiece_model_pb2.ModelProto.FromString(vocabulary.model)  # type: ignore[attr-defined]
    if proto.trainer_spec.model_type != type(proto.trainer_spec).UNIGRAM:
        raise ValueError(f"{vocabulary.path} is no Unigram model, as T5's are.")
    kinds = type(proto).SentencePiece
    sentinels = [
        piece.piece
        for piece in proto.pieces
        if piece.type == kinds.CONTROL and _SENTINEL.fullmatch(piece.piece)
    ]
    config: JsonDict = {**_SPECIAL, "model_max_length": 512}
    if sentinels:
        del proto.pieces[len(proto.pieces) - len(sentinels) :]
        config |= {"tokenizer_class": "T5Tokenizer", "extra_ids": len(sentinels)}
    else:
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        _write_json(path / tokenizer_files.TOKENIZER_FILE, _tokenizer_json(proto))
    model = proto.SerializeToString(deterministic=True)
    (path / tokenizer_files.MODEL_FILE).write_bytes(model)
    _write_json(path / tokenizer_files.CONFIG_FILE, config)


def _bytes_config(num_sentinels: int) -> JsonDict:
    """ByT5Tokenizer numbers its sentinels in the order given, so they are given from the last to the first."""
    config: JsonDict = {
        **_SPECIAL,
        "tokenizer_class": tokenizer_files.BYTES_CLASS,
        "extra_ids": num_sentinels,
    }
    if num_sentinels:
        config["additional_special_tokens"] = [
            vocabulary_lib.sentinel_text(number) for number in reversed(range(num_sentinels))
        ]
    return config


def _tokenizer_json(proto: Proto) -> JsonDict:
    """SentencePiece's own steps as `tokenizers` knows them."""
    kinds = type(proto).SentencePiece
    spec = proto.normalizer_spec
    changes: list[JsonDict] = []
    if spec.precompiled_charsmap:
        charsmap = base64.b64encode(spec.precompiled_charsmap).decode()
        changes.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if spec.remove_extra_whitespaces:
        changes.append({"type": "Strip", "strip_left": True, "strip_right": True})
        changes.append(_replace({"Regex": " {2,}"}, " "))
    if spec.add_dummy_prefix:
        changes.append({"type": "Prepend", "prepend": _METASPACE})
    changes.append(_replace({"String": " "}, _METASPACE))
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(number, text) for number, text in enumerate(_SPECIAL.values())],
        "normalizer": {"type": "Sequence", "normalizers": changes},
        "pre_tokenizer": None,
        "post_processor": _post_processor(),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                _replace({"String": _METASPACE}, " "),
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "Unigram",
            "unk_id": vocabulary_lib.UNK_ID,
            "vocab": [[piece.piece, _score(piece, kinds)] for piece in proto.pieces],
            "byte_fallback": proto.trainer_spec.byte_fallback,
        },
    }


def _score(piece: Proto, kinds: Proto) -> float:
    """A piece's score; SentencePiece prefers a user-defined piece to anything else, and 0 is above all log-probabilities."""
    return 0.0 if piece.type == kinds.USER_DEFINED else piece.score


def _replace(pattern: JsonDict, content: str) -> JsonDict:
    return {"type": "Replace", "pattern": pattern, "content": content}


def _added(number: int, text: str) -> JsonDict:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": text, **flags, "special": True}


def _post_processor() -> JsonDict:
    """An end of sequence after each text."""
    end = {"SpecialToken": {"id": "</s>", "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [first, end],
        "pair": [first, end, second, end],
        "special_tokens": {
            "</s>": {"id": "</s>", "ids": [vocabulary_lib.EOS_ID], "tokens": ["</s>"]}
        },
    }


def _write_json(file: epath.Path, value: JsonDict) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
