"""Fields of Cosmos QA and ReCoRD: gaps, bullet points, names, and rows that make no task."""

from tasks import reading_comprehension_with_commonsense

from . import collection


def rows(key):
    return collection.example_rows()[f"flan2021:{key}"]


def test_record_has_a_gap_no_bullet_points_and_every_right_name():
    fields = reading_comprehension_with_commonsense.record_fields(rows("record")[1])
    assert fields == {
        "passage": "A storm hit the island of Verra. The islanders moved into the school of Port Hale, and the navy of "
        "Osland sent two ships.",
        "sentence": "According to officials, no one on _ was hurt.",
        "names": ["Osland", "Port Hale", "Verra", "Verra Island"],
        "answer": ["Verra", "Verra Island"],
    }


def test_record_needs_a_gap_and_an_answer_among_its_names():
    row = rows("record")[0]
    for change in ({"answers": []}, {"answers": ["Nobody"]}, {"query": "Nothing is missing."}):
        assert reading_comprehension_with_commonsense.record_fields({**row, **change}) is None


def test_cosmos_qa_needs_a_label_and_four_different_answers():
    row = rows("cosmos_qa")[1]
    fields = reading_comprehension_with_commonsense.cosmos_qa_fields(row)
    assert fields["question"] == "Why did I take a blanket?"
    assert fields["choices"][fields["label"]] == "She might be cold."
    for change in ({"label": -1}, {"answer0": "She might be cold. "}):
        assert reading_comprehension_with_commonsense.cosmos_qa_fields({**row, **change}) is None
