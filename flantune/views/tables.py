"""Tables of a report as plain text cells: the same rows go to the terminal, to Markdown and to HTML.

Read `report_markdown.py` and `page_parts.py` next, which lay them out.
"""

import collections
from collections.abc import Mapping, Sequence
import json
import time

from flantune import metrics as metrics_lib
from flantune.evaluation.curves import EvaluationCurve, Point
from flantune.evaluation.results import EvaluationReport, SuiteResult
from flantune.evaluation.statistics import Estimate, Spread
from flantune.views.report_content import Restart
from flantune.views.training_losses import Curve, TrainingLosses

Table = tuple[list[str], list[list[str]]]  # header, rows


def number(value: float, unit: str) -> str:
    """A score as text: 85.3 (percent) or 0.853 (any other unit)."""
    return f"{value:.1f}" if unit == "percent" else f"{value:.3f}"


def interval(estimate: Estimate, unit: str) -> str:
    """A score with its interval: "0.853 (0.820 to 0.886)"."""
    return f"{number(estimate.value, unit)} ({limits(estimate, unit)})"


def limits(estimate: Estimate, unit: str) -> str:
    """Only the interval: "0.820 to 0.886"."""
    return f"{number(estimate.low, unit)} to {number(estimate.high, unit)}"


def metric_label(metric: str, unit: str) -> str:
    """A metric's name and range for readers: "exact match (0 to 1)"."""
    scale = metrics_lib.UNITS[unit]
    note = ", lower is better" if scale.lower_is_better else ""
    return f"{_words(metric)} ({scale.minimum:g} to {scale.maximum:g}{note})"


def metric_labels(report: EvaluationReport) -> list[str]:
    """Labels of the suites' summary metrics, each once."""
    metrics = dict.fromkeys(suite.metric for suite in report.suites)
    return [metric_label(metric, report.units[metric]) for metric in metrics]


def _words(name: str) -> str:
    return name.replace("_", " ")


def summary(tuned: EvaluationReport, baselines: Mapping[str, EvaluationReport]) -> Table:
    """One row per suite: its metric, the tuned mean with its interval, and the baselines' means."""
    header = ["suite", "metric", "tasks", "examples", "tuned", *baselines]
    rows = []
    for suite in tuned.suites:
        unit = tuned.units[suite.metric]
        others = (item.suite(suite.name) for item in baselines.values())
        rows.append(
            [
                suite.name,
                metric_label(suite.metric, unit),
                str(len(suite.tasks)),
                f"{suite.num_examples:,}",
                interval(suite.estimate, unit),
                *("" if other is None else number(other.estimate.value, unit) for other in others),
            ]
        )
    return header, rows


def suites_of(baselines: Mapping[str, EvaluationReport], name: str) -> dict[str, SuiteResult]:
    """The results on one suite of those baselines that can answer it."""
    found = {baseline: report.suite(name) for baseline, report in baselines.items()}
    return {baseline: suite for baseline, suite in found.items() if suite is not None}


def other_metrics(tuned: EvaluationReport) -> Table:
    """One row per suite and metric beside the summary metric; no rows where there is none."""
    rows = [
        [suite.name, metric_label(name, tuned.units[name]), interval(estimate, tuned.units[name])]
        for suite in tuned.suites
        for name, estimate in suite.metrics.items()
        if name != suite.metric
    ]
    return ["suite", "metric", "tuned"], rows


def clusters(suite: SuiteResult, baselines: Mapping[str, SuiteResult], unit: str) -> Table:
    """One row per cluster of a suite."""
    rows = [
        [
            cluster.name,
            str(cluster.num_tasks),
            interval(cluster.estimate, unit),
            *(number(item.clusters[i].estimate.value, unit) for item in baselines.values()),
        ]
        for i, cluster in enumerate(suite.clusters)
    ]
    return ["cluster", "tasks", "tuned", *baselines], rows


def tasks(suite: SuiteResult, baselines: Mapping[str, SuiteResult], unit: str) -> Table:
    """One row per task of a suite, with what was counted of the tuned model and the spread over its templates."""
    counts = _count_columns(suite)
    rows = [
        [
            task.name,
            task.cluster,
            f"{task.num_examples:,}",
            *(" / ".join(f"{task.counts[name]:,}" for name in names) for names in counts.values()),
            interval(task.estimate, unit),
            *(number(item.tasks[i].estimate.value, unit) for item in baselines.values()),
            *spread_cells(task.spread, unit),
        ]
        for i, task in enumerate(suite.tasks)
    ]
    header = ["task", "cluster", "examples", *counts, "tuned", *baselines, *SPREAD_HEADER]
    return header, rows


def _count_columns(suite: SuiteResult) -> dict[str, list[str]]:
    """The names counted in a suite, by column: "ties/sum" and "ties/pmi" share the column "ties (sum / pmi)"."""
    groups: dict[str, list[str]] = {}
    for name in suite.tasks[0].counts:
        groups.setdefault(name.split("/")[0], []).append(name)
    columns = {}
    for group, names in groups.items():
        parts = " / ".join(_words(name.removeprefix(f"{group}/")) for name in names)
        columns[group if names == [group] else f"{group} ({parts})"] = names
    return columns


