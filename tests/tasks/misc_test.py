"""Fields of the cluster "misc": numbered answers, what counts as no answer, the order of classes, marked words."""

import pytest

from flantune.data import sources
from tasks import misc, text_formatting, trec

from . import collection

TASKS = {task.name: task for module in (misc, text_formatting) for task in module.TASKS}


def rows(key):
    return collection.example_rows()[f"flan2021:{key}"]


def test_coqa_numbers_the_answers_as_its_questions_are_numbered():
    fields = misc.coqa_fields(rows("coqa")[1])
    assert fields["questions"] == [
        "How many ferries go each day?",
        "Who missed it last Friday?",
        "Why?",
    ]
    assert fields["answer"] == "1. one\n2. the baker\n3. He had overslept."


def test_coqa_drops_a_conversation_whose_answers_are_not_all_there():
    row = rows("coqa")[1]
    for texts in (["one", "the baker"], ["one", " ", "He had overslept."]):
        assert misc.coqa_fields({**row, "answers": {"input_text": texts}}) is None


def test_quac_has_the_answer_before_those_of_others_and_no_mark_of_no_answer():
    first, second, _ = (misc.quac_fields(row) for row in rows("quac"))
    assert first["answer"] == ["won a place at the academy in Porto", "the academy in Porto"]
    assert first["context"].endswith("with her brother.")
    assert second["question"] == "What did she record there?"
    assert second["answer"] == ["unanswerable"]


def test_trec_answers_with_the_type_that_tfds_means():
    features = collection.tfds_features()["trec"]["features"]["label-coarse"]["labels"]
    choices = TASKS["flan2021:trec"].answer_choices
    answers = [
        choices[misc.trec_fields({"text": "Who ?", "label-coarse": label})["label"]]
        for label in range(len(features))
    ]
    assert answers == [trec.TYPES[name] for name in features]
    assert misc.trec_fields({"text": "Who ?", "label-coarse": -1}) is None


@pytest.mark.parametrize(
    ("sentence", "opening"),
    [
        ("The children were given a kite.", "The children"),
        ("She has left already.", "She"),
        ("Go!", "Go!"),
    ],
)
def test_cola_gives_away_at_most_a_third_of_a_sentence_to_write(sentence, opening):
    assert misc.cola_fields({"sentence": sentence, "label": 1})["opening"] == opening


def test_wic_marks_the_word_as_it_is_inflected_and_drops_hidden_labels():
    row = rows("wic")[2]
    fields = misc.wic_fields(row)
    assert fields["marked1"] == "A *bright* lamp stood in the hall."
    assert fields["marked2"] == "It was the *brightest* pupil's idea."
    assert misc.wic_fields({**row, "label": -1}) is None


@pytest.mark.parametrize(
    ("to_fields", "text", "spoilt"),
    [
        (text_formatting.fix_punct_fields, 'He said: "3 + 4, or so".', "He said 3 + 4 or so"),
        (text_formatting.fix_punct_fields, "No mark here", None),
        (text_formatting.fix_punct_fields, "...", None),
        (text_formatting.true_case_fields, "Élan in Oslo", "élan in oslo"),
        (text_formatting.true_case_fields, "all small", None),
        (text_formatting.word_segment_fields, " one  word ", "oneword"),
        (text_formatting.word_segment_fields, "word", "word"),
        (text_formatting.word_segment_fields, " ", None),
    ],
)
def test_texts_lose_what_the_task_wants_back(to_fields, text, spoilt):
    fields = to_fields({"en": text, "da": "-"})
    assert fields == (spoilt and {"spoilt": spoilt, "answer": " ".join(text.split())})


def test_text_formatting_trains_on_rows_that_the_others_do_not_have():
    taken = []
    for task in text_formatting.TASKS:
        assert isinstance(task.source, sources.Tfds)
        splits = dict(task.source.tfds_splits)
        assert splits.pop("test") == "train[-3000:]"
        for split in splits.values():
            first, last = split.removeprefix("train[").removesuffix("]").split(":")
            taken.append(range(int(first or 0), int(last)))
    assert sorted(map(len, taken)) == [200] * 3 + [30_000] * 3
    assert len({row for part in taken for row in part}) == 3 * 30_200
