"""Folders of Hugging Face's tokenizers as vocabularies; what transformers makes of them: interop/huggingface_tokenizer_test."""

import base64
import io
import json

import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from flantune.data.vocabularies import vocabulary as vocabulary_lib

LINES = [f"{a} {b} on the {c}" for a in ("one", "two") for b in ("cats", "dogs") for c in "xyz"]


@pytest.fixture(scope="module")
def model():
    """T5's kind of model, without sentinels."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 5),
        model_writer=written,
        vocab_size=40,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return written.getvalue()


@pytest.fixture
def folder(tmp_path, model):
    (tmp_path / "spiece.model").write_bytes(model)
    write_config(tmp_path, tokenizer_class="T5Tokenizer", extra_ids=100)
    return tmp_path


def write_config(folder, **values):
    (folder / "tokenizer_config.json").write_text(json.dumps(values))


def tokenizer_json(spiece, **changes):
    """The file that transformers makes of a SentencePiece model."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(spiece)
    vocab = [[piece.piece, piece.score] for piece in proto.pieces]
    vocab += [[f"<extra_id_{number}>", 0.0] for number in reversed(range(100))]
    charsmap = base64.b64encode(proto.normalizer_spec.precompiled_charsmap).decode()
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
    return {
        "added_tokens": [
            {"id": len(vocab) - 1, "content": "<extra_id_0>"},
            {"id": 1, "content": "</s>"},
        ],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace],
        },
        "model": {"type": "Unigram", "unk_id": 2, "vocab": vocab, "byte_fallback": False},
        **changes,
    }


def test_sentinels_are_appended_and_counted_down_from_the_last_id(folder, model):
    vocabulary = vocabulary_lib.load(str(folder))
    bare = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert vocabulary.size == bare.vocab_size() + 100
    assert vocabulary.sentinel_id(0) == vocabulary.size - 1
    assert vocabulary.encode("two dogs") == bare.encode("two dogs")


@pytest.mark.parametrize(
    "text", ["cats<extra_id_1>dogs", "cats <extra_id_1> dogs", "cats\n<extra_id_1>  dogs "]
)
def test_what_lies_between_sentinels_is_encoded_on_its_own(folder, text):
    vocabulary = vocabulary_lib.load(str(folder))
    expected = [*vocabulary.encode("cats"), vocabulary.sentinel_id(1), *vocabulary.encode("dogs")]
    assert vocabulary.encode(text) == expected
    assert vocabulary.encode_batch(["one", text, ""]) == [vocabulary.encode("one"), expected, []]
    assert vocabulary.decode(expected) == "cats dogs"


def test_a_sentinel_that_does_not_exist_is_text(folder, model):
    bare = sentencepiece.SentencePieceProcessor(model_proto=model)
    text = "cats <extra_id_100> dogs"
    assert vocabulary_lib.load(str(folder)).encode(text) == bare.encode(text)


def test_the_model_of_a_folder_stays_what_it_is_in_a_file_of_its_own(folder, tmp_path):
    vocabulary = vocabulary_lib.load(str(folder))
    (tmp_path / "vocabulary.model").write_bytes(vocabulary.model)
    again = vocabulary_lib.load(str(tmp_path / "vocabulary.model"))
    assert again.fingerprint == vocabulary.fingerprint
    assert again.encode("cats<extra_id_3>dogs") == vocabulary.encode("cats<extra_id_3>dogs")


@pytest.mark.parametrize(
    ("config", "count"),
    [
        ({}, 100),
        ({"extra_ids": 0}, 0),
        ({"extra_ids": 300}, 300),
        ({"extra_ids": 0, "additional_special_tokens": ["<extra_id_0>", "<extra_id_1>"]}, 2),
        ({"extra_special_tokens": [{"content": "<extra_id_0>"}, "<pad>"]}, 1),
    ],
)
def test_the_config_says_how_many_sentinels(folder, model, config, count):
    write_config(folder, tokenizer_class="T5Tokenizer", **config)
    bare = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert vocabulary_lib.load(str(folder)).size == bare.vocab_size() + count


def test_a_model_with_sentinels_of_its_own_gets_no_more(folder, model):
    (folder / "spiece.model").write_bytes(vocabulary_lib.with_sentinels(model, 100))
    bare = sentencepiece.SentencePieceProcessor(model_proto=model)
    assert vocabulary_lib.load(str(folder)).size == bare.vocab_size() + 100


def test_tokenizer_json_alone_gives_the_same_ids(folder, model):
    texts = [*LINES, "ﬁne  １２\n{x}", "two<extra_id_7>dogs", ""]
    expected = vocabulary_lib.load(str(folder)).encode_batch(texts)
    (folder / "spiece.model").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(model)))
    for name in ("T5Tokenizer", "TokenizersBackend"):
        write_config(folder, tokenizer_class=name)
        assert vocabulary_lib.load(str(folder)).encode_batch(texts) == expected


def test_byt5_needs_no_file(tmp_path):
    write_config(tmp_path, tokenizer_class="ByT5Tokenizer")
    vocabulary = vocabulary_lib.load(str(tmp_path))
    assert vocabulary.size == 384
    assert vocabulary.encode("ab") == [100, 101]
    write_config(tmp_path, tokenizer_class="ByT5Tokenizer", extra_ids=0)
    assert vocabulary_lib.load(str(tmp_path)).size == 259


def test_what_is_not_read_says_so(folder, model):
    with pytest.raises(ValueError, match=r"leave out '\+100'"):
        vocabulary_lib.load(f"{folder}+100")
    write_config(
        folder, added_tokens_decoder={"140": {"content": "<bot>"}, "1": {"content": "</s>"}}
    )
    with pytest.raises(ValueError, match=r"added tokens, which are not read: '<bot>'\."):
        vocabulary_lib.load(str(folder))
    write_config(folder, tokenizer_class="PreTrainedTokenizerFast")
    (folder / "spiece.model").write_bytes(b"\xff\xff not a model")
    with pytest.raises(ValueError, match=r"spiece\.model is not a SentencePiece model"):
        vocabulary_lib.load(str(folder))
    (folder / "spiece.model").unlink()
    for changes, message in (
        ({"model": {"type": "BPE"}}, "holds a BPE model"),
        ({"pre_tokenizer": {"type": "ByteLevel"}}, r"splits with \['ByteLevel'\]"),
        ({"normalizer": {"type": "Lowercase"}}, r"normalises with \['Lowercase'\]"),
    ):
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer_json(model, **changes)))
        with pytest.raises(ValueError, match=message):
            vocabulary_lib.load(str(folder))
    (folder / "tokenizer.json").write_text("[")
    with pytest.raises(ValueError, match=r"tokenizer\.json is no JSON"):
        vocabulary_lib.load(str(folder))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="holds no vocabulary"):
        vocabulary_lib.load(str(folder))
