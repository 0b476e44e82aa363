import io
import json
import subprocess
import sys

from hypothesis import given, settings, strategies as st
import pytest
import sentencepiece
from sentencepiece import sentencepiece_model_pb2

from flantune.audit import vocabulary_report
from flantune.data.vocabularies import vocabulary as vocabulary_lib

TEXTS = [
    f"Sort the words: {a} {b}\nAnswer (A)" for a in ("cat", "dog", "bird") for b in ("sun", "moon")
]
LINES = [line for text in TEXTS * 20 for line in text.split("\n")]
SENTINEL = "<extra_id_0>"
# Words, sentinels and the characters that vocabularies disagree about, in any order, beside any text at all.
PARTS = (
    *("cat", "Sort", "words:", " ", "  ", "\n", "\n\n", "\t", "{x}", "<0x41>", "\0"),
    *(
        "é",
        "e\u0301",
        "ß",
        "日本",
        "🙂",
        "👩\u200d👩\u200d👧",
        "¨",
        "ﬁ",
        "\u2581",
        "\u00a0",
        "\u200b",
        "\ufeff",
    ),
    *("<extra_id_0>", " <extra_id_1>", "<extra_id_99>", "<extra_id_100>", "<pad>", "</s>", "<unk>"),
)
VARIED = st.one_of(st.text(), st.lists(st.sampled_from(PARTS)).map("".join))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.model"
    path.write_bytes(vocabulary_lib.train(LINES, 420))
    return str(path)


