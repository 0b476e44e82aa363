"""Rows of one input become one row; no group is in two splits, and nothing is lost."""

import collections
import dataclasses
import json
import pathlib

from hypothesis import given, strategies as st
import pytest

from flantune import testing
from flantune.data import sources
from flantune.prompting import Template

QA = [
    {"question": "Who?", "answer": "Ada"},
    {"question": "When?", "answer": "1843"},
    {"question": "Who?", "answer": "A. Lovelace"},
    {"question": "Who?", "answer": "Ada"},
]
HERE = pathlib.Path()
PERCENT = {"train": "all[:70%]", "validation": "all[70%:85.5%]", "test": "all[85.5%:]"}


def grouped(rows, *, by="question", collect="answer", **options):
    return sources.Grouped(sources.InMemory(all=rows), by=by, collect=collect, **options)


def problems(source, split="all"):
    return [one.problem for one in source.records(split, HERE) if one.row is None]


def test_rows_of_one_input_become_one_row_where_the_first_stood():
    assert list(grouped(QA).read("all", HERE)) == [
        {"question": "Who?", "answer": ["Ada", "A. Lovelace"]},
        {"question": "When?", "answer": ["1843"]},
    ]


def test_lists_count_as_their_items_and_null_as_nothing():
    rows = [
        {"q": "a", "answer": ["x", "y"], "alias": None},
        {"q": "a", "answer": "y", "alias": ["z"]},
        {"q": "b", "answer": [], "alias": None},
    ]
    assert list(grouped(rows, by="q", collect=("answer", "alias")).read("all", HERE)) == [
        {"q": "a", "answer": ["x", "y"], "alias": ["z"]},
        {"q": "b", "answer": [], "alias": []},
    ]


def test_several_fields_are_a_key_and_values_of_other_types_are_other_keys():
    keys = [("p", "q"), ("pq", ""), ("p", 1), ("p", "1"), ("p", True), ("p", None), ("p", "q")]
    rows = [{"a": a, "b": b, "answer": n} for n, (a, b) in enumerate(keys)]
    found = list(grouped(rows, by=("a", "b")).read("all", HERE))
    assert [row["answer"] for row in found] == [[0, 6], [1], [2], [3], [4], [5]]


def test_another_field_must_be_the_same_unless_the_first_is_asked_for():
    rows = [{**row, "id": n, "text": "t"} for n, row in enumerate(QA)]
    (first, second) = problems(grouped(rows))
    assert first == (
        "'id' is 2, but 0 in all:0, which has the same 'question': name it in by, collect or first of Grouped"
    )
    assert second.startswith("'id' is 3")
    found = list(grouped(rows, first="id").read("all", HERE))
    assert [(row["id"], row["text"], len(row["answer"])) for row in found] == [
        (0, "t", 2),
        (1, "t", 1),
    ]
    rows[2].pop("text")
    assert problems(grouped(rows, first="id")) == [
        "'text' is absent, but \"t\" in all:0, which has the same 'question': name it in by, collect or first of Grouped"
    ]


def test_rows_that_belong_to_no_group_are_malformed_once(tmp_path):
    lines = ['{"question": "a", "answer": "x"}', "{", '{"questions": "a", "answer": "x"}']
    lines += ['{"question": " ", "answer": "x"}', '{"question": null, "answer": "x"}']
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    source = sources.Grouped(
        sources.Jsonl(all="a.jsonl"), by="question", collect="answer", a="all[:50%]", b="all[50%:]"
    )
    found = {split: list(source.records(split, tmp_path)) for split in source.splits}
    bad = [(one.where, one.problem) for one in found["a"] if one.row is None]
    assert [where.rpartition(":")[2] for where, _ in bad] == ["2", "3", "4", "5"]
    assert bad[1][1] == "no field 'question', only 'questions', 'answer'; closest: 'questions'"
    assert bad[2][1] == bad[3][1] == "'question' empty: rows without a key are no group"
    assert [one.row for one in found["b"] if one.row is None] == []
    good = [one.where for own in found.values() for one in own if one.row is not None]
    assert good == [f"{tmp_path / 'a.jsonl'}:1"]


def test_places_count_groups_as_a_python_slice():
    rows = [{"question": f"q{n % 7}", "answer": n} for n in range(20)]
    expected = [f"q{n}" for n in range(7)]
    for bound in (0, 2, -3, 9):
        source = grouped(rows, head=f"all[:{bound}]", tail=f"all[{bound}:]")
        assert [row["question"] for row in source.read("head", HERE)] == expected[:bound]
        assert [row["question"] for row in source.read("tail", HERE)] == expected[bound:]


KEYS = st.text("ab", min_size=1, max_size=3)
ROWS = st.lists(
    st.builds(lambda key, answer: {"question": key, "answer": answer}, KEYS, st.integers(0, 9)),
    max_size=40,
)


def pairs(source):
    """By split, the answers of each question."""
    found = {}
    for split in source.splits:
        rows = list(source.read(split, HERE))
        found[split] = {row["question"]: set(row["answer"]) for row in rows}
        assert len(found[split]) == len(rows)
        assert all(len(row["answer"]) == len(set(row["answer"])) for row in rows)
    return found


