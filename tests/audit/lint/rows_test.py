import numpy as np
import pytest

from flantune import testing
from flantune.audit.lint import rows as lint_rows
from flantune.prompting import Template
from flantune.testing.members import MemoryReader

WORDS = ("red", "green", "blue", "grey")


def found(rows, **changes):
    """{code: message} of rows with a text and an answer or label."""
    arguments = {"templates": [Template(inputs="Read: {text}")], **changes}
    task = testing.make_task("t:rows", {"train": []}, **arguments)
    return {one.code: one.message for one in lint_rows.check(task, MemoryReader(rows))}


def labelled(labels, **fields):
    return [{"text": f"row {i}", "label": label, **fields} for i, label in enumerate(labels)]


def scattered(count):
    """Labels 0 and 1 in no order."""
    return np.random.default_rng(0).integers(0, 2, count).tolist()


def test_ordinary_rows_have_no_findings():
    assert found(labelled(scattered(200)), answer_choices=("no", "yes")) == {}
    assert found([{"text": f"{i}", "answer": f"{i + 1}"} for i in range(30)]) == {}
    assert found([]) == {}


def test_one_answer_for_all_rows():
    message = found(labelled([1] * 20), answer_choices=("no", "yes"))["single_label"]
    assert message == "All 20 rows have the answer 'yes'."
    assert "single_label" in found([{"text": f"{i}", "answer": ["a", "b"]} for i in range(5)])


@pytest.mark.parametrize(("ones", "is_found"), [(96, True), (95, False)])
def test_nearly_one_answer_for_all_rows(ones, is_found):
    labels = np.random.default_rng(1).permutation([1] * ones + [0] * (100 - ones)).tolist()
    codes = found(labelled(labels), answer_choices=("no", "yes"))
    assert ("majority_label" in codes) == is_found
    assert "single_label" not in codes


def test_sorted_files_are_found_and_shuffled_ones_are_not():
    choices = {"answer_choices": WORDS}
    labels = [label for label in range(4) for _ in range(50)]
    assert found(labelled(labels), **choices)["label_sorted"] == (
        "The 200 rows have 4 runs of equal answers, where 151 are to be expected in random order."
    )
    # Alternating labels have too many runs, not too few.
    assert found(labelled([0, 1] * 100), answer_choices=("no", "yes")) == {}
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(labels).tolist()
        assert found(labelled(shuffled), **choices) == {}


def test_the_runs_test_agrees_with_its_textbook_form_for_two_kinds():
    # Wald and Wolfowitz: mean 2 n1 n2 / n + 1, variance (m - 1)(m - 2) / (n - 1).
    answers = np.array([0, 0, 1, 0, 1, 1, 1, 0, 0, 0])
    runs, expected, z = lint_rows.runs_test(answers)
    assert runs == 5
    mean = 2 * 6 * 4 / 10 + 1
    assert expected == pytest.approx(mean)
    assert z == pytest.approx((5 - mean) / ((mean - 1) * (mean - 2) / 9) ** 0.5)


def test_the_runs_test_has_the_moments_of_random_orders():
    kinds = np.array([0] * 20 + [1] * 30 + [2] * 10)
    generator = np.random.default_rng(0)
    scores = [lint_rows.runs_test(generator.permutation(kinds))[2] for _ in range(4000)]
    assert np.mean(scores) == pytest.approx(0, abs=0.06)
    assert np.std(scores) == pytest.approx(1, abs=0.05)


def test_conflicting_and_exact_duplicates():
    rows = [{"text": f"{i}", "answer": f"{i}"} for i in range(8)]
    codes = found([*rows, {"text": "0", "answer": "other"}, rows[1], rows[1]])
    assert codes["conflicting_duplicates"] == (
        "2 of 11 rows share 1 inputs, each with different answers."
    )
    assert codes["exact_duplicates"] == "2 of 11 rows repeat an earlier row, input and answer."


