"""The evaluator on tasks of a few examples."""

import pytest

from flantune import metrics
from flantune.evaluation import evaluator


def _example(uid, references, *, template_id=0, inputs=None, input_text="", extract=None):
    return evaluator.EvalExample(
        task="toy:task",
        cluster="toys",
        uid=uid,
        template_id=template_id,
        inputs=f"Question {uid}" if inputs is None else inputs,
        references=references,
        input_text=input_text,
        extract=extract,
    )


def _task(examples, *, name="toy:task", cluster="toys", own=(metrics.exact_match,), **settings):
    return evaluator.EvalTask(
        name=name, cluster=cluster, metrics=own, examples=tuple(examples), **settings
    )


def _answers(params, prompts):
    """A model whose parameters are its answers, by prompt."""
    return [params.get(prompt, "") for prompt in prompts]


def _evaluate(task, answers):
    report = evaluator.Evaluator({"suite": [task]}, _answers, "exact_match").evaluate(answers, 1)
    return report.suites[0].tasks[0]


def test_scores_go_to_their_task_suite_and_step():
    first = _task([_example("1", ("a",)), _example("2", ("b",))], name="toy:first")
    second = _task([_example("3", ("c",))], name="toy:second")
    suites = {"seen": [first, second], "unseen": [_task([_example("4", ("d",))])]}
    calls = []

    def predict(params, prompts):
        calls.append(prompts)
        return _answers(params, prompts)

    report = evaluator.Evaluator(suites, predict, "exact_match").evaluate(
        {"Question 1": "a", "Question 3": "c", "Question 4": "no"}, 7
    )
    assert calls == [["Question 1", "Question 2", "Question 3", "Question 4"]]
    assert report.step == 7
    assert report.summary() == {"seen": 0.75, "unseen": 0.0}  # tasks 0.5 and 1 count the same
    assert report.scalars() == {
        "eval/seen/exact_match": 0.75,
        "eval/seen/toy:first/exact_match": 0.5,
        "eval/seen/toy:second/exact_match": 1.0,
        "eval/unseen/exact_match": 0.0,
        "eval/unseen/toy:task/exact_match": 0.0,
    }


def test_clusters_are_means_over_their_tasks():
    tasks = [
        _task([_example("1", ("a",))], name="toy:a", cluster="letters"),
        _task([_example("2", ("2",))], name="toy:b", cluster="numbers"),
        _task([_example("3", ("c",))], name="toy:c", cluster="letters"),
    ]
    report = evaluator.Evaluator({"suite": tasks}, _answers, "exact_match").evaluate(
        {"Question 1": "a"}, 1
    )
    clusters = {
        item.name: (item.num_tasks, item.estimate.value) for item in report.suites[0].clusters
    }
    assert clusters == {"letters": (2, 0.5), "numbers": (1, 0.0)}


def test_templates_are_scored_apart_and_count_the_same():
    examples = [_example(str(i), ("a",), template_id=5 if i < 3 else 2) for i in range(4)]
    result = _evaluate(_task(examples), {"Question 0": "a", "Question 1": "a", "Question 3": "a"})
    by_template = {
        item.template_id: (item.num_examples, item.estimate.value) for item in result.templates
    }
    assert by_template == {2: (1, 1.0), 5: (3, pytest.approx(2 / 3))}
    assert [item.template_id for item in result.templates] == [2, 5]
    assert result.estimate.value == 0.75
    assert result.spread.mean.value == pytest.approx(5 / 6)
    assert result.spread.minimum == pytest.approx(2 / 3)


def test_postprocessing_is_for_predictions_only():
    task = _task([_example("1", ("yes",)), _example("2", ("YES",))], postprocess=str.lower)
    result = _evaluate(task, {"Question 1": "YES", "Question 2": "YES"})
    assert [(row.prediction, row.answer) for row in result.predictions] == [("YES", "yes")] * 2
    assert [row.scores["exact_match"] for row in result.predictions] == [1, 0]


def test_a_prediction_without_an_answer_scores_zero_and_is_counted():
    def extract(text):
        return text.partition("answer is ")[2] or None

    # The second reference is empty: failing to answer must not match it.
    task = _task([_example("1", ("4",), extract=extract), _example("2", ("",), extract=extract)])
    result = _evaluate(task, {"Question 1": "2 + 2, so the answer is 4", "Question 2": "no idea"})
    assert [row.answer for row in result.predictions] == ["4", None]
    assert [row.scores["exact_match"] for row in result.predictions] == [1, 0]
    assert result.num_unanswered == 1


