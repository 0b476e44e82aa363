"""Writes the report of a run in three forms: report.json, report.md, report.html.

The same content gives the same bytes. Nothing is printed: `summary_rows` gives the table that `show.py` shows.
Read `report_content.py` for what is in it, `report_markdown.py` and `report_html.py` for how the two pages for people look.
"""

from collections.abc import Mapping
import dataclasses

from etils import epath

from flantune.evaluation import report_files as files
from flantune.evaluation.results import EvaluationReport
from flantune.host import atomic
from flantune.views import report_html, report_markdown, tables
from flantune.views.report_content import Content


def write_report(run_dir: epath.PathLike, content: Content) -> None:
    """Writes the three reports of a run into its folder, which is made where it is missing."""
    run_dir = epath.Path(run_dir)
    json_text = files.json_text(report_json(content), indent=2)
    atomic.write_text(run_dir / "report.json", [json_text, "\n"])
    atomic.write_text(run_dir / "report.md", [report_markdown.render(content)])
    write_page(run_dir / "report.html", content)


def write_page(file: epath.PathLike, content: Content) -> None:
    """Writes the page alone."""
    atomic.write_text(file, [report_html.render(content)])


def report_json(content: Content) -> dict[str, object]:
    """The content of report.json.

    Beside what `results_json` has: `evaluation` has the suites' summary metrics by step, `starts` what differed at which
    start, `loss` the first and last training loss, of all and by cluster and task.
    """
    results = {} if content.tuned is None else results_json(content.tuned, content.baselines)
    return {
        **{name: results.get(name, {}) for name in ("summary", "metric", "unit")},
        "run": dict(content.run),
        **_by_step(content),
        "loss": content.training.losses().as_json(),
        "results": results.get("results", {}),
    }


def curves_json(content: Content) -> dict[str, object]:
    """Every value by step: what `TrainingCurves` has, `evaluation` and `starts`."""
    return {**content.training.as_json(), **_by_step(content)}


def _by_step(content: Content) -> dict[str, object]:
    return {
        "evaluation": [curve.as_json() for curve in content.evaluations],
        "starts": [dataclasses.asdict(start) for start in content.starts],
    }


def results_json(
    tuned: EvaluationReport, baselines: Mapping[str, EvaluationReport]
) -> dict[str, object]:
    """An evaluation beside its baselines.

    `summary` has the tuned mean of each suite, and for each baseline its mean of each suite; `metric` and `unit` say by
    suite what they are. `results` has everything by suite, cluster, task and template, for "tuned" and each baseline.
    """
    return {
        "summary": tuned.summary() | {name: item.summary() for name, item in baselines.items()},
        "metric": {suite.name: suite.metric for suite in tuned.suites},
        "unit": {suite.name: tuned.units[suite.metric] for suite in tuned.suites},
        "results": {"tuned": tuned.as_json()}
        | {name: item.as_json() for name, item in baselines.items()},
    }


def summary_rows(
    tuned: EvaluationReport, baselines: Mapping[str, EvaluationReport]
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the final table: a row per suite, the tuned model beside the baselines."""
    return tables.summary(tuned, baselines)