def metrics_by_task(suite: SuiteResult, units: Mapping[str, str]) -> Table:
    """One row per task of a suite with all of its metrics side by side; no rows where there is only one."""
    names = list(suite.metrics)
    header = ["task", *(metric_label(name, units[name]) for name in names)]
    if len(names) == 1:
        return header, []
    return header, [
        [task.name, *(interval(task.metrics[name], units[name]) for name in names)]
        for task in suite.tasks
    ]


SPREAD_HEADER = ("templates", "mean", "median", "IQR", "min", "max")


def spread_cells(spread: Spread, unit: str) -> list[str]:
    """Cells under `SPREAD_HEADER`."""
    quartiles = f"{number(spread.quartile_1, unit)} to {number(spread.quartile_3, unit)}"
    return [
        str(spread.num_templates),
        interval(spread.mean, unit),
        interval(spread.median, unit),
        quartiles,
        number(spread.minimum, unit),
        number(spread.maximum, unit),
    ]


BELOW = "▼"  # after a score that a constant answer beats
BELOW_MEANS = (
    f"{BELOW} below the majority baseline: always giving the most frequent answer scores better."
)


def evaluations(curves: Sequence[EvaluationCurve]) -> Table:
    """One row per step, with a column for each suite's summary metric; empty where it was not evaluated."""
    steps = sorted({point.step for curve in curves for point in curve.points})
    columns = [
        {point.step: _point_text(point, curve.unit) for point in curve.points} for curve in curves
    ]
    header = [
        "step",
        *(f"{curve.suite}, {metric_label(curve.metric, curve.unit)}" for curve in curves),
    ]
    return header, [[f"{step:,}", *(column.get(step, "") for column in columns)] for step in steps]


def _point_text(point: Point, unit: str) -> str:
    mark = f" {BELOW}" if point.is_below else ""
    return f"{interval(point.estimate, unit)}{mark}"


def majorities(curve: EvaluationCurve) -> str:
    """What the majority baseline has: "0.171", or "0.171, 0.180" where it changed; "" where it is not known."""
    known = [point.majority for point in curve.points if point.majority is not None]
    return ", ".join(dict.fromkeys(number(value, curve.unit) for value in known))


def restarts(found: Sequence[Restart]) -> Table:
    """One row per thing that differed at a restart."""
    rows = [
        [
            str(restart.number),
            f"{restart.step:,}",
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(restart.time)),
            change.name,
            "(not set)" if change.before is None else visible(change.before, 200),
            "(not set)" if change.after is None else visible(change.after, 200),
        ]
        for restart in found
        for change in restart.changed
    ]
    return ["restart", "after step", "time (UTC)", "what", "before", "after"], rows


def losses(found: TrainingLosses) -> dict[str, Table]:
    """Training losses by cluster and by task, under their titles, the highest last loss first; nothing that is not known."""
    num_tasks = collections.Counter(found.cluster_of[name] for name in found.tasks)
    clusters = {(name, f"{num_tasks[name]:,}"): curve for name, curve in found.clusters.items()}
    tasks = {(name, found.cluster_of[name]): curve for name, curve in found.tasks.items()}
    groups = {
        "Training loss by cluster": (("cluster", "tasks"), clusters),
        "Training loss by task": (("task", "cluster"), tasks),
    }
    return {
        title: ([*header, *_LOSS_HEADER], _loss_rows(curves))
        for title, (header, curves) in groups.items()
        if curves
    }


_LOSS_HEADER = ("first", "at step", "last", "at step")


def _loss_rows(curves: Mapping[tuple[str, str], Curve]) -> list[list[str]]:
    """Cells under `_LOSS_HEADER` after those of each curve."""
    return [
        [
            *cells,
            *(
                text
                for step, loss in (curve[0], curve[-1])
                for text in (f"{loss:.3f}", f"{step:,}")
            ),
        ]
        for cells, curve in sorted(curves.items(), key=lambda item: (-item[1][-1][1], item[0]))
    ]


def run_facts(run: Mapping[str, object]) -> list[tuple[str, str]]:
    """Label and text of each fact but the notes."""
    return [
        (_fact_label(key), fact_text(key, value)) for key, value in run.items() if key != "notes"
    ]


def _fact_label(key: str) -> str:
    if key.endswith("seconds"):
        key = key.removesuffix("seconds") + "time"
    elif key.endswith("bytes"):
        key = key.removesuffix("bytes") + "memory"
    return key.replace("_", " ")


def notes(run: Mapping[str, object]) -> list[str]:
    """The run's notes: none, one text or several."""
    value = run.get("notes") or []
    return [value] if isinstance(value, str) else [str(item) for item in value]  # type: ignore[attr-defined]


def fact_text(key: str, value: object) -> str:
    """A fact for readers: "..._seconds" in minutes, "..._bytes" in GiB, shares of time and speed in percent."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if key.endswith("seconds"):
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes:,} min {seconds:02d} s" if minutes else f"{seconds} s"
    if key.endswith("bytes"):
        return f"{value / 2**30:.2f} GiB"
    if key.endswith(("goodput", "wait_share", "utilisation")):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) else _decimal(value)


def _decimal(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}"


def visible(text: str, limit: int = 600) -> str:
    """Text fit to be shown: control characters as their pictures, cut at the limit with a note of what is missing."""
    shown = "".join(chr(0x2400 + ord(c)) if ord(c) < 32 and c not in "\n\t" else c for c in text)
    return (
        shown
        if len(shown) <= limit
        else f"{shown[:limit]}… ({len(shown) - limit:,} more characters)"
    )
