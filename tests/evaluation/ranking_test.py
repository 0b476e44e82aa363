"""Ranked options on scores given by hand: normalisations, ties, options with the same tokens, baselines."""

import math

import pytest

from flantune import metrics
from flantune.evaluation import evaluator, generation, ranking
from flantune.inference.scoring import OptionScore

NAMES = ("sum", "per_token", "per_byte", "pmi")


def _example(uid="1", options=("no", "yes"), right=(1,), **changes):
    values = {
        "uid": uid,
        "template_id": 0,
        "inputs": f"Question {uid}",
        "references": tuple(options[place] for place in right),
        "options": options,
        "choices": options,
        "right": right,
        "same_as": tuple(range(len(options))),
        "unconditional_inputs": "Question",
    }
    return ranking.RankingExample(**(values | changes))


def _task(*examples, name="toy:task"):
    return ranking.RankingTask(name=name, cluster="toys", examples=examples)


def _score(log_prob, num_tokens=2, num_bytes=2):
    return OptionScore(log_prob, num_tokens, num_bytes)


def _ranked(example, scores, unconditional=None, metric="rank_accuracy/sum"):
    """The row of an example whose options have these scores; equal ones without the prompt, unless given."""
    if unconditional is None:
        unconditional = [_score(0.0) for _ in scores]
    (row,) = _task(example).rows([scores, unconditional], metric)
    return row


def _accuracies(row):
    return [row.scores[f"rank_accuracy/{name}"] for name in NAMES]


# Log-probability, tokens, bytes; each option is the best under one normalisation and no other.
FOUR = [_score(-2.0, 2, 2), _score(-3.0, 6, 6), _score(-4.0, 5, 40), _score(-9.0, 3, 9)]
FOUR_UNCONDITIONAL = [_score(-2.5), _score(-3.0), _score(-4.0), _score(-14.0)]


@pytest.mark.parametrize(("place", "name"), list(enumerate(NAMES)))
def test_each_normalisation_has_its_own_best_option(place, name):
    options = ("short", "even", "long", "rare")
    row = _ranked(_example(options=options, right=(place,)), FOUR, FOUR_UNCONDITIONAL)
    assert _accuracies(row) == [float(name == other) for other in NAMES]
    assert row.prediction == row.answer == "short"
    row = _ranked(_example(options=options), FOUR, FOUR_UNCONDITIONAL, f"rank_accuracy/{name}")
    assert row.prediction == options[place]


def test_rows_keep_what_was_scored():
    example = _example(options=("(A)", "(B)"), choices=("no", "yes"))
    row = _ranked(example, [_score(-1.5, 4, 3), _score(-0.5, 4, 3)], [_score(-2.0), _score(-3.0)])
    option = row.options[1]
    assert (option.text, option.choice) == ("(B)", "yes")
    assert (option.log_prob, option.unconditional_log_prob) == (-0.5, -3.0)
    assert (option.num_tokens, option.num_bytes) == (4, 3)
    assert row.details()["options"].splitlines()[1].split() == ["-0.50", "(B)", "=", "yes"]


def test_requests_are_each_example_after_its_prompt_and_without_its_fields():
    task = _task(_example("1"), _example("2", options=("a", "b", "c"), right=(0,)))
    assert task.requests() == [
        ("Question 1", ("no", "yes")),
        ("Question", ("no", "yes")),
        ("Question 2", ("a", "b", "c")),
        ("Question", ("a", "b", "c")),
    ]


def test_an_option_that_begins_another_is_not_mistaken_for_it():
    # The model is sure of "12"; a text that it generates starts with "1", the right option.
    row = _ranked(_example(options=("1", "12"), right=(0,)), [_score(-3.0), _score(-0.1, 3)])
    assert row.prediction == "12"
    assert row.scores["rank_accuracy/sum"] == 0.0


def test_options_that_tie_share_the_point():
    options = ("a", "b", "c")
    scores = [_score(-1.0), _score(-1.0 - 1e-9), _score(-1.5)]
    row = _ranked(_example(options=options, right=(1,)), scores)
    assert row.scores["rank_accuracy/sum"] == 0.5
    assert row.num_best["sum"] == 2
    assert row.counted()["ties/sum"]
    wrong = _ranked(_example(options=options, right=(2,)), scores)
    assert wrong.scores["rank_accuracy/sum"] == 0.0
    assert wrong.counted()["ties/sum"]
    different = _ranked(_example(options=options), [_score(-1.0), _score(-1.001), _score(-2.0)])
    assert not different.counted()["ties/sum"]


def test_options_with_the_same_tokens_tie_under_every_normalisation():
    # "é" and "ü" are both unknown here. Their bytes differ from "e e"'s, and the model sees no difference.
    example = _example(options=("é", "e e", "ü ü"), right=(2,), same_as=(0, 1, 0))
    assert example.is_alike
    scores = [_score(-1.0, 2, 2), _score(-5.0, 2, 3), _score(-1.0, 2, 5)]
    row = _ranked(example, scores, [_score(-1.0), _score(-1.0), _score(-1.0)])
    assert _accuracies(row) == [0.5] * 4
    assert row.counted() == {
        "ties/sum": True,
        "ties/per_token": True,
        "ties/per_byte": True,
        "ties/pmi": True,
        "alike": True,
    }


