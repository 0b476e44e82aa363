"""The sections of report.html that go over steps: curves of training and evaluations, restarts, clusters, speed."""

from collections.abc import Iterator

from flantune import metrics as metrics_lib
from flantune.evaluation.curves import EvaluationCurve
from flantune.views import page_parts, plots, report_markdown, tables
from flantune.views.page_parts import text
from flantune.views.report_content import Content
from flantune.views.training_curves import Curve, TrainingCurves

_CARDS = {
    "loss": "training loss, nats per token",
    "accuracy": "accuracy on target tokens",
    "goodput": "goodput: wall time in steps that count",
    "tokens_per_second": "tokens per second",
    "examples_per_second": "examples per second",
    "seconds_per_step": "seconds a step",
    "data_wait_share": "data wait, share of the time of steps",
    "model_flops_utilisation": "model FLOPs utilisation",
    "device_peak_bytes": "memory of the fullest device, at most",
    "host_peak_bytes": "memory of the host, at most",
}


def axis(content: Content) -> plots.Steps:
    """The steps of every curve of the page, with the numbers of the restarts."""
    marks: dict[int, list[str]] = {}
    for restart in content.restarts():
        marks.setdefault(restart.step, []).append(str(restart.number))
    return plots.Steps(
        first=0,
        last=max(content.last_step(), *marks, 1),
        marks={step: ", ".join(numbers) for step, numbers in marks.items()},
    )


def curves(content: Content, steps: plots.Steps) -> Iterator[str]:
    """The section of all curves: training loss, and each suite's metric."""
    losses = content.training.losses().overall
    yield '<section id="curves"><h2>Curves</h2>'
    if content.restarts():
        yield "<p>Dotted lines are restarts with other settings, numbered as in the table below.</p>"
    yield '<div class="plots">'
    about = text(report_markdown.loss_sentence(losses))
    yield f'<div><h3>Training loss</h3><p class="small">{about}</p>'
    if losses:
        svg = plots.loss_svg(losses, steps, "training-loss")
        yield page_parts.plot(svg, "Training loss by step")
    yield "</div>"
    for index, curve in enumerate(content.evaluations):
        yield from _evaluation(curve, steps, f"evaluation-{index}")
    yield "</div>"
    yield from _evaluation_table(content)
    yield from _restarts(content)
    yield "</section>"


def _evaluation(curve: EvaluationCurve, steps: plots.Steps, name: str) -> Iterator[str]:
    last = curve.points[-1]
    label = tables.metric_label(curve.metric, curve.unit)
    said = f"{tables.interval(last.estimate, curve.unit)} at step {last.step:,}"
    if last.majority is not None:
        said += f"; majority {tables.number(last.majority, curve.unit)}"
    warning = f', <span class="below">below it {tables.BELOW}</span>' if last.is_below else ""
    scale = metrics_lib.UNITS[curve.unit]
    scores = plots.Scores(
        steps=[point.step for point in curve.points],
        estimates=[point.estimate for point in curve.points],
        is_below=[point.is_below for point in curve.points],
        constant={
            point.step: point.majority for point in curve.points if point.majority is not None
        },
        axis_label=label,
        minimum=scale.minimum,
        maximum=scale.maximum,
    )
    described = f"{label} of {curve.suite} by step: {said}"
    plot = page_parts.plot(plots.score_svg(scores, steps, name), described)
    title = page_parts.words(curve.suite)
    yield f'<div><h3>{title}</h3><p class="small">{text(said)}{warning}</p>{plot}</div>'


def _evaluation_table(content: Content) -> Iterator[str]:
    if not content.evaluations:
        yield '<p class="small">There is no evaluation yet.</p>'
        return
    header, rows = tables.evaluations(content.evaluations)
    marked = ([_marked(cell) for cell in row] for row in rows)
    yield f"<h3>Evaluations by step</h3>{page_parts.html_table(header, marked, text_columns=0)}"
    yield f'<p class="small">{text(tables.BELOW_MEANS)}</p>'


def _marked(cell: str) -> str:
    return text(cell).replace(tables.BELOW, f'<span class="below">{tables.BELOW}</span>')


def _restarts(content: Content) -> Iterator[str]:
    found = content.restarts()
    if not found:
        return
    header, rows = tables.restarts(found)
    yield "<h3>Restarts with other settings</h3>"
    yield page_parts.table((header, rows), text_columns=len(header), kind="wrap")


def training(content: Content, steps: plots.Steps) -> Iterator[str]:
    """The sections of the training: how it stands, and the loss of clusters and tasks."""
    found = content.training
    shown = {name: about for name, about in _CARDS.items() if name in found.overall}
    if shown:
        yield '<section id="training"><h2>Training</h2><div class="cards">'
        for name, about in shown.items():
            step, value = found.overall[name][-1]
            yield (
                f'<div class="card"><p>{about}</p><p><strong>{text(tables.fact_text(name, value))}</strong></p>'
                f"<p>at step {step:,}</p></div>"
            )
        yield "</div>"
        for title, table in tables.losses(found.losses()).items():
            inside = page_parts.table(table, text_columns=2)
            yield f"<details><summary>{text(title)}</summary>{inside}</details>"
        yield "</section>"
    yield from _clusters(found, steps)


def _clusters(found: TrainingCurves, steps: plots.Steps) -> Iterator[str]:
    if not found.clusters:
        return
    yield '<section id="clusters"><h2>Training loss by cluster</h2>'
    yield '<p class="small">Thin lines are the tasks of a cluster.</p><div class="plots">'
    for index, (cluster, curve) in enumerate(found.clusters.items()):
        tasks = found.tasks_of(cluster)
        noun = "task" if len(tasks) == 1 else "tasks"
        yield f"<div><h3>{text(cluster or '(default)')}</h3>"
        yield f'<p class="small">{len(tasks)} {noun}, {_ends(curve)}</p>'
        svg = plots.cluster_svg(curve, list(tasks.values()), steps, f"cluster-{index}")
        yield page_parts.plot(svg, f"Loss of the cluster {cluster} and its tasks by step")
        yield "</div>"
    yield "</div></section>"


def _ends(curve: Curve) -> str:
    (first_step, first), (last_step, last) = curve[0], curve[-1]
    if first_step == last_step:
        return f"{last:.3f} nats per token at step {last_step:,}"
    return f"{first:.3f} at step {first_step:,}, {last:.3f} at step {last_step:,}"
