from hypothesis import given, settings, strategies as st
import pytest

from flantune.data import vocabulary as vocabulary_lib

TEXTS = [
    f"Sort the words: {a} {b}\nAnswer (A)" for a in ("cat", "dog", "bird") for b in ("sun", "moon")
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.model"
    lines = [line for text in TEXTS * 20 for line in text.split("\n")]
    path.write_bytes(vocabulary_lib.train(lines, 320))
    return str(path)


def test_bytes_by_hand():
    vocabulary = vocabulary_lib.load("bytes")
    assert vocabulary.encode("ab") == [100, 101]
    assert vocabulary.decode([100, 101, 1, 100]) == "ab"
    assert vocabulary.decode([0, 2, 100]) == "a"
    assert vocabulary.size == 259


@given(st.text())
def test_bytes_survive_a_round_trip(text):
    vocabulary = vocabulary_lib.ByteVocabulary()
    assert vocabulary.decode(vocabulary.encode(text)) == text


@settings(max_examples=50)
@given(st.text(alphabet="cat dog\n\t{}é🙂  AB", min_size=1))
def test_a_trained_vocabulary_keeps_newlines_spaces_and_unknown_letters(trained, text):
    vocabulary = vocabulary_lib.load(trained)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_a_trained_vocabulary_is_the_same_every_time(trained):
    lines = [line for text in TEXTS * 20 for line in text.split("\n")]
    first, second = (vocabulary_lib.train(lines, 320) for _ in range(2))
    assert vocabulary_lib.SentencePieceVocabulary(first, "a").encode(TEXTS[0]) == (
        vocabulary_lib.SentencePieceVocabulary(second, "b").encode(TEXTS[0])
    )


def test_frequent_words_become_pieces():
    words = ("garden", "window", "button", "silver", "orange", "planet", "basket", "yellow")
    lines = [f"{a} {b} {c}" for a in words for b in words for c in words]
    vocabulary = vocabulary_lib.SentencePieceVocabulary(vocabulary_lib.train(lines, 400), "words")
    assert len(vocabulary.encode("silver planet garden")) == 3


def test_batches_equal_single_texts(trained):
    for vocabulary in (vocabulary_lib.load(trained), vocabulary_lib.ByteVocabulary()):
        assert vocabulary.encode_batch(TEXTS) == [vocabulary.encode(text) for text in TEXTS]


def test_padding_ids_beyond_the_vocabulary_decode_to_nothing(trained):
    vocabulary = vocabulary_lib.load(trained)
    ids = vocabulary.encode("dog")
    assert vocabulary.decode([*ids, vocabulary.size + 3]) == "dog"


def test_ids_equal_seqio_s(trained):
    seqio = pytest.importorskip("seqio")
    pairs = (
        (vocabulary_lib.ByteVocabulary(), seqio.ByteVocabulary()),
        (vocabulary_lib.load(trained), seqio.SentencePieceVocabulary(trained)),
    )
    for ours, theirs in pairs:
        assert ours.size == theirs.vocab_size
        for text in [*TEXTS, "é🙂 {x}\n\n  y"]:
            assert ours.encode(text) == list(theirs.encode(text))
            assert ours.decode(ours.encode(text)) == theirs.decode(theirs.encode(text))


def test_a_missing_file_says_what_is_allowed():
    with pytest.raises(ValueError, match=r"'/nowhere\.model' does not exist.*'bytes'"):
        vocabulary_lib.load("/nowhere.model")


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = tmp_path / "broken.model"
    path.write_text("no model")
    with pytest.raises(ValueError, match=r"broken\.model is not a SentencePiece model"):
        vocabulary_lib.load(str(path))


@pytest.mark.parametrize("name", ["sentencepiece:", "sentencepiece:many", "sentencepiece:100"])
def test_sizes_to_train_leave_room_for_bytes(name):
    with pytest.raises(ValueError, match="SIZE must be"):
        vocabulary_lib.size_to_train(name)
    assert vocabulary_lib.size_to_train("sentencepiece:800") == 800
    assert vocabulary_lib.size_to_train("bytes") is None
