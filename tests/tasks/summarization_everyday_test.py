"""What the `to_fields` of mails, chats and opinions clean, number and drop."""

import pytest

from tasks import summarization_everyday

TASKS = {task.name.removeprefix("flan2021:"): task for task in summarization_everyday.TASKS}


def test_a_chat_has_a_line_for_each_message_and_words_for_its_files():
    row = {"dialogue": "A: hi <link> <3\r\nB: <file_photo>\n\n", "summary": "Hi."}
    fields = TASKS["samsum"].to_fields(row)
    assert fields["text"] == "A: hi <3\nB: [photo]"
    assert fields["opening"] == "A: hi <3"


def test_at_most_ten_reviews_are_kept_without_empty_ones():
    row = {
        "_movie_name": "the_mill",
        "_critic_consensus": "Fine.",
        "_critics": {"key": list("abcdefghijkl"), "value": [" ", *map(str, range(11))]},
    }
    fields = TASKS["opinion_abstracts_rotten_tomatoes"].to_fields(row)
    assert fields["movie"] == "the mill"
    assert fields["reviews"] == list("0123456789")
    row["_critics"] = {"key": ["a"], "value": [""]}
    assert TASKS["opinion_abstracts_rotten_tomatoes"].to_fields(row) is None


@pytest.mark.parametrize("changes", [{"email_body": " \n"}, {"subject_line": ""}])
def test_mails_without_text_or_subject_are_dropped(changes):
    row = {"email_body": "Jon,\nsee you there.", "subject_line": "Lunch\nat one"}
    assert TASKS["aeslc"].to_fields(row)["answer"] == "Lunch at one"
    assert TASKS["aeslc"].to_fields({**row, **changes}) is None