def test_rows_that_differ_in_a_shown_field_are_no_duplicates():
    template = Template(inputs="{text} {other}")
    rows = [{"text": "a", "other": str(i), "answer": "xyz"[i % 3]} for i in range(6)]
    assert "conflicting_duplicates" not in found(rows, templates=[template])
    assert "conflicting_duplicates" in found(rows)  # without {other} the prompts are the same


def test_references_in_another_order_do_not_conflict():
    rows = [{"text": "a", "answer": ["x", "y"]}, {"text": "a", "answer": ["y", "x"]}]
    assert set(found(rows)) == {"exact_duplicates"}


def test_own_choices_are_part_of_the_input():
    rows = [
        {"text": "Which?", "options": options, "label": label}
        for options, label in ((["a", "b"], 0), (["b", "c"], 1))
    ]
    assert found(rows, answer_choices="options") == {}


def test_a_choice_that_a_row_lists_twice():
    rows = [{"text": f"{i}", "options": list("abcab"[: 3 + i]), "label": i} for i in range(3)]
    assert found(rows, answer_choices="options")["repeated_option"] == (
        "2 of 3 rows list a choice twice, 'a' for example."
    )


def test_empty_answers():
    rows = [{"text": "a", "answer": " "}, {"text": "b", "answer": []}, {"text": "c", "answer": "d"}]
    assert found(rows)["empty_answer"] == "2 of 3 rows have an empty answer."


def test_a_label_that_the_text_gives_away():
    rows = [{"text": f"Topic: {WORDS[i % 4]}. {i}", "label": i % 4} for i in range(100)]
    assert found(rows, answer_choices=WORDS)["answer_in_prompt"] == (
        "The right answer stands in the fields of 100% of 100 sampled rows, a wrong one in 0%."
    )
    # All choices in every text, as in a question that lists them, give nothing away.
    listed = [{"text": f"{', '.join(WORDS)}? {i}", "label": i % 4} for i in range(100)]
    assert "answer_in_prompt" not in found(listed, answer_choices=WORDS)
    # Part of a word is not the word.
    parts = [{"text": f"{WORDS[i % 4]}ish {i}", "label": i % 4} for i in range(100)]
    assert "answer_in_prompt" not in found(parts, answer_choices=WORDS)


def test_labels_without_answer_choices_are_recognised():
    rows = [{"text": f"It is {WORDS[i % 4]} {i}", "answer": WORDS[i % 4]} for i in range(100)]
    assert "answer_in_prompt" in found(rows)


def test_answers_that_are_spans_are_only_noted():
    rows = [
        {"text": f"Long ago, {i} grey geese flew.", "answer": f"{i} grey geese"} for i in range(50)
    ]
    assert found(rows)["answer_is_span"] == (
        "In 50 of 50 sampled rows the prompt holds the answer word for word."
    )


def test_a_field_that_is_the_answer():
    rows = [{"text": f"t{i}", "hint": f"Word {i}", "answer": f"word {i}"} for i in range(20)]
    codes = found(rows, templates=[Template(inputs="{text} {hint}")])
    assert codes["field_is_answer"] == "The field 'hint' is the answer in 20 of 20 sampled rows."
    assert "field_is_answer" not in found(rows)  # nobody shows the hint


def test_rows_among_the_solved_examples_of_the_task():
    example = "Input: What is the capital of France?\nOutput: Paris"
    rows = [
        {"text": "What is the capital of France?", "answer": "Paris"},
        {"text": "What is the capital of France?", "answer": "Lyon"},  # not as it is shown
        {"text": "capital", "answer": "Paris"},  # too short to tell
    ]
    codes = found(
        rows, constants={"example": example}, templates=[Template(inputs="{example}{text}")]
    )
    assert codes["row_in_constants"].startswith("1 rows stand")


def test_inversions_do_not_count_as_input():
    templates = [
        Template(inputs="{text}"),
        Template(inputs="{answer}", targets="{text}", kind="inversion"),
    ]
    rows = [{"text": f"t{i}", "answer": f"a{i}"} for i in range(20)]
    assert found(rows, templates=templates) == {}
