import random

from hypothesis import given, settings, strategies as st
import pytest

from flantune.audit.overlap import index as overlap, keys as overlap_keys, text as overlap_text
from flantune.audit.overlap.text import Content, Piece
from flantune.data import held_out_plan

LONG = "the old man who sold paper boats at the corner of our street had a parrot"  # 16 words
WORDS = LONG.split()


def scan(contents, *texts, ngram=13):
    """What training rows 0, 1, ... of one text each hold of the evaluation task "e"."""
    index = overlap.Index({"e": contents}, ngram)
    return index.scan((row, [Piece("inputs", text)]) for row, text in enumerate(texts))


def touched(contents, *texts, ngram=13):
    found = scan(contents, *texts, ngram=ngram)
    return [row for one in found for row in (*one.by_ngram, *one.by_text)]


def test_thirteen_words_in_a_row_touch_and_twelve_do_not():
    content = Content(parts=(LONG,))
    assert touched([content], f"Once {' '.join(WORDS[2:15])}, they say.") == [0]
    assert touched([content], f"Once {' '.join(WORDS[2:14])} and no more") == []


def test_case_punctuation_and_line_breaks_do_not_matter():
    text = "The OLD man, who sold paper-boats\nat the corner; of our street: had a parrot!"
    (found,) = scan([Content(parts=(LONG,))], "nothing here", text)
    assert (found.by_ngram, found.by_text, found.training_rows) == ((0,), (), (1,))
    (sample,) = found.samples
    assert (sample.row, sample.training_row, sample.where) == (0, 1, "inputs")
    assert sample.words == " ".join(WORDS[:13])


def test_words_in_another_order_do_not_touch():
    assert touched([Content(parts=(LONG,))], " ".join(reversed(WORDS))) == []


def test_a_short_text_must_be_held_whole():
    question = Content(parts=("What does a parrot eat?",))
    assert touched([question], "Q: what does a parrot eat? A:") == [0]
    assert touched([question], "what does a parrot drink") == []
    assert touched([question], "somewhat does a parrot eaten") == []


def test_texts_below_five_words_are_not_looked_for_and_are_counted():
    index = overlap.Index({"e": [Content(parts=("Yes.",)), Content(parts=(LONG,))]})
    assert index.unchecked() == {"e": (0,)}
    assert index.scan([(0, [Piece("targets", "yes")])]) == []


def test_every_short_part_must_be_in_one_training_row():
    pair = Content(parts=("A man is asleep there.", "The man is wide awake."))
    both = "The man is wide awake. So? A man is asleep there."
    assert touched([pair], both) == [0]
    assert touched([pair], "A man is asleep there.", "The man is wide awake.") == []


def test_parts_that_are_all_tiny_are_looked_for_together():
    words = Content(parts=("red, green", "blue and grey"))
    assert touched([words], "red green blue and grey") == [0]
    assert touched([words], "blue and grey red green") == []


def test_a_short_question_needs_one_of_its_choices():
    question = Content(parts=("Which of these is true?",), choices=("Ice floats.", "Iron floats."))
    assert touched([question], "Which of these is true? (A) 5 (B) 7") == []
    assert touched([question], "Which of these is true? (A) 5 (B) Ice floats.") == [0]


def test_questions_that_only_their_choices_tell_apart_need_them_all():
    stem = "Which of these is true?"
    first = Content(parts=(stem,), choices=("ice floats", "iron floats"))
    second = Content(parts=(stem,), choices=("ice floats", "ice sinks"))
    assert touched([first, second], f"{stem} ice floats, iron floats") == [0]
    assert touched([first, second], f"{stem} ice floats, ice sinks") == [1]


def test_ngrams_run_over_from_the_question_into_the_choices():
    content = Content(parts=(" ".join(WORDS[:10]),), choices=(" ".join(WORDS[10:]),))
    (found,) = scan([content], LONG)
    assert found.by_ngram == (0,)


def test_words_do_not_run_over_from_one_piece_or_row_into_the_next():
    index = overlap.Index({"e": [Content(parts=(LONG,))]})
    halves = [Piece("inputs", " ".join(WORDS[:8])), Piece("targets", " ".join(WORDS[8:]))]
    assert index.scan([(0, halves)]) == []
    assert index.scan([(0, halves[:1]), (1, halves[1:])]) == []


