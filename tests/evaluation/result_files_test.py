"""Results of a step in a run folder: written, added to, replaced and read back."""

import dataclasses
import json

import pytest

from flantune import metrics
from flantune.evaluation import evaluator, generation, ranking, result_files
from flantune.evaluation.results import Results
from flantune.inference.scoring import OptionScore


def _task(name, references, own=(metrics.exact_match,)):
    examples = tuple(
        generation.GenerationExample(
            uid=f"{name}/{i}",
            template_id=i % 2,
            inputs=f"Say {reference}",
            references=(reference,),
            input_text="c",
        )
        for i, reference in enumerate(references)
    )
    return generation.GenerationTask(name=name, cluster="c", metrics=own, examples=examples)


def _results(suites, answer="a", step=5, with_untuned=False):
    """Results of a model that always gives one answer; `suites` are tasks by name."""
    subject = evaluator.Evaluator(
        {
            name: evaluator.Suite(
                tasks=tasks,
                answer=lambda params, prompts: [params] * len(prompts),
                metric=tasks[0].metrics[0].name,
            )
            for name, tasks in suites.items()
        },
        num_resamples=20,
    )
    baselines = {"untuned": subject.evaluate("", 0)} if with_untuned else {}
    return Results(
        tuned=subject.evaluate(answer, step), baselines=baselines | dict(subject.baselines())
    )


SEEN = {"seen": [_task("t:x#few_shot", "aab")]}
OTHER = {"other": [_task("t:y", "bbba", own=(metrics.rouge_l,))]}


def _predictions(folder):
    paths = (folder / "predictions").rglob("*.jsonl")
    return {str(path.relative_to(folder / "predictions")): path.read_text() for path in paths}


def test_predictions_are_written_by_suite_and_task(tmp_path):
    results = _results(SEEN | OTHER)
    written = result_files.write(tmp_path, results)
    folder = tmp_path / "eval" / "5"
    assert (written.folder, written.suites) == (str(folder), ("seen", "other"))
    assert json.loads((folder / "report.json").read_text()) == json.loads(
        json.dumps(results.tuned.as_json())
    )
    found = _predictions(folder)
    assert set(found) == {"seen/t%3Ax%23few_shot.jsonl", "other/t%3Ay.jsonl"}
    rows = [json.loads(line) for line in found["seen/t%3Ax%23few_shot.jsonl"].splitlines()]
    assert len(rows) == 3
    assert rows[1] == {
        "uid": "t:x#few_shot/1",
        "template_id": 1,
        "inputs": "Say a",
        "references": ["a"],
        "prediction": "a",
        "answer": "a",
        "scores": {"exact_match": 1.0},
    }


def _without_predictions(report):
    suites = (
        dataclasses.replace(
            suite, tasks=tuple(dataclasses.replace(task, predictions=()) for task in suite.tasks)
        )
        for suite in report.suites
    )
    return dataclasses.replace(report, suites=tuple(suites))


def test_what_was_written_is_read_back(tmp_path):
    results = _results(SEEN | OTHER, with_untuned=True)
    result_files.write(tmp_path, results)
    found = result_files.read(tmp_path, 5)
    assert found.tuned == _without_predictions(results.tuned)
    assert found.baselines == {
        name: _without_predictions(item) for name, item in results.baselines.items()
    }
    (task,) = result_files.read(tmp_path, 5, predictions=2).tuned.suites[0].tasks
    assert task.predictions == results.tuned.suites[0].tasks[0].predictions[:2]


def test_ranked_rows_are_read_back_too(tmp_path):
    example = ranking.RankingExample(
        uid="0",
        template_id=0,
        inputs="?",
        references=("A",),
        options=("A", "B"),
        choices=("ham", "eggs"),
        right=(0,),
        same_as=(0, 1),
        unconditional_inputs="",
    )
    task = ranking.RankingTask(name="t:r", cluster="c", examples=(example,))
    suite = evaluator.Suite(
        tasks=[task],
        answer=lambda params, questions: [
            [OptionScore(-1.0, 1, 1), OptionScore(-2.0, 1, 1)] for _ in questions
        ],
        metric="rank_accuracy/sum",
    )
    tuned = evaluator.Evaluator({"ranked": suite}, num_resamples=20).evaluate(None, 7)
    result_files.write(tmp_path, Results(tuned=tuned, baselines={}))
    assert result_files.read(tmp_path, 7, predictions=9).tuned == tuned
    line = json.loads((tmp_path / "eval/7/predictions/ranked/t%3Ar.jsonl").read_text())
    assert (line["prediction"], line["right"]) == ("A", [0])
    assert line["options"][1] == {
        "text": "B",
        "choice": "eggs",
        "log_prob": -2.0,
        "unconditional_log_prob": -2.0,
        "num_tokens": 1,
        "num_bytes": 1,
    }


