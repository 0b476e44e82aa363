"""report.html: one self-contained page with plots, tables and a few predictions. Style sheet: `page_style.py`.

The page loads nothing and runs no script. Every text from outside passes through `page_parts.text`, which escapes it.
Sections over steps are in `report_curves.py`, that of a suite in `report_suite.py`.
"""

from collections.abc import Iterator, Mapping

from flantune.evaluation import curves
from flantune.evaluation.results import SuiteResult
from flantune.views import page_parts, page_style, report_curves, report_suite, tables
from flantune.views.page_parts import text
from flantune.views.report_content import Content

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
_LOSSES = (
    "Losses of clusters and tasks are cross entropy in nats per target token, without z-loss, over the tokens since the "
    "line before, from the same forward passes as the training loss."
)
_WALL_TIME = (
    "Times are over all starts of the run. Lost steps were done again after a restart. Goodput is the share of the wall time "
    "in steps that were not lost; start includes preparation, loading and the first step, which compiles."
)


def render(content: Content) -> str:
    """The page as HTML text."""
    steps = report_curves.axis(content)
    body = [
        *_header(content),
        *_summary(content),
        *report_curves.curves(content, steps),
        *report_curves.training(content, steps),
        *_run(content),
        *_suites(content),
        f"<footer><p>{text(_METHOD)}</p><p>{text(_LOSSES)}</p></footer>",
    ]
    title = text(f"{_name(content)}: report")
    return page_style.PAGE.format(title=title, style=page_style.STYLE, body="\n".join(body))


def _name(content: Content) -> object:
    return content.run.get("mixture", content.training.run_dir)


def _header(content: Content) -> Iterator[str]:
    step = content.last_step()
    at = f" at step {step:,}" if step else ""
    yield f"<header><h1>Report</h1><p>{text(_name(content))}{at}</p></header>"
    for note in tables.notes(content.run):
        yield f'<p class="note">{text(note)}</p>'
    links = {"summary": "summary", "curves": "curves"}
    if content.training.overall:
        links["training"] = "training"
    if content.training.clusters:
        links["clusters"] = "clusters"
    links["run"] = "run"
    if content.tuned is not None:
        links |= {f"suite-{i}": suite.name for i, suite in enumerate(content.tuned.suites)}
    shown = "".join(f'<a href="#{id}">{page_parts.words(name)}</a>' for id, name in links.items())
    yield f"<nav>{shown}</nav>"


def _summary(content: Content) -> Iterator[str]:
    tuned, baselines = content.tuned, content.baselines
    yield '<section id="summary"><h2>Summary</h2>'
    if tuned is None:
        yield "<p>There is no evaluation yet: EvalConfig.every_steps evaluates while a run trains.</p></section>"
        return
    label = " or ".join(tables.metric_labels(tuned))
    step = "" if tuned.step is None else f" at step {tuned.step:,}"
    yield f"<p>Mean {text(label)} over the tasks of each suite{step}.</p>"
    yield '<div class="cards">'
    for suite in tuned.suites:
        yield _card(suite, tables.suites_of(baselines, suite.name), tuned.units[suite.metric])
    yield "</div>"
    table = tables.summary(tuned, baselines)
    strong = table[0].index("tuned")
    yield page_parts.table(table, strong=strong, text_columns=strong - 2)
    header, rows = tables.other_metrics(tuned)
    if rows:
        yield f"<h3>Other metrics</h3>{page_parts.table((header, rows), text_columns=2)}"
    yield "</section>"


def _card(suite: SuiteResult, baselines: Mapping[str, SuiteResult], unit: str) -> str:
    estimate = suite.estimate
    others = " · ".join(
        f"{text(name)} {tables.number(other.estimate.value, unit)}"
        for name, other in baselines.items()
    )
    majority = baselines.get("majority")
    is_below = majority is not None and curves.is_worse(
        estimate.value, majority.estimate.value, unit
    )
    warning = f'<p class="below">{tables.BELOW} below the majority baseline</p>' if is_below else ""
    return (
        f'<div class="card"><p>{page_parts.words(suite.name)}</p>'
        f"<p><strong>{tables.number(estimate.value, unit)}</strong></p>"
        f"<p>{page_parts.words(suite.metric)}, {tables.limits(estimate, unit)}</p>{warning}<p>{others}</p></div>"
    )


def _run(content: Content) -> Iterator[str]:
    yield '<section id="run"><h2>Run</h2><dl>'
    for name, value in tables.run_facts(content.run):
        yield f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
    yield "</dl>"
    if content.training.wall_time:
        yield f'<p class="small">{text(_WALL_TIME)}</p>'
    yield "</section>"


def _suites(content: Content) -> Iterator[str]:
    if content.tuned is None:
        return
    for index, suite in enumerate(content.tuned.suites):
        others = tables.suites_of(content.baselines, suite.name)
        yield from report_suite.section(suite, others, content.tuned.units, index)
