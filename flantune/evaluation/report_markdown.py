"""report.md: the tables of a report and a few predictions in Markdown. `report_html.py` is the page with plots."""

from collections.abc import Iterator, Mapping, Sequence
import re

from flantune.evaluation import tables
from flantune.evaluation.results import EvaluationReport, PredictionRow, SuiteResult

SAMPLES_PER_TASK = 3
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def render(
    tuned: EvaluationReport,
    baselines: Mapping[str, EvaluationReport],
    run: Mapping[str, object],
    loss_curve: Sequence[tuple[int, float]],
) -> str:
    """The page as Markdown text with GitHub's tables."""
    unit = tuned.units[tuned.metric]
    parts = ["# Evaluation report", *(f"> {_escape(note)}" for note in tables.notes(run))]
    parts.append(
        f"Mean **{_escape(tables.metric_label(tuned.metric, unit))}** over tasks; in parentheses the 95 % bootstrap "
        "interval over examples."
    )
    parts.append(_table(tables.summary(tuned, baselines)))
    header, rows = tables.other_metrics(tuned)
    if rows:
        parts.append(_table((header, rows)))
    parts += ["## Run", _table((["fact", "value"], [list(fact) for fact in tables.run_facts(run)]))]
    parts.append(loss_sentence(loss_curve))
    for index, suite in enumerate(tuned.suites):
        others = {name: item.suites[index] for name, item in baselines.items()}
        parts += _suite(suite, others, unit)
    return "\n\n".join(parts) + "\n"


def loss_sentence(loss_curve: Sequence[tuple[int, float]]) -> str:
    """Where the training loss began and ended."""
    if not loss_curve:
        return "No training loss was recorded."
    (first_step, first), (last_step, last) = loss_curve[0], loss_curve[-1]
    return (
        f"Training loss: {first:.3f} at step {first_step:,}, {last:.3f} at step {last_step:,} "
        "(nats per token)."
    )


def _suite(suite: SuiteResult, others: Mapping[str, SuiteResult], unit: str) -> Iterator[str]:
    yield f"## {_escape(suite.name)}"
    yield "### Clusters"
    yield _table(tables.clusters(suite, others, unit))
    yield "### Tasks"
    yield _table(tables.tasks(suite, others, unit))
    yield "### First predictions of each task"
    for task in suite.tasks:
        yield f"**{_escape(task.name)}**"
        for row in task.predictions[:SAMPLES_PER_TASK]:
            yield _sample(row)


def _sample(row: PredictionRow) -> str:
    lines = [f"inputs:     {row.inputs}"]
    lines += [f"reference:  {reference}" for reference in row.references[:3]]
    lines.append(f"prediction: {row.prediction}")
    text = "\n".join(tables.visible(line) for line in lines)
    # Indented code: Markdown in the text stays text, whatever it holds.
    return "\n".join(f"    {line}" for line in text.splitlines())


def _table(table: tables.Table) -> str:
    header, rows = table
    lines = [header, ["---"] * len(header), *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _escape(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", " ".join(tables.visible(text).split()))
