"""The section of a suite in report.html: bars, clusters, tasks, metrics, a few predictions."""

from collections.abc import Iterator, Mapping

from flantune import metrics as metrics_lib
from flantune.evaluation.results import PredictionRow, SuiteResult, TaskResult
from flantune.views import page_parts, plots, report_markdown, tables
from flantune.views.page_parts import text

_MAX_BARS = 60  # a plot with more is a wall; clusters are drawn instead
_COUNTED = (
    "Unanswered are tuned predictions from which no answer could be extracted; they get the worst score. Ties are examples in which "
    "several options share the best score; alike are those in which a right and a wrong option have the same tokens, so "
    "that no model can tell them apart."
)


def section(
    suite: SuiteResult, baselines: Mapping[str, SuiteResult], units: Mapping[str, str], index: int
) -> Iterator[str]:
    """The section as HTML; its id has the index of the suite."""
    unit = units[suite.metric]
    yield f'<section id="suite-{index}"><h2>{page_parts.words(suite.name)}</h2>'
    label = tables.metric_label(suite.metric, unit)
    yield (
        f"<p>Mean {text(label)} <strong>{text(tables.interval(suite.estimate, unit))}</strong> over "
        f"{len(suite.tasks)} tasks with {suite.num_examples:,} examples.</p>"
    )
    bars = _bars(suite, baselines, unit)
    yield page_parts.plot(
        plots.bars_svg(bars, f"suite-{index}"), f"{bars.axis_label}, tuned and baselines"
    )
    clusters = page_parts.table(tables.clusters(suite, baselines, unit), strong=2)
    yield f"<h3>Clusters</h3>{clusters}"
    yield f"<h3>Tasks</h3>{_task_table(suite, baselines, unit)}"
    header, rows = tables.metrics_by_task(suite, units)
    if rows:
        yield f"<h3>Metrics</h3>{page_parts.table((header, rows))}"
    yield "<h3>Predictions</h3><p>The first examples of each task, not chosen.</p>"
    for task in suite.tasks:
        yield _samples(task, unit)
    yield "</section>"


def _bars(suite: SuiteResult, baselines: Mapping[str, SuiteResult], unit: str) -> plots.Bars:
    by_cluster = len(suite.tasks) > _MAX_BARS
    shown = suite.clusters if by_cluster else suite.tasks
    return plots.Bars(
        labels=[item.name for item in shown],
        tuned=[item.estimate for item in shown],
        baselines={
            name: [item.estimate.value for item in (other.clusters if by_cluster else other.tasks)]
            for name, other in baselines.items()
        },
        axis_label=tables.metric_label(suite.metric, unit),
        maximum=metrics_lib.UNITS[unit].maximum,
        minimum=metrics_lib.UNITS[unit].minimum,
    )


def _task_table(suite: SuiteResult, baselines: Mapping[str, SuiteResult], unit: str) -> str:
    header, rows = tables.tasks(suite, baselines, unit)
    cells = [
        [*map(text, row), _spread_bar(task, unit)]
        for row, task in zip(rows, suite.tasks, strict=True)
    ]
    note = (
        f'<p class="small">{_COUNTED} The columns from "templates" on are over templates, each counting the same. '
        "The bar runs from the lowest to the highest template, the thick part is the interquartile range, the tick the median.</p>"
    )
    strong = header.index("tuned")
    return page_parts.html_table([*header, "spread"], cells, strong=strong, text_columns=2) + note


def _spread_bar(task: TaskResult, unit: str) -> str:
    scale, spread = metrics_lib.UNITS[unit], task.spread
    percent = 100 / (scale.maximum - scale.minimum)
    parts = [
        ("range", spread.minimum, spread.maximum),
        ("iqr", spread.quartile_1, spread.quartile_3),
        ("median", spread.median.value, spread.median.value),
    ]
    spans = "".join(
        f'<i class="{name}" style="left:{(low - scale.minimum) * percent:.1f}%;width:{(high - low) * percent:.1f}%"></i>'
        for name, low, high in parts
    )
    return f'<span class="track">{spans}</span>'


def _samples(task: TaskResult, unit: str) -> str:
    score = tables.number(task.estimate.value, unit)
    rows = "".join(
        _sample(row, task.metric, unit)
        for row in task.predictions[: report_markdown.SAMPLES_PER_TASK]
    )
    return f"<details><summary>{text(task.name)} <span>{score}</span></summary>{rows}</details>"


def _sample(row: PredictionRow, metric: str, unit: str) -> str:
    references = [("reference", reference) for reference in row.references[:3]]
    texts = [("inputs", row.inputs), *references, ("prediction", row.prediction)]
    if row.answer != row.prediction:
        texts.append(("answer", "(none found)" if row.answer is None else row.answer))
    texts += row.details().items()
    lines = "".join(
        f"<div><dt>{name}</dt><dd><pre>{text(tables.visible(said))}</pre></dd></div>"
        for name, said in texts
    )
    facts = f"template {row.template_id}"
    if metric in row.scores:
        facts += f" · {metric} {tables.number(row.scores[metric], unit)}"
    return (
        f'<dl class="sample">{lines}<div><dt></dt><dd class="small">{text(facts)}</dd></div></dl>'
    )