@given(rows=ROWS, data=st.data())
def test_no_group_is_in_two_splits_and_nothing_is_lost_in_any_order(rows, data):
    expected = collections.defaultdict(set)
    for row in rows:
        expected[row["question"]].add(row["answer"])
    by_hash = pairs(grouped(rows, **PERCENT))
    by_place = pairs(grouped(rows, test="all[:3]", train="all[3:]"))
    for found in (by_hash, by_place):
        assert sum(map(len, found.values())) == len(expected)
        assert {key: value for own in found.values() for key, value in own.items()} == expected
    shuffled = data.draw(st.permutations(rows))
    assert pairs(grouped(shuffled, **PERCENT)) == by_hash


@given(rows=ROWS, more=ROWS)
def test_a_group_stays_in_its_split_whatever_else_the_file_holds(rows, more):
    before, after = (pairs(grouped(own, **PERCENT)) for own in (rows, more + rows))
    for split, own in before.items():
        assert own.keys() <= after[split].keys()


@given(rows=ROWS)
def test_groups_stand_in_the_order_in_which_they_first_appear(rows):
    (found,) = pairs(grouped(rows)).values()
    assert list(found) == list(dict.fromkeys(row["question"] for row in rows))
    whole = list(grouped(rows).read("all", HERE))
    for row in whole:
        own = [one["answer"] for one in rows if one["question"] == row["question"]]
        assert row["answer"] == list(dict.fromkeys(own))


def test_shares_of_hash_slices_are_about_what_they_say():
    rows = [{"question": f"q{n}", "answer": n} for n in range(2000)]
    sizes = {split: len(own) for split, own in pairs(grouped(rows, **PERCENT)).items()}
    assert sum(sizes.values()) == 2000
    # Three deviations of 2,000 draws of 70 % are 61.
    assert abs(sizes["train"] - 1400) < 62
    assert abs(sizes["validation"] - 310) < 49
    edges = pairs(grouped(rows, none="all[:0%]", every="all[0%:100%]", last="all[100%:]"))
    assert [len(own) for own in edges.values()] == [0, 2000, 0]


def test_splits_of_the_source_are_grouped_each_for_itself():
    source = sources.Grouped(
        sources.InMemory(train=QA, test=QA[:1]), by="question", collect="answer"
    )
    assert source.splits == ("train", "test")
    assert list(source.read("test", HERE)) == [{"question": "Who?", "answer": ["Ada"]}]


def test_a_task_over_groups_is_prepared(tmp_path):
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, QA)))
    source = sources.Grouped(
        sources.Jsonl(all="a.jsonl"), by="question", collect="answer", train="all"
    )
    task = testing.make_task(
        "g:qa", {"train": []}, templates=[Template(inputs="{question}")], to_fields=dict
    )
    task = dataclasses.replace(task, source=source)
    store = testing.prepare([task], tmp_path)
    manifest = store.manifest(task, "train")
    assert store.reader(manifest).fetch(range(2)) == list(source.read("train", tmp_path))
    assert manifest.source["splits"] == {"train": "all"}
    assert manifest.content_sha256 == source.content_sha256("train", tmp_path)


def test_the_fingerprint_follows_the_file_and_the_options(tmp_path):
    def source(**options):
        given = {"by": "question", "collect": "answer", "train": "all[:90%]", "test": "all[90%:]"}
        return sources.Grouped(sources.Jsonl(all="a.jsonl"), **{**given, **options})

    assert source().fingerprint("train", tmp_path) is None
    assert source().content_sha256("train", tmp_path) is None
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, QA)))
    found = [
        source().fingerprint("train", tmp_path),
        source().fingerprint("test", tmp_path),
        source(train="all[:80%]").fingerprint("train", tmp_path),
        source(first="id").fingerprint("train", tmp_path),
        source().content_sha256("train", tmp_path),
    ]
    assert len(set(found)) == len(found)
    assert found[0] == source().fingerprint("train", tmp_path)
    assert grouped(QA).content_sha256("all", HERE) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"by": ()}, "needs a field in by"),
        ({"collect": ()}, "needs a field in collect"),
        ({"collect": ("answer", "question")}, "'question' twice"),
        ({"train": "al[:90%]"}, "'al', which does not exist. Did you mean 'all'"),
        (
            {"train": "all[:90%]", "test": "all[80%:]"},
            r"all\[:90%\] and all\[80%:\], which overlap",
        ),
        ({"train": "all", "test": "all[90%:]"}, r"all and all\[90%:\], which overlap"),
        ({"train": "all[:90%]", "test": "all[100:]"}, "goes by the hash"),
        ({"train": "all[10:]", "test": "all[:11]"}, "overlap"),
        ({"train": "all[:90]%"}, "does not exist"),
        ({"train": "all[:101%]"}, "from 0% to 100%"),
        ({"train": "all[1:90%]"}, "is no slice of groups"),
        ({"train": "all[:x]"}, "is no slice of groups"),
    ],
)
def test_wrong_options_are_told(options, expected):
    with pytest.raises((ValueError, KeyError), match=expected):
        grouped(QA, **options)


def test_places_from_the_end_that_overlap_are_told_when_the_groups_are_counted():
    source = grouped(QA, train="all[1:]", test="all[-2:]")
    with pytest.raises(ValueError, match="overlap"):
        list(source.read("train", HERE))
    with pytest.raises(KeyError, match="no split 'dev'"):
        list(source.read("dev", HERE))


def test_a_source_that_changes_between_the_two_passes_is_told():
    counts = iter([3, 4, 4, 3])
    source = grouped(lambda: QA[: next(counts)])
    for _ in range(2):
        with pytest.raises(ValueError, match="changed while it was grouped"):
            list(source.read("all", HERE))