def test_wording_that_a_tenth_of_the_rows_share_is_not_theirs():
    start = "read the following story with care and say which of the two people in it"
    rows = [Content(parts=(f"{start} number{n} name{n} verb{n}",)) for n in range(30)]
    assert touched(rows, f"{start} is right") == []
    own = f"{start} number7 name7 verb7"
    assert touched(rows, own) == []  # only three words of its own
    longer = [Content(parts=(f"{start} n{n} a{n} b{n} c{n} d{n} e{n} f{n}",)) for n in range(30)]
    assert touched(longer, f"{start} n7 a7 b7 c7 d7 e7 f7") == [7]


def test_a_passage_that_few_rows_share_touches_all_of_them():
    contents = [Content(parts=(LONG, f"Who is number {n} in this story?")) for n in range(3)]
    (found,) = scan(contents, LONG)
    assert found.by_ngram == (0, 1, 2)


def test_rows_count_within_their_own_task():
    index = overlap.Index(
        {"a": [Content(parts=("one two three four five",))] * 2, "b": [Content(parts=(LONG,))]}
    )
    found = index.scan([(4, [Piece("inputs", f"{LONG} and one two three four five")])])
    assert [(one.task, one.by_ngram, one.by_text, one.training_rows) for one in found] == [
        ("a", (), (0, 1), (4,)),
        ("b", (0,), (), (4,)),
    ]


def test_words_that_hash_alike_are_not_taken_for_one_another(monkeypatch):
    real = overlap_keys.word_values

    def careless(ids, salt):
        return real(ids.clip(min=1), salt)  # unknown words look like the first known one

    monkeypatch.setattr(overlap_keys, "word_values", careless)
    assert touched([Content(parts=(LONG,))], LONG.replace("at the", "at xylophone")) == []
    assert touched([Content(parts=(LONG,))], LONG) == [0]


def test_two_evaluation_texts_that_hash_alike_are_told_apart_under_another_salt(monkeypatch):
    real = overlap_keys.word_values
    monkeypatch.setattr(overlap_keys, "word_values", lambda ids, salt: real(ids * (salt > 0), salt))
    contents = [
        Content(parts=("one two three four five",)),
        Content(parts=("six seven eight nine ten",)),
    ]
    assert touched(contents, "six seven eight nine ten") == [1]


def naive(contents, texts, ngram):
    """Rows touched, by nested loops over words."""
    found = set()
    for row, content in enumerate(contents):
        words = overlap_text.words_of(content.parts[0])
        long = len(words) >= ngram
        if not long and len(words) < held_out_plan.MIN_WORDS:
            continue
        size = ngram if long else len(words)
        windows = {tuple(words[i : i + size]) for i in range(len(words) - size + 1)}
        for text in texts:
            other = overlap_text.words_of(text)
            if windows & {tuple(other[i : i + size]) for i in range(len(other) - size + 1)}:
                found.add(row)
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(6, 9))
def test_finds_what_nested_loops_find(seed, ngram):
    draw = random.Random(seed)

    def text():
        return " ".join(draw.choice("abc") for _ in range(draw.randrange(1, 20)))

    contents = [Content(parts=(text(),)) for _ in range(8)]  # too few to share any wording
    texts = [text() for _ in range(6)]
    assert sorted(touched(contents, *texts, ngram=ngram)) == naive(contents, texts, ngram)


@pytest.mark.parametrize("batch_words", [1, 40, 1 << 20])
def test_batches_of_any_size_give_the_same(monkeypatch, batch_words):
    monkeypatch.setattr(overlap_text, "_BATCH_WORDS", batch_words)
    contents = [Content(parts=(LONG,)), Content(parts=("what does a parrot eat",))]
    texts = [LONG, "unrelated words", "what does a parrot eat", f"so {LONG}"]
    (found,) = scan(contents, *texts)
    assert (found.by_ngram, found.by_text, found.training_rows) == ((0,), (1,), (0, 2, 3))
