"""Tasks whose answers are written: extraction, postprocessing, and what the baselines answer."""

import pytest

from flantune import metrics
from flantune.evaluation import evaluator, generation


def _example(uid, references, *, template_id=0, inputs=None, input_text="", extract=None):
    return generation.GenerationExample(
        uid=uid,
        template_id=template_id,
        inputs=f"Question {uid}" if inputs is None else inputs,
        references=references,
        input_text=input_text,
        extract=extract,
    )


def _task(examples, *, name="toy:task", cluster="toys", own=(metrics.exact_match,), **settings):
    return generation.GenerationTask(
        name=name, cluster=cluster, metrics=own, examples=tuple(examples), **settings
    )


def _answers(params, prompts):
    """A model whose parameters are its answers, by prompt."""
    return [params.get(prompt, "") for prompt in prompts]


def _evaluator(suites, predict=_answers, metric="exact_match"):
    return evaluator.Evaluator(
        {
            name: evaluator.Suite(tasks=tasks, answer=predict, metric=metric)
            for name, tasks in suites.items()
        }
    )


def _evaluate(task, answers):
    report = _evaluator({"suite": [task]}).evaluate(answers, 1)
    return report.suites[0].tasks[0]


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
    assert result.counts == {"unanswered": 1}


def test_a_prediction_without_an_answer_has_the_largest_distance():
    task = _task(
        [_example("1", ("a b",), extract=lambda text: None), _example("2", ("a b",))],
        own=(metrics.edit_distance, metrics.exact_match),
    )
    result = _evaluate(task, {"Question 1": "a b", "Question 2": "a c"})
    assert [row.scores["edit_distance"] for row in result.predictions] == [1, 0.5]


def test_majority_answers_with_the_most_frequent_reference():
    references = ["no", "yes", "maybe", " yes", "no", "yes"]
    task = _task([_example(str(i), (text,)) for i, text in enumerate(references)])
    report = _evaluator({"suite": [task]}).baselines()["majority"]
    assert report.step is None
    assert report.summary() == {"suite": 0.5}


def test_majority_takes_the_first_of_equals_and_counts_an_example_once():
    task = _task([_example("1", ("b", "b", "b")), _example("2", ("a",)), _example("3", ("a", "b"))])
    report = _evaluator({"suite": [task]}).baselines()["majority"]
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
    report = _evaluator({"suite": tasks}).baselines()["majority"]
    assert report.summary() == {"suite": 1.0}


def test_copy_input_answers_with_the_input_text():
    examples = [
        _example("1", ("abc",), input_text="ABC"),
        _example("2", ("cba",), input_text="ABC"),
    ]
    task = _task(examples, postprocess=str.lower)
    report = _evaluator({"suite": [task]}).baselines()["copy"]
    assert report.summary() == {"suite": 0.5}


def test_unfit_tasks_are_refused():
    with pytest.raises(ValueError, match="'toy:task' has no examples"):
        _task([])
    with pytest.raises(ValueError, match="'1' of task 'toy:task' has no reference"):
        _task([_example("1", ())])
    with pytest.raises(TypeError, match=r"(?s)Metric.*CorpusMetric"):
        _task([_example("1", ("a",))], own=(lambda targets, predictions: {"x": 1.0},))
