"""Writes what an evaluation found: JSON, Markdown and HTML.

    RUN_DIR/report.json, report.md, report.html            the tuned model beside the baselines

The same arguments give the same bytes. Nothing is printed: `summary_rows` gives the table that `show.py` shows.
Read `report_markdown.py` and `report_html.py` next: they lay out the two pages for people.
"""

from collections.abc import Mapping

from etils import epath

from flantune.evaluation import report_files as files
from flantune.evaluation.results import EvaluationReport
from flantune.host import atomic
from flantune.views import report_html, report_markdown, tables
from flantune.views.training_losses import TrainingLosses


def write_report(
    run_dir: epath.PathLike,
    tuned: EvaluationReport,
    baselines: Mapping[str, EvaluationReport],
    run: Mapping[str, object],
    losses: TrainingLosses,
) -> None:
    """Writes the three reports of a run.

    Args:
        run_dir: the run's folder; made where it is missing.
        tuned: results of the trained parameters.
        baselines: results to compare with on the same suites, or on those that they can answer, by name: "untuned",
            "majority", "copy", "chance".
        run: facts of the run that JSON can hold, in the order to show them: mixture, steps, seconds, device, notes.
        losses: of the training, over all, by cluster and by task.

    Raises:
        ValueError: a baseline has a suite, tasks or a metric that the tuned results do not have.
    """
    for name, baseline in baselines.items():
        _check_comparable(name, baseline, tuned)
    run_dir = epath.Path(run_dir)
    value = report_json(tuned, baselines, run, losses)
    atomic.write_text(run_dir / "report.json", [files.json_text(value, indent=2), "\n"])
    markdown = report_markdown.render(tuned, baselines, run, losses)
    atomic.write_text(run_dir / "report.md", [markdown])
    html = report_html.render(tuned, baselines, run, losses)
    atomic.write_text(run_dir / "report.html", [html])


def report_json(
    tuned: EvaluationReport,
    baselines: Mapping[str, EvaluationReport],
    run: Mapping[str, object],
    losses: TrainingLosses,
) -> dict[str, object]:
    """The content of report.json.

    `summary` has the tuned mean of each suite, and for each baseline its mean of each suite; `metric` and `unit` say by
    suite what they are. `loss` has the first and last training loss, of all and by cluster and task. `results` has everything by suite, cluster, task and template, for "tuned" and each baseline.
    """
    return {
        "summary": tuned.summary() | {name: item.summary() for name, item in baselines.items()},
        "metric": {suite.name: suite.metric for suite in tuned.suites},
        "unit": {suite.name: tuned.units[suite.metric] for suite in tuned.suites},
        "run": dict(run),
        "loss": losses.as_json(),
        "results": {"tuned": tuned.as_json()}
        | {name: item.as_json() for name, item in baselines.items()},
    }


def summary_rows(
    tuned: EvaluationReport, baselines: Mapping[str, EvaluationReport]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the final table: a row per suite, the tuned model beside the baselines."""
    return tables.summary(tuned, baselines)


def _check_comparable(name: str, baseline: EvaluationReport, tuned: EvaluationReport) -> None:
    if name == "tuned" or name in tuned.summary():
        raise ValueError(f"A baseline cannot be named {name!r}: report.json has that key already.")
    known = _shape(tuned)
    for suite, shape in _shape(baseline).items():
        if known.get(suite) != shape:
            raise ValueError(
                f"Baseline {name!r} does not fit the tuned results: metric and tasks of suite {suite!r} must be the "
                f"same, not {shape} beside {known.get(suite)}."
            )


def _shape(report: EvaluationReport) -> dict[str, tuple[str, list[str]]]:
    return {
        suite.name: (suite.metric, [task.name for task in suite.tasks]) for suite in report.suites
    }
