"""The training of a run as one self-contained HTML page: losses of all, clusters and tasks, speed, memory, wall time.

Frame and style are those of the report (`evaluation/`). The page loads nothing and runs no script. Every text from
outside passes through `_text`, which escapes it.
"""

from collections.abc import Iterator
import html

from flantune.views import page_style, plots, tables
from flantune.views.training_curves import Curve, TrainingCurves

_METHOD = (
    "Losses of clusters and tasks are cross entropy in nats per target token, without z-loss, over the tokens since the "
    "line before, from the same forward passes as the training loss. Thin lines are the tasks of a cluster."
)
_WALL_TIME = (
    "Over all starts of the run. Lost steps were done again after a restart. Goodput is the share of the wall time in steps "
    "that were not lost; start includes preparation, loading and the first step, which compiles."
)
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


def render(curves: TrainingCurves) -> str:
    """The page as HTML text."""
    body = [
        f"<header><h1>Training</h1><p>{_text(curves.run_dir)}</p></header>",
        *_overall(curves),
        *_wall_time(curves),
        *_clusters(curves),
        *_tasks(curves),
        f"<footer><p>{_text(_METHOD)}</p></footer>",
    ]
    title = _text(f"{curves.run_dir}: training")
    return page_style.PAGE.format(title=title, style=page_style.STYLE, body="\n".join(body))


def _overall(curves: TrainingCurves) -> Iterator[str]:
    yield '<section id="summary"><h2>Summary</h2><div class="cards">'
    for name, about in _CARDS.items():
        if name in curves.overall:
            step, value = curves.overall[name][-1]
            shown = _text(tables.fact_text(name, value))
            yield f'<div class="card"><p>{about}</p><p><strong>{shown}</strong></p><p>at step {step:,}</p></div>'
    yield "</div>"
    yield _plot(plots.loss_svg(curves.overall["loss"], "training-loss"), "Training loss by step")
    yield "</section>"


def _wall_time(curves: TrainingCurves) -> Iterator[str]:
    if not curves.wall_time:
        return
    yield '<section id="wall-time"><h2>Wall time</h2><dl>'
    for label, value in tables.run_facts(curves.wall_time):
        yield f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>"
    yield f"</dl><p class='small'>{_text(_WALL_TIME)}</p></section>"


def _clusters(curves: TrainingCurves) -> Iterator[str]:
    if not curves.clusters:
        yield '<section id="clusters"><h2>Clusters</h2><p>No line of tasks is written yet.</p></section>'
        return
    yield '<section id="clusters"><h2>Clusters</h2>'
    for index, (cluster, curve) in enumerate(curves.clusters.items()):
        tasks = curves.tasks_of(cluster)
        name = _text(cluster or "(default)")
        noun = "task" if len(tasks) == 1 else "tasks"
        yield f"<h3>{name}</h3><p class='small'>{len(tasks)} {noun}, {_ends(curve)}</p>"
        svg = plots.cluster_svg(curve, list(tasks.values()), f"cluster-{index}")
        yield _plot(svg, f"Loss of the cluster {cluster} and its tasks by step")
    yield "</section>"


def _tasks(curves: TrainingCurves) -> Iterator[str]:
    if not curves.tasks:
        return
    yield '<section id="tasks"><h2>Tasks</h2><p>The highest last loss first.</p><div class="scroll"><table><thead><tr>'
    for title, kind in (("task", "text"), ("cluster", "text"), ("first", ""), ("last", "")):
        yield f'<th class="{kind}">{title}</th>'
    yield "</tr></thead><tbody>"
    for name, curve in sorted(curves.tasks.items(), key=lambda item: (-item[1][-1][1], item[0])):
        cluster = curves.cluster_of.get(name, "")
        yield (
            f'<tr><td class="text">{_text(name)}</td><td class="text">{_text(cluster)}</td>'
            f"<td>{curve[0][1]:.3f}</td><td>{curve[-1][1]:.3f}</td></tr>"
        )
    yield "</tbody></table></div></section>"


def _ends(curve: Curve) -> str:
    (first_step, first), (last_step, last) = curve[0], curve[-1]
    if first_step == last_step:
        return f"{last:.3f} nats per token at step {last_step:,}"
    return f"{first:.3f} at step {first_step:,}, {last:.3f} at step {last_step:,}"


def _plot(svg: str, description: str) -> str:
    return f'<figure class="scroll" role="img" aria-label="{_text(description)}">{svg}</figure>'


def _text(value: object) -> str:
    return html.escape(str(value))
