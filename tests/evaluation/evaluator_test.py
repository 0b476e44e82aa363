"""The evaluator on tasks of a few examples."""

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


def test_scores_go_to_their_task_suite_and_step():
    first = _task([_example("1", ("a",)), _example("2", ("b",))], name="toy:first")
    second = _task([_example("3", ("c",))], name="toy:second")
    suites = {"seen": [first, second], "unseen": [_task([_example("4", ("d",))])]}
    calls = []

    def predict(params, prompts):
        calls.append(prompts)
        return _answers(params, prompts)

    report = _evaluator(suites, predict).evaluate(
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
    report = _evaluator({"suite": tasks}).evaluate({"Question 1": "a"}, 1)
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


def test_a_suite_reports_the_metrics_that_all_its_tasks_have():
    both = (metrics.exact_match, metrics.rouge_l)
    tasks = [_task([_example("1", ("a b",))], name="toy:a", own=both)]
    report = _evaluator({"suite": tasks}, metric="rouge_l").evaluate({"Question 1": "a"}, 1)
    values = {name: item.value for name, item in report.suites[0].metrics.items()}
    assert values == {"exact_match": 0.0, "rouge_l": pytest.approx(200 / 3)}
    assert report.units == {"exact_match": "fraction", "rouge_l": "percent"}
    tasks.append(_task([_example("2", ("a",))], name="toy:b"))
    report = _evaluator({"suite": tasks}).evaluate({}, 1)
    assert list(report.suites[0].metrics) == ["exact_match"]


def test_a_metric_of_all_examples_is_no_mean_and_has_intervals_and_templates():
    examples = [
        _example("1", ("a b c d e", "x"), template_id=0),
        _example("2", ("f g h i j",), template_id=1),
        _example("3", ("k l m n o",), template_id=1, extract=lambda text: None),
    ]
    task = _task(examples, own=(metrics.bleu, metrics.exact_match))
    answers = {"Question 1": "a b c d e", "Question 2": "f g h x x", "Question 3": "k l m n o"}
    report = _evaluator({"suite": [task]}, metric="bleu").evaluate(answers, 1)
    (result,) = report.suites[0].tasks
    given = ["a b c d e", "f g h x x", ""]  # the third is not found in its prediction
    expected = metrics.bleu([one.references for one in examples], given)["bleu"]
    assert result.estimate.value == pytest.approx(expected)
    assert result.estimate.low < expected < result.estimate.high
    assert [item.estimate.value for item in result.templates] == [
        pytest.approx(100),
        pytest.approx(metrics.bleu([("f g h i j",), ("k l m n o",)], given[1:])["bleu"]),
    ]
    assert result.metrics["exact_match"].value == pytest.approx(1 / 3)
    assert dict(result.predictions[0].scores) == {"exact_match": 1.0}
    assert report.units == {"bleu": "percent", "exact_match": "fraction"}
    assert report.scalars()["eval/suite/toy:task/bleu"] == pytest.approx(expected)


def test_results_repeat_and_do_not_depend_on_other_suites():
    task = _task([_example(str(i), ("a",)) for i in range(20)])
    answers = {f"Question {i}": "a" for i in range(0, 20, 3)}
    alone = _evaluator({"suite": [task]})
    beside = _evaluator({"other": [task], "suite": [task]})
    assert alone.evaluate(answers, 1) == alone.evaluate(answers, 1)
    assert alone.evaluate(answers, 1).suites[0] == beside.evaluate(answers, 1).suites[1]


def test_a_task_without_the_summary_metric_is_refused_at_once():
    task = _task([_example("1", ("a",))], own=(metrics.rouge_l, metrics.exact_match))
    with pytest.raises(
        KeyError, match=r"toy:task.*rouge_l, exact_match.*Did you mean 'exact_match'"
    ):
        _evaluator({"suite": [task]}, metric="exact_mach")


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
        _evaluator(suites)


def test_a_predictor_must_answer_every_prompt():
    task = _task([_example("1", ("a",)), _example("2", ("a",))])
    short = _evaluator({"suite": [task]}, lambda params, prompts: ["a"])
    with pytest.raises(ValueError, match="1 replies to 2 requests"):
        short.evaluate({}, 1)