@pytest.fixture(scope="module")
def bare(tmp_path_factory, trained):
    """A model as T5's is: normalised, single spaces, and no sentinels."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES),
        model_writer=model,
        vocab_size=30,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = tmp_path_factory.mktemp("vocabulary") / "bare.model"
    path.write_bytes(model.getvalue())
    return str(path)


# ---- bytes


def test_bytes_by_hand():
    vocabulary = vocabulary_lib.load("bytes")
    assert vocabulary.encode("ab") == [100, 101]
    assert vocabulary.decode([100, 101, 1, 100]) == "ab"
    assert vocabulary.decode([0, 2, 100]) == "a"
    assert vocabulary.size == 259


def test_bytes_with_sentinels():
    vocabulary = vocabulary_lib.load("bytes+100")
    assert vocabulary.size == 359
    assert (vocabulary.sentinel_id(0), vocabulary.sentinel_id(99)) == (358, 259)
    assert vocabulary.decode([100, 358, 101]) == "ab"
    with pytest.raises(ValueError, match="100 sentinels, so sentinel 100 does not exist"):
        vocabulary.sentinel_id(100)
    with pytest.raises(ValueError, match=r"0 sentinels.*'bytes\+100' has 100"):
        vocabulary_lib.load("bytes").sentinel_id(0)


@settings(deadline=None)  # other work on the machine must not fail it
@given(st.text())
def test_bytes_survive_a_round_trip(text):
    vocabulary = vocabulary_lib.ByteVocabulary()
    assert vocabulary.decode(vocabulary.encode(text)) == text


# ---- trained


@settings(max_examples=50, deadline=None)
@given(st.text(alphabet="cat dog\n\t{}é🙂  AB", min_size=1))
def test_a_trained_vocabulary_keeps_newlines_spaces_and_unknown_letters(trained, text):
    vocabulary = vocabulary_lib.load(trained)
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_a_trained_vocabulary_is_the_same_every_time(trained):
    with open(trained, "rb") as file:
        assert file.read() == vocabulary_lib.train(LINES, 420)


def test_frequent_words_become_pieces():
    words = ("garden", "window", "button", "silver", "orange", "planet", "basket", "yellow")
    lines = [f"{a} {b} {c}" for a in words for b in words for c in words]
    vocabulary = vocabulary_lib.SentencePieceVocabulary(vocabulary_lib.train(lines, 500), "words")
    assert len(vocabulary.encode("silver planet garden")) == 3


def test_a_long_line_is_not_left_out():
    model = vocabulary_lib.train(
        [*LINES, "quick " * 1000], 420
    )  # by default 4,192 bytes are the limit
    vocabulary = vocabulary_lib.SentencePieceVocabulary(model, "long")
    assert not any(map(vocabulary.is_byte, vocabulary.encode("quick")))


def test_more_characters_than_pieces_leave_the_rare_ones_to_bytes():
    common, rare = "abcdefgh " * 5000, "".join(map(chr, range(0x4E00, 0x4E00 + 300)))
    vocabulary = vocabulary_lib.SentencePieceVocabulary(
        vocabulary_lib.train([common, rare], 420), "rare"
    )
    assert vocabulary.size <= 420
    assert not any(map(vocabulary.is_byte, vocabulary.encode("bad cafe")))
    assert vocabulary.decode(vocabulary.encode(rare)) == rare


def test_too_little_to_train_on_is_refused():
    with pytest.raises(ValueError, match="no text"):
        vocabulary_lib.train(["", ""], 420)
    with pytest.raises(ValueError, match="more than 360 pieces, not 360"):
        vocabulary_lib.train(LINES, 360)


def test_padding_ids_beyond_the_vocabulary_decode_to_nothing(trained):
    vocabulary = vocabulary_lib.load(trained)
    ids = vocabulary.encode("dog")
    assert vocabulary.decode([*ids, vocabulary.size + 3]) == "dog"


@pytest.mark.parametrize("name", ["sentencepiece:", "sentencepiece:many", "sentencepiece:360"])
def test_sizes_to_train_leave_room_for_bytes_and_sentinels(name):
    with pytest.raises(ValueError, match="SIZE must be a whole number from 361"):
        vocabulary_lib.size_to_train(name)
    assert vocabulary_lib.size_to_train("sentencepiece:800") == 800
    assert vocabulary_lib.size_to_train("bytes") is None


# ---- sentinels


def check_sentinels(vocabulary):
    last = vocabulary.size - 1
    assert [vocabulary.sentinel_id(number) for number in range(100)] == list(
        range(last, last - 100, -1)
    )
    assert vocabulary.encode(SENTINEL) == [last]
    ids = vocabulary.encode("Sort <extra_id_1> dog")
    assert ids.count(last - 1) == 1
    assert vocabulary.decode(ids) == "Sort <extra_id_1> dog"


def test_a_trained_vocabulary_ends_with_the_sentinels(trained):
    check_sentinels(vocabulary_lib.load(trained))


def test_sentinels_are_appended_to_a_file_without(bare):
    before = vocabulary_lib.load(bare)
    after = vocabulary_lib.load(f"{bare}+100")
    assert after.size == before.size + 100
    assert after.encode("Sort the dog") == before.encode("Sort the dog")
    check_sentinels(after)
    assert after.fingerprint != before.fingerprint


def test_a_file_with_appended_sentinels_holds_them(bare, tmp_path):
    """A run keeps its vocabulary as one file, which a restart reads without knowing about '+100'."""
    appended = vocabulary_lib.load(f"{bare}+100")
    (tmp_path / "copy.model").write_bytes(appended.model)
    copy = vocabulary_lib.load(str(tmp_path / "copy.model"))
    check_sentinels(copy)
    assert copy.fingerprint == appended.fingerprint


def test_missing_sentinels_say_how_to_get_them(bare):
    with pytest.raises(ValueError, match=r"no piece '<extra_id_0>'.*bare\.model\+100' appends"):
        vocabulary_lib.load(bare).sentinel_id(0)


def test_sentinels_are_never_appended_twice(trained):
    with pytest.raises(ValueError, match=r"has sentinels already: leave out '\+100'"):
        vocabulary_lib.load(f"{trained}+100")


def test_sentinels_in_another_order_are_refused(bare, tmp_path):
    with open(bare, "rb") as file:
        parsed = sentencepiece_model_pb2.ModelProto.FromString(file.read())
    for number in range(2):  # upwards
        parsed.pieces.add(piece=f"<extra_id_{number}>", score=0.0, type=4)
    path = tmp_path / "upwards.model"
    path.write_bytes(parsed.SerializeToString())
    vocabulary = vocabulary_lib.load(str(path))
    with pytest.raises(ValueError, match=r"'<extra_id_0>' at id \d+; T5 counts"):
        vocabulary.sentinel_id(0)


# ---- the same in SeqIO


@pytest.fixture(scope="module")
def pairs(trained, bare):
    """Ours and SeqIO's, with and without appended sentinels."""
    seqio = pytest.importorskip("seqio")
    return [
        (vocabulary_lib.load("bytes"), seqio.ByteVocabulary()),
        (vocabulary_lib.load("bytes+100"), seqio.ByteVocabulary(extra_ids=100)),
        (vocabulary_lib.load(trained), seqio.SentencePieceVocabulary(trained)),
        (vocabulary_lib.load(bare), seqio.SentencePieceVocabulary(bare)),
        (vocabulary_lib.load(f"{bare}+100"), seqio.SentencePieceVocabulary(bare, extra_ids=100)),
    ]


def test_sizes_and_special_ids_equal_seqio_s(pairs):
    for ours, theirs in pairs:
        assert ours.size == theirs.vocab_size
        assert (ours.eos_id, vocabulary_lib.UNK_ID) == (theirs.eos_id, theirs.unk_id)


