"""Rows of users: split by user, copies and too many of one user marked."""

import json

import pytest

from flantune.data import sources


def by_user(**options):
    given = {"text": "prompt", "max_per_user": 3, "same_prefix": 12, **options}
    return sources.ByUser(rows=sources.Jsonl(all="rows.jsonl"), **given)


def write(tmp_path, rows):
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))


def read(source, tmp_path):
    return {split: list(source.read(split, tmp_path)) for split in source.splits}


def test_every_user_is_in_one_split_and_no_row_is_lost(tmp_path):
    write(tmp_path, [{"prompt": f"{n} of {n % 50}", "user": n % 50} for n in range(150)])
    found = read(by_user(validation_percent=20), tmp_path)
    train, validation = ({row["user"] for row in found[split]} for split in found)
    assert train
    assert validation
    assert not train & validation
    assert sorted(row["prompt"] for rows in found.values() for row in rows) == sorted(
        f"{n} of {n % 50}" for n in range(150)
    )
    assert all(row["left_out"] == "" for rows in found.values() for row in rows)


def test_a_user_stays_in_the_split_whatever_else_the_file_holds(tmp_path):
    rows = [{"prompt": f"prompt {n}", "user": f"u{n}"} for n in range(60)]
    write(tmp_path, rows)
    before = {row["user"] for row in read(by_user(), tmp_path)["validation"]}
    write(tmp_path, rows[::-2])
    after = {row["user"] for row in read(by_user(), tmp_path)["validation"]}
    assert before
    assert after == before & {row["user"] for row in rows[::-2]}


def test_only_the_first_rows_of_a_user_stay(tmp_path):
    write(tmp_path, [{"prompt": f"p{n}", "user": "u"} for n in range(5)])
    rows = read(by_user(validation_percent=0), tmp_path)["train"]
    reason = "the user has 3 already"
    assert [row["left_out"] for row in rows] == ["", "", "", reason, reason]


def test_rows_that_begin_alike_stay_once_whoever_wrote_them_and_do_not_count(tmp_path):
    prompts = [
        "Write a poem about cats.",
        "Write  a\npoem about dogs.",
        "Write a pen",
        "Write a pen",
    ]
    write(tmp_path, [{"prompt": text, "user": n} for n, text in enumerate(prompts)])
    rows = read(by_user(validation_percent=0), tmp_path)["train"]
    first, second = (f"{tmp_path / 'rows.jsonl'}:{line}" for line in (1, 3))
    # Twelve characters: "Write a poem".
    assert [row["left_out"] for row in rows] == [
        "",
        f"begins as {first} does",
        "",
        f"begins as {second} does",
    ]


def test_a_copy_in_the_other_split_counts_too(tmp_path):
    write(tmp_path, [{"prompt": "the same prompt", "user": n} for n in range(60)])
    found = read(by_user(), tmp_path)
    assert all(found.values())
    stays = [row for rows in found.values() for row in rows if not row["left_out"]]
    assert [row["user"] for row in stays] == [0]


def test_rows_without_a_user_are_users_of_their_own(tmp_path):
    write(tmp_path, [{"prompt": f"prompt {n}"} for n in range(100)])
    found = read(by_user(), tmp_path)
    assert 0 < len(found["validation"]) < 30
    assert not [row for rows in found.values() for row in rows if row["left_out"]]


def test_a_chat_is_compared_by_its_turns(tmp_path):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    write(tmp_path, [{"messages": messages, "user": "a"}, {"messages": messages, "user": "b"}])
    source = sources.ByUser(
        rows=sources.Chat(all="rows.jsonl"),
        text="turns",
        max_per_user=3,
        same_prefix=12,
        validation_percent=0,
    )
    kept, copy = source.read("train", tmp_path)
    assert kept["left_out"] == ""
    assert copy["left_out"].startswith("begins as")


def test_a_row_of_another_kind_is_malformed_and_told(tmp_path):
    write(tmp_path, [{"prompt": 3, "user": "u"}, {"prompt": "p", "user": True}, {"prompt": "p"}])
    records = list(by_user(validation_percent=0).records("train", tmp_path))
    assert [record.row is None for record in records] == [True, True, False]
    assert "prompt must be a text or a list of texts" in records[0].problem
    with pytest.raises(ValueError, match=r"rows\.jsonl:1: prompt must be"):
        list(by_user().read("train", tmp_path))


def test_the_fingerprint_follows_the_file_and_the_options(tmp_path):
    assert by_user().fingerprint("train", tmp_path) is None
    write(tmp_path, [{"prompt": "p"}])
    found = by_user().fingerprint("train", tmp_path)
    assert found == by_user().fingerprint("train", tmp_path)
    others = (
        by_user().fingerprint("validation", tmp_path),
        by_user(max_per_user=4).fingerprint("train", tmp_path),
        by_user().content_sha256("train", tmp_path),
    )
    assert len({found, *others}) == 4


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_per_user": 0}, "max_per_user=0; it must be at least 1"),
        ({"validation_percent": 100}, "validation_percent=100; it must be from 0 to 99"),
        ({"rows": sources.Jsonl(train="rows.jsonl")}, "the split 'all'"),
    ],
)
def test_wrong_options_are_told(options, expected):
    given = {"rows": sources.Jsonl(all="r.jsonl"), "text": "p", "max_per_user": 1, "same_prefix": 1}
    with pytest.raises(ValueError, match=expected):
        sources.ByUser(**{**given, **options})
