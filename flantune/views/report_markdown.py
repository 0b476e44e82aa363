"""report.md: the tables of a report and a few predictions in Markdown. `report_html.py` is the page with plots."""

from collections.abc import Iterator, Mapping, Sequence
import re

from flantune.evaluation.results import PredictionRow, SuiteResult
from flantune.views import tables
from flantune.views.report_content import Content

SAMPLES_PER_TASK = 3
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def render(content: Content) -> str:
    """The page as Markdown text with GitHub's tables."""
    parts = [
        "# Report",
        *(f"> {_escape(note)}" for note in tables.notes(content.run)),
        *_summary(content),
        *_evaluations(content),
        "## Run",
        _table((["fact", "value"], [list(fact) for fact in tables.run_facts(content.run)])),
        loss_sentence(content.training.losses().overall),
    ]
    restarts = content.restarts()
    if restarts:
        parts += ["### Restarts with other settings", _table(tables.restarts(restarts))]
    for title, table in tables.losses(content.training.losses()).items():
        parts += [f"### {title}", _table(table)]
    if content.tuned is not None:
        for suite in content.tuned.suites:
            others = tables.suites_of(content.baselines, suite.name)
            parts += _suite(suite, others, content.tuned.units)
    return "\n\n".join(parts) + "\n"


def _summary(content: Content) -> Iterator[str]:
    tuned = content.tuned
    if tuned is None:
        yield "There is no evaluation yet."
        return
    labels = _escape(" or ".join(tables.metric_labels(tuned)))
    step = "" if tuned.step is None else f" at step {tuned.step:,}"
    yield (
        f"Mean **{labels}** over tasks{step}; in parentheses the 95 % bootstrap interval over examples."
    )
    yield _table(tables.summary(tuned, content.baselines))
    header, rows = tables.other_metrics(tuned)
    if rows:
        yield _table((header, rows))


def _evaluations(content: Content) -> Iterator[str]:
    if not content.evaluations:
        return
    yield "## Evaluations by step"
    yield _table(tables.evaluations(content.evaluations))
    known = {curve.suite: tables.majorities(curve) for curve in content.evaluations}
    said = ", ".join(f"{suite} {values}" for suite, values in known.items() if values)
    if said:
        yield _escape(f"{tables.BELOW_MEANS} It has: {said}.")


def loss_sentence(loss_curve: Sequence[tuple[int, float]]) -> str:
    """Where the training loss began and ended."""
    if not loss_curve:
        return "No training loss was recorded."
    (first_step, first), (last_step, last) = loss_curve[0], loss_curve[-1]
    return (
        f"Training loss: {first:.3f} at step {first_step:,}, {last:.3f} at step {last_step:,} "
        "(nats per token)."
    )


def _suite(
    suite: SuiteResult, others: Mapping[str, SuiteResult], units: Mapping[str, str]
) -> Iterator[str]:
    unit = units[suite.metric]
    yield f"## {_escape(suite.name)}"
    yield "### Clusters"
    yield _table(tables.clusters(suite, others, unit))
    yield "### Tasks"
    yield _table(tables.tasks(suite, others, unit))
    header, rows = tables.metrics_by_task(suite, units)
    if rows:
        yield "### Metrics"
        yield _table((header, rows))
    yield "### First predictions of each task"
    for task in suite.tasks:
        yield f"**{_escape(task.name)}**"
        for row in task.predictions[:SAMPLES_PER_TASK]:
            yield _sample(row)


def _sample(row: PredictionRow) -> str:
    lines = [f"inputs:     {row.inputs}"]
    lines += [f"reference:  {reference}" for reference in row.references[:3]]
    lines.append(f"prediction: {row.prediction}")
    lines += [f"{label}:\n{text}" for label, text in row.details().items()]
    text = "\n".join(tables.visible(line) for line in lines)
    # Indented code: Markdown in the text stays text, whatever it holds.
    return "\n".join(f"    {line}" for line in text.splitlines())


def _table(table: tables.Table) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(tables.visible(text).split()))