@settings(max_examples=1000, deadline=None)
@given(VARIED)
def test_ids_and_text_equal_seqio_s(pairs, text):
    for ours, theirs in pairs:
        ids = ours.encode(text)
        assert ids == list(theirs.encode(text))
        assert ours.decode(ids) == theirs.decode(ids)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_any_ids_decode_as_in_seqio(pairs, data):
    for ours, theirs in pairs:
        ids = data.draw(st.lists(st.integers(0, ours.size - 1)))
        assert ours.decode(ids) == theirs.decode(ids)


@settings(max_examples=20, deadline=None)
@given(st.lists(VARIED, min_size=60, max_size=60))
def test_ids_equal_those_of_seqio_s_tensorflow_path(pairs, texts):
    import tensorflow as tf

    for ours, theirs in pairs:
        assert ours.encode_batch(texts) == [ours.encode(text) for text in texts]
        found = [theirs.encode_tf(tf.constant(text)).numpy().tolist() for text in texts]
        assert found == ours.encode_batch(texts)


# ---- files


def test_a_missing_file_says_what_is_allowed():
    with pytest.raises(ValueError, match=r"'/nowhere\.model' does not exist.*'bytes'"):
        vocabulary_lib.load("/nowhere.model+100")


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = tmp_path / "broken.model"
    path.write_text("no model")
    with pytest.raises(ValueError, match=r"broken\.model is not a SentencePiece model"):
        vocabulary_lib.load(str(path))


_FROM_A_BUCKET = """
import os, sys
os.environ["EPATH_USE_TF"] = "0"
import fsspec
from fsspec.implementations import memory

class Bucket(memory.MemoryFileSystem):
    protocol = ("gs", "gcs")
    def __init__(self, **options):
        super().__init__()

for protocol in ("gs", "gcs"):
    fsspec.register_implementation(protocol, Bucket, clobber=True)
data = open(sys.argv[1], "rb").read()
from etils import epath
epath.Path("gs://vocabularies/t5").mkdir(parents=True)
epath.Path("gs://vocabularies/t5/spiece.model").write_bytes(data)
from flantune.data.vocabularies import vocabulary
for name in ("gs://vocabularies/t5/spiece.model", "gs://vocabularies/t5/spiece.model+100"):
    loaded = vocabulary.load(name)
    print(loaded.size, loaded.encode("Sort the dog"))
try:
    vocabulary.load("gs://vocabularies/t5/none.model")
except ValueError as error:
    print(error)
assert "tensorflow" not in sys.modules
"""


def test_a_model_is_read_from_a_bucket(bare):
    pytest.importorskip("fsspec")
    done = subprocess.run(
        [sys.executable, "-c", _FROM_A_BUCKET, bare], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    plain = vocabulary_lib.load(bare)
    ids = plain.encode("Sort the dog")
    lines = done.stdout.splitlines()
    assert lines[:2] == [f"{plain.size} {ids}", f"{plain.size + 100} {ids}"]
    assert "'gs://vocabularies/t5/none.model' does not exist" in lines[2]


# ---- the report


def test_the_report_counts_by_hand():
    found = vocabulary_report.report(vocabulary_lib.load("bytes+100"), ["ab cd\n", "é"])
    assert (found.size, found.sentinels, found.texts) == (359, 100, 2)
    assert found.tokens_per_word == pytest.approx(8 / 3)
    assert found.bytes_per_token == 1
    assert (found.newlines_kept, found.space_runs_kept, found.survive) == (True, True, 1.0)
    assert json.dumps(found.as_json())


def test_the_report_tells_a_vocabulary_that_keeps_structure_from_one_that_does_not(trained, bare):
    texts = ["Sort the words:  cat dog\nAnswer (A)", "Sort the words", "{🙂}"]
    ours = vocabulary_report.report(vocabulary_lib.load(trained), texts)
    theirs = vocabulary_report.report(vocabulary_lib.load(bare), texts)
    assert (ours.newlines_kept, ours.space_runs_kept, ours.survive) == (True, True, 1.0)
    assert (theirs.newlines_kept, theirs.space_runs_kept) == (False, False)
    assert theirs.survive == pytest.approx(1 / 3)
    assert ours.byte_fallback > 0 == ours.unknown
    assert theirs.unknown > 0 == theirs.byte_fallback
    assert (ours.sentinels, theirs.sentinels) == (100, 0)


def test_a_report_needs_text(trained):
    with pytest.raises(ValueError, match="no text"):
        vocabulary_report.report(vocabulary_lib.load(trained), [""])