def test_only_a_right_and_a_wrong_option_can_be_alike():
    assert not _example(options=("a", "b", "c"), right=(0,), same_as=(0, 1, 1)).is_alike
    assert not _example(options=("a", "a", "c"), right=(0, 1), same_as=(0, 0, 2)).is_alike
    assert _example(options=("a", "b", "c"), right=(0,), same_as=(0, 0, 2)).is_alike


def test_any_of_several_right_options_will_do():
    example = _example(options=("a", "b", "c"), right=(0, 2))
    assert (
        _ranked(example, [_score(-3.0), _score(-2.0), _score(-1.0)]).scores["rank_accuracy/sum"]
        == 1
    )
    assert (
        _ranked(example, [_score(-3.0), _score(-1.0), _score(-2.0)]).scores["rank_accuracy/sum"]
        == 0
    )


def test_a_model_that_has_diverged_ties_everything():
    row = _ranked(_example(options=("a", "b", "c", "d")), [_score(math.nan)] * 4)
    assert _accuracies(row) == [0.25] * 4
    some = _ranked(_example(), [_score(math.nan), _score(-9.0)])
    assert some.scores["rank_accuracy/sum"] == 1.0


def _means(task):
    suite = evaluator.Suite(tasks=[task], answer=list, metric="rank_accuracy/pmi")
    reports = evaluator.Evaluator({"suite": suite}).baselines()
    assert all(
        len({item.value for item in report.suites[0].metrics.values()}) == 1
        for report in reports.values()
    )
    return {name: report.summary()["suite"] for name, report in reports.items()}


def test_chance_is_the_mean_over_ragged_options():
    task = _task(
        _example("1"),
        _example("2", options=("a", "b", "c", "d"), right=(0,)),
        _example("3", options=("a", "b", "c", "d"), right=(1, 3)),
    )
    assert _means(task)["chance"] == pytest.approx((1 / 2 + 1 / 4 + 2 / 4) / 3)


def test_majority_is_of_the_answer_choice_and_not_of_the_letter_shown():
    # "no" is right three times of four, under another letter each time.
    letters = [("(A)", "(B)"), ("(B)", "(A)"), ("(A)", "(B)"), ("(B)", "(A)")]
    task = _task(
        *(
            _example(str(number), options=shown, right=(int(number == 1),), choices=("no", "yes"))
            for number, shown in enumerate(letters)
        )
    )
    assert _means(task) == {"majority": 0.75, "chance": 0.5}


def test_majority_is_by_position_or_by_text_whichever_is_right_more_often():
    # Choices of each row, in any order: "tea" is right three times, no position more than twice.
    rows = [(("tea", "milk"), 0), (("milk", "tea"), 1), (("tea", "ale"), 0), (("ale", "gin"), 1)]
    task = _task(
        *(
            _example(str(number), options=options, right=(right,))
            for number, (options, right) in enumerate(rows)
        )
    )
    assert _means(task)["majority"] == 0.75
    # Texts that never come twice: the first position is right three times.
    task = _task(
        *(_example(str(n), options=(f"a{n}", f"b{n}"), right=(int(n == 2),)) for n in range(4))
    )
    assert _means(task)["majority"] == 0.75


def test_ranked_and_generated_suites_stand_side_by_side():
    written = generation.GenerationTask(
        name="toy:written",
        cluster="toys",
        metrics=(metrics.exact_match,),
        examples=(
            generation.GenerationExample(
                uid="1", template_id=0, inputs="Copy: a", references=("a",), input_text="a"
            ),
        ),
    )
    calls = []

    def score(params, questions):
        calls.append(len(questions))
        return [[_score(-1.0 - place) for place in range(len(own))] for _, own in questions]

    def suite(*tasks):
        return evaluator.Suite(tasks=tasks, answer=score, metric="rank_accuracy/sum")

    subject = evaluator.Evaluator(
        {
            "first": suite(_task(_example("1", right=(0,)), _example("2"))),
            "written": evaluator.Suite(
                tasks=[written], answer=lambda params, prompts: ["a"], metric="exact_match"
            ),
            "second": suite(_task(_example("1"))),
        }
    )
    found = subject.evaluate(None, 3)
    assert calls == [6]  # both ranked suites in one call
    assert found.summary() == {"first": 0.5, "written": 1.0, "second": 0.0}
    assert found.scalars()["eval/first/toy:task/rank_accuracy/pmi"] == 0.5
    assert found.suites[0].tasks[0].counts == {
        "ties/sum": 0,
        "ties/per_token": 0,
        "ties/per_byte": 0,
        "ties/pmi": 2,  # these scores do not depend on the prompt
        "alike": 0,
    }
    baselines = {name: item.summary() for name, item in subject.baselines().items()}
    assert baselines == {
        "majority": {"first": 0.5, "written": 1.0, "second": 1.0},
        "chance": {"first": 0.5, "second": 0.5},
        "copy": {"written": 1.0},
    }


def test_a_summary_metric_that_ranking_lacks_names_those_it_has():
    suite = evaluator.Suite(tasks=[_task(_example())], answer=list, metric="exact_match")
    with pytest.raises(KeyError, match=r"rank_accuracy/sum, .*EvalSuite\.metric"):
        evaluator.Evaluator({"suite": suite})


def test_unfit_examples_are_refused():
    with pytest.raises(ValueError, match="'toy:task' has no examples to rank"):
        _task()
    with pytest.raises(ValueError, match=r"'1' of task 'toy:task' has an empty option"):
        _task(_example(options=("", "yes")))
    with pytest.raises(ValueError, match=r"has no right option: \('maybe',\) are not among"):
        _task(_example(right=(), references=("maybe",)))
