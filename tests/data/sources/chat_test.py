import json
import pickle

import pytest

from flantune.data import sources


def say(*spoken):
    return {"messages": [{"role": role, "content": text} for role, text in spoken]}


TWO_REPLIES = {
    "id": "c1",
    **say(
        ("system", "Be brief."),
        ("user", "Hi!"),
        ("assistant", "Hello."),
        ("user", "Who are you?"),
        ("assistant", "A program."),
    ),
}
FIRST = {
    "id": "c1",
    "system": "Be brief.",
    "turns": ["Hi!"],
    "roles": ["user"],
    "answer": "Hello.",
}
SECOND = {
    "id": "c1",
    "system": "Be brief.",
    "turns": ["Hi!", "Hello.", "Who are you?"],
    "roles": ["user", "assistant", "user"],
    "answer": "A program.",
}


def write(tmp_path, *conversations):
    lines = [item if isinstance(item, str) else json.dumps(item) for item in conversations]
    (tmp_path / "chat.jsonl").write_text("\n".join(lines))


def rows(tmp_path, **options):
    return list(sources.Chat(train="chat.jsonl", **options).read("train", tmp_path))


def problems(tmp_path, *conversations):
    write(tmp_path, *conversations)
    found = sources.Chat(train="chat.jsonl", turns="all").records("train", tmp_path)
    return [
        (record.where.rpartition(":")[2], record.problem) for record in found if record.row is None
    ]


def test_the_last_reply_or_each_of_them(tmp_path):
    write(tmp_path, TWO_REPLIES)
    assert rows(tmp_path) == [SECOND]
    assert rows(tmp_path, turns="all") == [FIRST, SECOND]


def test_without_a_system_message_and_with_a_question_that_nobody_answers(tmp_path):
    write(tmp_path, say(("user", "a"), ("assistant", "b"), ("user", "c")))
    assert rows(tmp_path) == [{"turns": ["a"], "roles": ["user"], "answer": "b", "system": ""}]


def test_an_opening_of_the_assistant_is_a_turn_and_no_reply(tmp_path):
    write(tmp_path, say(("assistant", "Hi!"), ("user", "Hm."), ("assistant", "Yes?")))
    (row,) = rows(tmp_path, turns="all")
    assert (row["turns"], row["roles"], row["answer"]) == (
        ["Hi!", "Hm."],
        ["assistant", "user"],
        "Yes?",
    )


def test_a_slice_takes_conversations(tmp_path):
    write(tmp_path, TWO_REPLIES, say(("user", "a"), ("assistant", "b")), TWO_REPLIES)
    source = sources.Chat(train="chat.jsonl[1:]", held="chat.jsonl[:1]", turns="all")
    assert list(source.read("held", tmp_path)) == [FIRST, SECOND]
    assert [row["answer"] for row in source.read("train", tmp_path)] == [
        "b",
        "Hello.",
        "A program.",
    ]


@pytest.mark.parametrize(
    ("conversation", "problem"),
    [
        ({"mesages": []}, "no key 'messages', only 'mesages'; closest: 'mesages'"),
        ({"messages": None}, "messages is a NoneType, not a list"),
        ({"messages": []}, "no message of the user"),
        ({"messages": ["Hi!"]}, "message 1 is a str, not an object"),
        (say(("user", "a")), "no message of the assistant"),
        (say(("assistant", "a")), "no message of the user"),
        (
            say(("assistant", "a"), ("user", "b")),
            "the assistant speaks only first and replies to nothing",
        ),
        (say(("user", "a"), ("assistant", "")), "message 2 has the content '', not a text"),
        (say(("user", None), ("assistant", "b")), "message 1 has the content None, not a text"),
        (
            say(("user", "a"), ("tool", "b")),
            "message 2 has the role 'tool', not user or assistant",
        ),
        (
            say(("user", "a"), ("system", "b"), ("assistant", "c")),
            "message 2 has the role 'system', not user or assistant",
        ),
        ("{", "not JSON: Expecting property name enclosed in double quotes at column 2"),
    ],
)
def test_malformed_conversations_are_told_with_their_line(tmp_path, conversation, problem):
    assert problems(tmp_path, TWO_REPLIES, conversation, TWO_REPLIES) == [("2", problem)]


def test_wrong_options_are_told_when_it_is_made():
    with pytest.raises(ValueError, match="'last' or 'all'"):
        sources.Chat(train="chat.jsonl", turns="first")


def test_it_can_be_pickled_and_its_fingerprint_knows_the_turns(tmp_path):
    write(tmp_path, TWO_REPLIES)
    last, every = (sources.Chat(train="chat.jsonl", turns=turns) for turns in ("last", "all"))
    assert pickle.loads(pickle.dumps(last)) == last
    assert last.fingerprint("train", tmp_path) != every.fingerprint("train", tmp_path)