def test_suites_of_other_names_stay_and_one_of_the_same_name_is_replaced(tmp_path):
    result_files.write(tmp_path, _results(SEEN, with_untuned=True))
    added = result_files.write(tmp_path, _results(OTHER), keep_others=True)
    assert (added.suites, added.replaced, added.kept) == (("other",), (), ("seen",))
    found = result_files.read(tmp_path, 5)
    assert [suite.name for suite in found.tuned.suites] == ["seen", "other"]
    assert set(found.tuned.units) == {"exact_match", "rouge_l"}
    assert found.baselines["majority"].summary() == {
        "seen": pytest.approx(2 / 3),
        "other": pytest.approx(75.0),
    }
    again = result_files.write(tmp_path, _results(SEEN, answer="b"), keep_others=True)
    assert (again.suites, again.replaced, again.kept) == (("seen",), ("seen",), ("other",))
    found = result_files.read(tmp_path, 5)
    assert found.tuned.summary() == {"seen": pytest.approx(1 / 3), "other": pytest.approx(25.0)}
    # The same questions, so what the untuned model answered still counts.
    assert found.baselines["untuned"].summary() == {"seen": 0.0}


def test_a_suite_of_other_questions_takes_nothing_from_the_one_it_replaces(tmp_path):
    result_files.write(tmp_path, _results(SEEN | OTHER, with_untuned=True))
    new = {"seen": [_task("t:z", "ab")]}
    result_files.write(tmp_path, _results(new), keep_others=True)
    found = result_files.read(tmp_path, 5)
    assert [task.name for task in found.tuned.suites[0].tasks] == ["t:z"]
    assert found.baselines["untuned"].summary() == {"other": 0.0}
    assert set(_predictions(tmp_path / "eval" / "5")) == {"seen/t%3Az.jsonl", "other/t%3Ay.jsonl"}


def test_training_replaces_all_that_stands_at_a_step_that_it_did_again(tmp_path):
    result_files.write(tmp_path, _results(SEEN | OTHER))
    written = result_files.write(tmp_path, _results(SEEN))
    assert (written.replaced, written.kept) == ((), ())
    assert [suite.name for suite in result_files.read(tmp_path, 5).tuned.suites] == ["seen"]
    assert set(_predictions(tmp_path / "eval" / "5")) == {"seen/t%3Ax%23few_shot.jsonl"}


def test_steps_with_results_are_found(tmp_path):
    assert result_files.steps(tmp_path) == []
    for step in (20, 5, 100):
        result_files.write(tmp_path, _results(SEEN, step=step))
    (tmp_path / "eval" / "7").mkdir()  # a kill came before its report
    assert result_files.steps(tmp_path) == [5, 20, 100]
    with pytest.raises(FileNotFoundError, match="step 7 was not evaluated"):
        result_files.read(tmp_path, 7)


def test_baselines_of_an_older_run_are_in_its_report(tmp_path):
    results = _results(SEEN)
    result_files.write(tmp_path, results)
    (tmp_path / "eval" / "5" / "baselines.json").unlink()
    assert result_files.read(tmp_path, 5).baselines == {}
    old = {"tuned": results.tuned.as_json(), "copy": results.baselines["copy"].as_json()}
    (tmp_path / "report.json").write_text(json.dumps({"results": old}))
    assert set(result_files.read(tmp_path, 5).baselines) == {"copy"}


def test_a_baseline_alone_and_a_damaged_file_are_refused(tmp_path):
    results = _results(SEEN)
    with pytest.raises(ValueError, match="step is None"):
        result_files.write(tmp_path, Results(tuned=results.baselines["copy"], baselines={}))
    assert list(tmp_path.iterdir()) == []
    result_files.write(tmp_path, results)
    (tmp_path / "eval" / "5" / "report.json").write_text("{")
    with pytest.raises(ValueError, match=r"report\.json is damaged"):
        result_files.write(tmp_path, results, keep_others=True)
    (tmp_path / "eval" / "5" / "report.json").write_text("{}")
    with pytest.raises(ValueError, match="cannot be understood"):
        result_files.read(tmp_path, 5)
