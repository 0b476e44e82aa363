"""Fields of the closed-book cluster: the key among ARC's own labels, question marks, aliases."""

from tasks import closed_book_qa

from . import collection


def rows(key):
    return collection.example_rows()[f"flan2021:{key}"]


def test_the_key_of_arc_is_looked_up_among_the_labels_of_the_row():
    fields = closed_book_qa.arc_fields(rows("arc_challenge")[2])
    assert fields["choices"][fields["label"]] == "the height of the drop"


def test_arc_has_four_different_choices_and_a_key_among_them():
    row = rows("arc_easy")[0]
    texts = ["flower", "root", "fruit", "seed"]
    for text, label, key in (
        (texts[:3], [0, 1, 2], 1),
        ([*texts, "leaf"], [0, 1, 2, 3, 4], 1),
        (texts, [0, 1, 2, 3], 4),
        (texts, [0, 1, 2, 3], -1),
        (["root", "root ", "fruit", "seed"], [0, 1, 2, 3], 1),
    ):
        changed = {**row, "choices": {"text": text, "label": label}, "answerKey": key}
        assert closed_book_qa.arc_fields(changed) is None


def test_natural_questions_get_their_mark_and_every_answer_once():
    fields = closed_book_qa.natural_questions_fields(rows("natural_questions")[2])
    assert fields == {
        "question": "how many strings does a double lute have?",
        "answer": ["14", "fourteen"],
    }
    assert closed_book_qa.natural_questions_fields({"question": "who", "answer": []}) is None


def test_trivia_qa_has_the_answer_before_its_aliases_and_drops_hidden_ones():
    first, second, _ = rows("trivia_qa")
    fields = closed_book_qa.trivia_qa_fields(first)
    assert fields["answer"] == ["zorbia", "planet zorbia"]
    assert closed_book_qa.trivia_qa_fields(second)["question"].endswith("stands.")
    hidden = {"normalized_value": "<unk>", "normalized_aliases": []}
    assert closed_book_qa.trivia_qa_fields({**first, "answer": hidden}) is None
