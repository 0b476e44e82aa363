"""report.html: one self-contained page with plots, tables and a few predictions. Style sheet: `page_style.py`.

The page loads nothing and runs no script. Every text from outside passes through `_text`, which escapes it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import html

from flantune import metrics as metrics_lib
from flantune.evaluation.results import EvaluationReport, PredictionRow, SuiteResult, TaskResult
from flantune.views import page_style, plots, report_markdown, tables
from flantune.views.training_losses import TrainingLosses

_MAX_BARS = 60  # a plot with more is a wall; clusters are drawn instead
_METHOD = (
    "A task's score is the mean over its examples, or for BLEU, correlations and F1 of classes the value for all of them "
    "together; a suite's or cluster's is the mean over its tasks. Intervals are "
    "95 % percentile bootstrap intervals over dataset rows, with tasks and templates as they are. "
    "Majority answers every example of a task with its most frequent reference among the evaluated examples, "
    "which no constant answer can beat under exact match; copy repeats the input; untuned is the model before training. "
    "Where options are ranked, the most probable one is the answer, by the sum of its log-probabilities, by their mean "
    "per token or per byte, or by how much the prompt adds to them (PMI); of k options that tie, each counts 1/k. "
    "Majority then takes the same choice always, chance any at random."
)
_COUNTED = (
    "Unanswered are tuned predictions from which no answer could be extracted; they get the worst score. Ties are examples in which "
    "several options share the best score; alike are those in which a right and a wrong option have the same tokens, so "
    "that no model can tell them apart."
)


def render(
    tuned: EvaluationReport,
    baselines: Mapping[str, EvaluationReport],
    run: Mapping[str, object],
    losses: TrainingLosses,
) -> str:
    """The page as HTML text."""
    body = [
        *_header(tuned, run),
        *_summary(tuned, baselines),
        *_training(run, losses),
        *(
            part
            for index, suite in enumerate(tuned.suites)
            for part in _suite(suite, tables.suites_of(baselines, suite.name), tuned.units, index)
        ),
        f"<footer><p>{_text(_METHOD)}</p></footer>",
    ]
    title = _text(f"{run.get('mixture', 'flantune')}: evaluation")
    return page_style.PAGE.format(title=title, style=page_style.STYLE, body="\n".join(body))


def _header(tuned: EvaluationReport, run: Mapping[str, object]) -> Iterator[str]:
    step = "" if tuned.step is None else f" at step {tuned.step:,}"
    yield f"<header><h1>Evaluation report</h1><p>{_text(run.get('mixture', 'flantune'))}{step}</p></header>"
    for note in tables.notes(run):
        yield f'<p class="note">{_text(note)}</p>'
    links = "".join(
        f'<a href="#suite-{index}">{_text(_words(suite.name))}</a>'
        for index, suite in enumerate(tuned.suites)
    )
    yield f'<nav><a href="#summary">summary</a><a href="#run">run</a>{links}</nav>'


def _summary(tuned: EvaluationReport, baselines: Mapping[str, EvaluationReport]) -> Iterator[str]:
    label = " or ".join(tables.metric_labels(tuned))
    yield f'<section id="summary"><h2>Summary</h2><p>Mean {_text(label)} over the tasks of each suite.</p>'
    yield '<div class="cards">'
    for suite in tuned.suites:
        others = tables.suites_of(baselines, suite.name)
        values = [(name, other.estimate.value) for name, other in others.items()]
        yield _card(suite, values, tuned.units[suite.metric])
    yield "</div>"
    table = tables.summary(tuned, baselines)
    strong = table[0].index("tuned")
    yield _table(table, strong=strong, text_columns=strong - 2)
    header, rows = tables.other_metrics(tuned)
    if rows:
        yield f"<h3>Other metrics</h3>{_table((header, rows), text_columns=2)}"
    yield "</section>"


def _card(suite: SuiteResult, baselines: Sequence[tuple[str, float]], unit: str) -> str:
    others = " · ".join(f"{_text(name)} {tables.number(value, unit)}" for name, value in baselines)
    return (
        f'<div class="card"><p>{_text(_words(suite.name))}</p>'
        f"<p><strong>{tables.number(suite.estimate.value, unit)}</strong></p>"
        f"<p>{tables.limits(suite.estimate, unit)}</p><p>{others}</p></div>"
    )


def _training(run: Mapping[str, object], losses: TrainingLosses) -> Iterator[str]:
    yield '<section id="run"><h2>Run</h2><dl>'
    for name, value in tables.run_facts(run):
        yield f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
    yield f"</dl><p>{_text(report_markdown.loss_sentence(losses.overall))}</p>"
    if losses.overall:
        yield _plot(plots.loss_svg(losses.overall, "loss"), "Training loss by step")
    for title, table in tables.losses(losses).items():
        yield f"<details><summary>{_text(title)}</summary>{_table(table, text_columns=2)}</details>"
    yield "</section>"


def _suite(
    suite: SuiteResult,
    baselines: Mapping[str, SuiteResult],
    units: Mapping[str, str],
    index: int,
) -> Iterator[str]:
    unit = units[suite.metric]
    yield f'<section id="suite-{index}"><h2>{_text(_words(suite.name))}</h2>'
    label = tables.metric_label(suite.metric, unit)
    yield (
        f"<p>Mean {_text(label)} <strong>{_text(tables.interval(suite.estimate, unit))}</strong> over "
        f"{len(suite.tasks)} tasks with {suite.num_examples:,} examples.</p>"
    )
    bars = _bars(suite, baselines, unit)
    yield _plot(plots.bars_svg(bars, f"suite-{index}"), f"{bars.axis_label}, tuned and baselines")
    yield f"<h3>Clusters</h3>{_table(tables.clusters(suite, baselines, unit), strong=2)}"
    yield f"<h3>Tasks</h3>{_task_table(suite, baselines, unit)}"
    header, rows = tables.metrics_by_task(suite, units)
    if rows:
        yield f"<h3>Metrics</h3>{_table((header, rows))}"
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
        [*map(_text, row), _spread_bar(task, unit)]
        for row, task in zip(rows, suite.tasks, strict=True)
    ]
    note = (
        f'<p class="small">{_COUNTED} The columns from "templates" on are over templates, each counting the same. '
        "The bar runs from the lowest to the highest template, the thick part is the interquartile range, the tick the median.</p>"
    )
    strong = header.index("tuned")
    return _cells([*header, "spread"], cells, strong=strong, text_columns=2) + note


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
    return f"<details><summary>{_text(task.name)} <span>{score}</span></summary>{rows}</details>"


def _sample(row: PredictionRow, metric: str, unit: str) -> str:
    references = [("reference", reference) for reference in row.references[:3]]
    texts = [("inputs", row.inputs), *references, ("prediction", row.prediction)]
    if row.answer != row.prediction:
        texts.append(("answer", "(none found)" if row.answer is None else row.answer))
    texts += row.details().items()
    lines = "".join(
        f"<div><dt>{name}</dt><dd><pre>{_text(tables.visible(text))}</pre></dd></div>"
        for name, text in texts
    )
    facts = f"template {row.template_id}"
    if metric in row.scores:
        facts += f" · {metric} {tables.number(row.scores[metric], unit)}"
    return (
        f'<dl class="sample">{lines}<div><dt></dt><dd class="small">{_text(facts)}</dd></div></dl>'
    )


def _table(table: tables.Table, *, strong: int | None = None, text_columns: int = 1) -> str:
    header, rows = table
    return _cells(
        header, ([*map(_text, row)] for row in rows), strong=strong, text_columns=text_columns
    )


def _cells(
    header: Sequence[str], rows: Iterable[Sequence[str]], *, strong: int | None, text_columns: int
) -> str:
    """A table of cells that are HTML already; the column `strong` stands out, the first ones hold text."""

    def row_html(tag: str, cells: Sequence[str]) -> str:
        classes = [
            "text" if i < text_columns else "strong" if i == strong else ""
            for i in range(len(cells))
        ]
        marked = zip(classes, cells, strict=True)
        inside = "".join(f'<{tag} class="{kind}">{cell}</{tag}>' for kind, cell in marked)
        return f"<tr>{inside}</tr>"

    head = row_html("th", [_text(name) for name in header])
    body = "".join(row_html("td", row) for row in rows)
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def _plot(svg: str, description: str) -> str:
    return f'<figure class="scroll" role="img" aria-label="{_text(description)}">{svg}</figure>'


def _words(name: str) -> str:
    return name.replace("_", " ")


def _text(value: object) -> str:
    return html.escape(str(value))