def test_majority_answers_with_the_most_frequent_reference():
    references = ["no", "yes", "maybe", " yes", "no", "yes"]
    task = _task([_example(str(i), (text,)) for i, text in enumerate(references)])
    report = evaluator.Evaluator({"suite": [task]}, _answers, "exact_match").majority()
    assert report.step is None
    assert report.summary() == {"suite": 0.5}


def test_majority_takes_the_first_of_equals_and_counts_an_example_once():
    task = _task([_example("1", ("b", "b", "b")), _example("2", ("a",)), _example("3", ("a", "b"))])
    report = evaluator.Evaluator({"suite": [task]}, _answers, "exact_match").majority()
    rows = report.suites[0].tasks[0].predictions
    assert {row.prediction for row in rows} == {"b"}
    assert report.summary() == {"suite": pytest.approx(2 / 3)}


def test_majority_is_per_task_and_skips_extraction():
    def refuse(text):
        return None

    tasks = [
        _task([_example("1", ("a",), extract=refuse)], name="toy:a"),
        _task([_example("2", ("B",))], name="toy:b", postprocess=str.lower),
    ]
    report = evaluator.Evaluator({"suite": tasks}, _answers, "exact_match").majority()
    assert report.summary() == {"suite": 1.0}


def test_copy_input_answers_with_the_input_text():
    examples = [
        _example("1", ("abc",), input_text="ABC"),
        _example("2", ("cba",), input_text="ABC"),
    ]
    task = _task(examples, postprocess=str.lower)
    report = evaluator.Evaluator({"suite": [task]}, _answers, "exact_match").copy_input()
    assert report.summary() == {"suite": 0.5}


def test_a_suite_reports_the_metrics_that_all_its_tasks_have():
    both = (metrics.exact_match, metrics.rouge_l)
    tasks = [_task([_example("1", ("a b",))], name="toy:a", own=both)]
    report = evaluator.Evaluator({"suite": tasks}, _answers, "rouge_l").evaluate(
        {"Question 1": "a"}, 1
    )
    values = {name: item.value for name, item in report.suites[0].metrics.items()}
    assert values == {"exact_match": 0.0, "rouge_l": pytest.approx(200 / 3)}
    assert report.units == {"exact_match": "fraction", "rouge_l": "percent"}
    tasks.append(_task([_example("2", ("a",))], name="toy:b"))
    report = evaluator.Evaluator({"suite": tasks}, _answers, "exact_match").evaluate({}, 1)
    assert list(report.suites[0].metrics) == ["exact_match"]


def test_results_repeat_and_do_not_depend_on_other_suites():
    task = _task([_example(str(i), ("a",)) for i in range(20)])
    answers = {f"Question {i}": "a" for i in range(0, 20, 3)}
    alone = evaluator.Evaluator({"suite": [task]}, _answers, "exact_match")
    beside = evaluator.Evaluator({"other": [task], "suite": [task]}, _answers, "exact_match")
    assert alone.evaluate(answers, 1) == alone.evaluate(answers, 1)
    assert alone.evaluate(answers, 1).suites[0] == beside.evaluate(answers, 1).suites[1]


def test_a_task_without_the_summary_metric_is_refused_at_once():
    task = _task([_example("1", ("a",))], own=(metrics.rouge_l, metrics.exact_match))
    with pytest.raises(
        KeyError, match=r"toy:task.*rouge_l, exact_match.*Did you mean 'exact_match'"
    ):
        evaluator.Evaluator({"suite": [task]}, _answers, "exact_mach")


@pytest.mark.parametrize(
    ("suites", "message"),
    [
        ({}, "at least one suite"),
        ({"suite": []}, "'suite' has no tasks"),
        ({"untuned": [_task([_example("1", ("a",))])]}, "cannot be named 'untuned'"),
        ({"suite": [_task([_example("1", ("a",))])] * 2}, "'toy:task' more than once"),
    ],
)
def test_unfit_suites_are_refused(suites, message):
    with pytest.raises(ValueError, match=message):
        evaluator.Evaluator(suites, _answers, "exact_match")


def test_unfit_tasks_are_refused():
    with pytest.raises(ValueError, match="'toy:task' has no examples"):
        _task([])
    with pytest.raises(ValueError, match="'1' of task 'toy:task' has no reference"):
        _task([_example("1", ())])
    with pytest.raises(TypeError, match=r"flantune\.metrics\.Metric"):
        _task([_example("1", ("a",))], own=(lambda targets, predictions: {"x": 1.0},))


def test_a_predictor_must_answer_every_prompt():
    task = _task([_example("1", ("a",)), _example("2", ("a",))])
    short = evaluator.Evaluator({"suite": [task]}, lambda params, prompts: ["a"], "exact_match")
    with pytest.raises(ValueError, match="1 predictions for 2 prompts"):
        short.evaluate({}, 1)
