"""Tokenizer files that we write and read give the same ids in transformers, for text of every kind."""

import io
import json
import random

import pytest
import sentencepiece

from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.interop import huggingface_tokenizer

transformers = pytest.importorskip("transformers", reason="only with the hf extra")
pytestmark = pytest.mark.hf

TEXT = (
    "Premise: hypothesis entails Question Answer (A) (B) cats dogs sat on the mat, isn't it? 3.14 "
    "naïve café déjà Straße 日本語 Москва العربية 한국어 {x} [y] a_b C++ https://example.org/a?b=c"
)
WORDS = TEXT.split()
PARTS = (
    *("\n", "\n\n", "\t", "  ", " " * 9, "\r\n", "\u3000", "\u00a0", "\ufeff"),
    *("😀", "👩\u200d👩\u200d👧", "e\u0301", "ﬁ", "１２", "Ⅳ", "½", "…", "Ω", "{", "~"),
    *("<extra_id_0>", " <extra_id_1> ", "<extra_id_99>", "<extra_id_100>", "<extra_id_"),
)


def varied_texts(count):
    rng = random.Random(0)

    def part():
        if rng.random() < 0.6:
            return rng.choice(WORDS) + rng.choice([" ", " ", ""])
        return rng.choice(PARTS)

    return ["", "\n", " "] + [
        "".join(part() for _ in range(rng.randrange(25))) for _ in range(count - 3)
    ]


TEXTS = varied_texts(1000)


@pytest.fixture(scope="module")
def bare_model():
    """T5's kind of model: nmt_nfkc, single spaces, no bytes, no sentinels."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text for text in TEXTS if text.strip()]),
        model_writer=model,
        vocab_size=220,
        character_coverage=0.99,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()


def as_released(folder, model):
    (folder / "spiece.model").write_bytes(model)
    config = {"tokenizer_class": "T5Tokenizer", "extra_ids": 100}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return load(folder)


def load(folder):
    (folder / "config.json").write_text('{"model_type": "t5"}')
    return transformers.AutoTokenizer.from_pretrained(folder)


def assert_same_ids(tokenizer, vocabulary, texts=TEXTS):
    expected = vocabulary.encode_batch(texts)
    for text, theirs, ours in zip(texts, tokenizer(texts)["input_ids"], expected, strict=True):
        assert theirs == [*ours, vocabulary.eos_id], repr(text)
    assert len(tokenizer) == vocabulary.size


def test_folders_as_released_and_as_transformers_saves_them(tmp_path, bare_model):
    tokenizer = as_released(tmp_path, bare_model)
    assert_same_ids(tokenizer, vocabulary_lib.load(str(tmp_path)))
    tokenizer.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "spiece.model").exists()
    assert_same_ids(tokenizer, vocabulary_lib.load(str(tmp_path / "saved")))


def test_a_folder_s_vocabulary_is_written_as_t5_s_own(tmp_path, bare_model):
    (tmp_path / "released").mkdir()
    as_released(tmp_path / "released", bare_model)
    vocabulary = vocabulary_lib.load(str(tmp_path / "released"))
    huggingface_tokenizer.write(tmp_path, vocabulary)
    tokenizer = load(tmp_path)
    assert isinstance(tokenizer, transformers.T5Tokenizer)
    assert_same_ids(tokenizer, vocabulary)
    assert tokenizer.convert_tokens_to_ids("<extra_id_0>") == vocabulary.sentinel_id(0)
    assert vocabulary_lib.load(str(tmp_path)).fingerprint == vocabulary.fingerprint


@pytest.mark.parametrize("kind", ["trained", "with sentinels"])
def test_other_models_keep_their_newlines_bytes_and_sentinels(tmp_path, bare_model, kind):
    file = tmp_path / "vocabulary.model"
    if kind == "trained":
        file.write_bytes(vocabulary_lib.train(TEXTS, 500))
    else:
        file.write_bytes(vocabulary_lib.with_sentinels(bare_model, 100))
    vocabulary = vocabulary_lib.load(str(file))
    huggingface_tokenizer.write(tmp_path, vocabulary)
    tokenizer = load(tmp_path)
    assert_same_ids(tokenizer, vocabulary)
    assert vocabulary_lib.load(str(tmp_path)).fingerprint == vocabulary.fingerprint
    if kind == "trained":
        text = "{a}\n  b 😀"
        assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    tokenizer.save_pretrained(tmp_path / "saved")  # without the SentencePiece file
    assert_same_ids(tokenizer, vocabulary_lib.load(str(tmp_path / "saved")))


@pytest.mark.parametrize("name", ["bytes", "bytes+125"])
def test_bytes_are_byt5_s_and_the_first_sentinel_is_the_last_id(tmp_path, name):
    vocabulary = vocabulary_lib.load(name)
    huggingface_tokenizer.write(tmp_path, vocabulary)
    tokenizer = load(tmp_path)
    assert isinstance(tokenizer, transformers.ByT5Tokenizer)
    texts = [text.replace("<extra_id_", "<id_") for text in TEXTS]  # ours are never in text
    assert_same_ids(tokenizer, vocabulary, texts)
    if name != "bytes":
        assert tokenizer("a<extra_id_0>")["input_ids"] == [100, vocabulary.sentinel_id(0), 1]
    assert vocabulary_lib.load(str(tmp_path)).fingerprint == vocabulary.fingerprint
