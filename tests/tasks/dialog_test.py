"""Dialogs of the Flan Collection: which reply is asked for, and what stands before it."""

from flantune.prompting import choice, rendering, settings
from tasks import dialog

from . import collection

QRECC, WIKI = dialog.TASKS


def rows(key):
    return collection.example_rows()[f"dialog:{key}"]


def test_a_reply_of_the_second_speaker_is_asked_for_after_all_that_was_said_before():
    for row in rows("qrecc"):
        said = [*row["context"], row["question"], row["answer"]]
        fields = dialog.qrecc_fields(row)
        place = len(fields["turns"])
        assert place % 2 == 1
        assert [*fields["turns"], fields["answer"]] == said[: place + 1]
        assert fields["roles"] == [("asks", "replies")[number % 2] for number in range(place)]
        assert dialog.qrecc_fields(row) == fields  # drawn once and for all


def test_replies_are_drawn_from_the_whole_conversation():
    row = rows("qrecc")[0]
    places = {
        len(dialog.qrecc_fields({**row, "conversation_id": number})["turns"])
        for number in range(200)
    }
    assert places == {1, 3, 5, 7, 9, 11, 13}


def test_qrecc_uses_rows_from_the_seventh_question_on():
    assert dialog.qrecc_fields({**rows("qrecc")[0], "turn_id": 6}) is None


def test_qrecc_asks_for_no_reply_after_silence():
    row = {**rows("qrecc")[0], "answer": ""}
    row["context"] = ["Who?", "Ann.", "When?", "", *row["context"][4:]]
    for number in range(20):
        fields = dialog.qrecc_fields({**row, "conversation_id": number})
        assert (fields["turns"], fields["answer"]) == (["Who?"], "Ann.")
    row["context"][1] = " "
    assert dialog.qrecc_fields(row) is None


def test_wiki_dialog_leaves_out_the_greeting_and_asks_for_one_of_the_first_20_replies():
    (row,) = rows("wiki_dialog")[2:]
    assert dialog.wiki_dialog_fields(row) == {
        "turns": ["How many holes does it have?"],
        "roles": ["asks"],
        "answer": "The tin whistle has six holes for the fingers.",
    }
    long = ["Hello.", *(f"Turn {number}" for number in range(100))]
    answers = {
        dialog.wiki_dialog_fields({"utterances": long, "pid": str(number)})["answer"]
        for number in range(400)
    }
    assert answers == {f"Turn {number}" for number in range(1, 40, 2)}
    assert dialog.wiki_dialog_fields({"utterances": ["Hello."], "pid": "1"}) is None


def test_an_inversion_asks_for_the_dialog():
    (inverted, *_) = rendering.usable_templates(
        WIKI.templates, "training", settings.parse("inversion")
    )
    prompt = rendering.render(
        templates=WIKI.templates,
        usable=(inverted,),
        fields={"turns": ["Why?"], "roles": ["asks"], "answer": "Because."},
        constants={},
        answer_choices=None,
        setting=settings.parse("inversion"),
        chooser=choice.Chooser(0, 0, "row"),
    )
    assert prompt.inputs.startswith("Because.")
    assert "Why?" in prompt.targets
    assert "Why?" not in prompt.inputs


def test_published_rows():
    assert QRECC.published_rows == {"train": 10_170}
    assert WIKI.published_rows == {"train": 11_264_000}
