"""Plots of a report as inline SVG that follows the page's colours. Read `report_html.py` next, which places them.

Figures are drawn by matplotlib's SVG backend without pyplot, so no state is shared with other code. Each colour is
drawn as a placeholder and then replaced by a variable of the page's style sheet: one drawing fits light and dark.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import io
import re
from typing import TYPE_CHECKING

import numpy as np

from flantune.evaluation.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib import artist, axes, container, figure

_WIDTH_INCHES = 5.6  # 403 points: text keeps its size on a phone
# Two curves stand side by side on a wide page, and one fits a phone.
_CURVE_WIDTH_INCHES, _CURVE_HEIGHT_INCHES = 4.0, 2.5
_FONT_POINTS = 8.5
_INK, _MUTED, _GRID, _TUNED = "#010101", "#020202", "#030303", "#040404"
_BASELINES = ("#050505", "#060606", "#070707", "#080808")
_CARD = "#090909"  # behind the plot
_BELOW = "#0a0a0a"  # a score that a constant answer beats
_MARKERS = ("o", "D", "^", "s")
_VARIABLES = {
    _INK: "ink",
    _MUTED: "muted",
    _GRID: "grid",
    _TUNED: "tuned",
    _CARD: "card",
    _BELOW: "below",
    **{colour: f"baseline-{i}" for i, colour in enumerate(_BASELINES)},
}
_MAX_POINTS = 400
_MAX_LABEL = 36  # characters; the plot itself keeps half of the width


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bars:
    """What a bar plot shows, one entry per label.

    Attributes:
        tuned: drawn as a bar with its interval.
        baselines: values by name, drawn as markers.
        maximum: the axis ends there.
        minimum: the axis begins there.
        name: of what the bars show.
    """

    labels: Sequence[str]
    tuned: Sequence[Estimate]
    baselines: Mapping[str, Sequence[float]]
    axis_label: str
    maximum: float
    minimum: float = 0.0
    name: str = "tuned"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    """The steps that all curves of a page run over, so that they can be compared.

    Attributes:
        first: where the axis begins.
        last: where it ends.
        marks: text above a line at a step.
    """

    first: int
    last: int
    marks: Mapping[int, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scores:
    """What a curve of scores shows, one entry per evaluation.

    Attributes:
        is_below: whether the constant answer is better.
        constant: score of the constant answer by step, where it is known.
        constant_name: for the legend.
        below_name: of the marks, for the legend.
        minimum: of the score's range.
        maximum: of the score's range.
    """

    steps: Sequence[int]
    estimates: Sequence[Estimate]
    is_below: Sequence[bool]
    constant: Mapping[int, float]
    axis_label: str
    minimum: float
    maximum: float
    constant_name: str = "majority"
    below_name: str = "below majority"


def bars_svg(bars: Bars, name: str) -> str:
    """Horizontal bars with markers for the baselines; `name` keeps its ids apart from other plots of the page."""
    count = len(bars.labels)
    fig, ax = _figure(height_inches=0.75 + 0.24 * count)
    rows = np.arange(count)
    values = np.array([item.value for item in bars.tuned])
    # An interval of percentiles may leave its value outside by a rounding error.
    low = np.maximum(values - [item.low for item in bars.tuned], 0)
    high = np.maximum([item.high for item in bars.tuned] - values, 0)
    shown: list[artist.Artist | container.Container] = [
        ax.barh(rows, values, height=0.62, color=_TUNED, label=bars.name, zorder=2)
    ]
    ax.errorbar(values, rows, xerr=(low, high), fmt="none", ecolor=_INK, elinewidth=0.9, zorder=3)
    for index, (baseline, scores) in enumerate(bars.baselines.items()):
        style = index % len(_BASELINES)
        shown += ax.plot(
            scores,
            rows,
            linestyle="none",
            marker=_MARKERS[style],
            markersize=5,
            markeredgecolor=_CARD,
            markeredgewidth=0.6,
            color=_BASELINES[style],
            label=baseline,
            clip_on=False,
            zorder=4,
        )
    ax.set_yticks(rows, labels=[_shorten(label) for label in bars.labels])
    ax.set_ylim(count - 0.4, -0.6)
    ax.set_xlim(bars.minimum, bars.maximum)
    ax.set_xlabel(bars.axis_label)
    ax.grid(axis="x", color=_GRID, linewidth=0.6, zorder=0)
    _legend(fig, shown)
    return _svg(fig, ax, name)


def loss_svg(loss_curve: Sequence[tuple[int, float]], steps: Steps, name: str) -> str:
    """The training loss by step: every logged value thinly, their running mean on top.

    Values that are not finite leave gaps. Long curves are drawn as means of neighbouring points.
    """
    points, losses = _thin(np.array(loss_curve, dtype=np.float64).reshape(-1, 2))
    fig, ax = _figure(_CURVE_HEIGHT_INCHES, _CURVE_WIDTH_INCHES)
    if len(points) > 30:
        ax.plot(points, losses, color=_TUNED, linewidth=0.7, alpha=0.4)
        ax.plot(points, _running_mean(losses, len(points) // 25), color=_TUNED, linewidth=1.7)
    else:
        ax.plot(points, losses, color=_TUNED, linewidth=1.7, marker="o", markersize=3)
    _by_step(ax, "training loss (nats per token)", steps)
    return _svg(fig, ax, name)


def cluster_svg(
    cluster: Sequence[tuple[int, float]],
    tasks: Sequence[Sequence[tuple[int, float]]],
    steps: Steps,
    name: str,
) -> str:
    """The loss of a cluster by step, and behind it, thinly, that of each of its tasks."""
    fig, ax = _figure(_CURVE_HEIGHT_INCHES, _CURVE_WIDTH_INCHES)
    for task in tasks:
        ax.plot(*zip(*task, strict=True), color=_MUTED, linewidth=0.7, alpha=0.5)
    is_point = len(cluster) == 1
    ax.plot(
        *zip(*cluster, strict=True), color=_TUNED, linewidth=1.9, marker="o" if is_point else None
    )
    _by_step(ax, "loss (nats per token)", steps)
    return _svg(fig, ax, name)


def score_svg(scores: Scores, steps: Steps, name: str) -> str:
    """A score by step with the band of its intervals, the constant answer's dashed, and marks where that is better."""
    fig, ax = _figure(_CURVE_HEIGHT_INCHES, _CURVE_WIDTH_INCHES)
    values = [item.value for item in scores.estimates]
    low, high = ([getattr(item, end) for item in scores.estimates] for end in ("low", "high"))
    ax.fill_between(scores.steps, low, high, color=_TUNED, alpha=0.22, linewidth=0)
    # The ends of each interval, so that a single evaluation shows it too.
    ax.vlines(scores.steps, low, high, color=_TUNED, linewidth=0.8, alpha=0.7)
    shown: list[artist.Artist | container.Container] = [
        *ax.plot(
            scores.steps,
            values,
            color=_TUNED,
            linewidth=1.7,
            marker="o",
            markersize=3.2,
            label="tuned, 95 % interval",
            zorder=3,
        )
    ]
    if scores.constant:
        shown += _draw_constant(ax, scores, steps)
    below = [place for place, is_below in enumerate(scores.is_below) if is_below]
    if below:
        shown += ax.plot(
            [scores.steps[place] for place in below],
            [values[place] for place in below],
            linestyle="none",
            marker="v",
            markersize=7,
            markeredgecolor=_CARD,
            markeredgewidth=0.6,
            color=_BELOW,
            label=scores.below_name,
            clip_on=False,
            zorder=4,
        )
    _by_step(ax, scores.axis_label, steps)
    known = [value for value in (*low, *high, *scores.constant.values()) if np.isfinite(value)]
    ax.set_ylim(*_score_limits(known, scores.minimum, scores.maximum))
    _legend(fig, shown, columns=2)
    return _svg(fig, ax, name)


def _draw_constant(
    ax: "axes.Axes", scores: Scores, steps: Steps
) -> "list[artist.Artist | container.Container]":
    """The dashed line of the constant answer, over the whole width: it holds until the next evaluation has another."""
    at, values = list(scores.constant), list(scores.constant.values())
    line = ax.step(
        [min(steps.first, at[0]), *at, max(steps.last, at[-1])],
        [values[0], *values, values[-1]],
        where="post",
        color=_BASELINES[1],
        linewidth=1.3,
        linestyle=(0, (5, 2)),
        label=scores.constant_name,
        zorder=2,
    )
    return list(line)


def _score_limits(values: Sequence[float], minimum: float, maximum: float) -> tuple[float, float]:
    """The part of a score's range to draw: from zero, or below the lowest value, to above the highest."""
    if not values:
        return minimum, maximum
    low = min(0.0, *values) if minimum < 0 else minimum
    high = max(*values, low + 0.1 * (maximum - minimum)) if values else maximum
    margin = 0.06 * (high - low)
    return max(minimum, low - margin if low < 0 else low), min(maximum + margin, high + margin)


def _by_step(ax: "axes.Axes", label: str, steps: Steps) -> None:
    """Axes of what is drawn by step: whole steps, values from zero to a little above the highest, marks of restarts."""
    from matplotlib import ticker

    ax.set_xlabel("step")
    ax.set_ylabel(label)
    ax.xaxis.set_major_locator(ticker.MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    margin = 0.03 * max(steps.last - steps.first, 1)
    ax.set_xlim(steps.first - margin, steps.last + margin)
    ax.set_ylim(0, 1.05 * ax.get_ylim()[1])
    ax.grid(color=_GRID, linewidth=0.6)
    for step, mark in steps.marks.items():
        ax.axvline(step, color=_MUTED, linewidth=0.9, linestyle=(0, (1.5, 1.5)), zorder=1)
        ax.annotate(
            mark,
            (step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=_MUTED,
            fontsize=_FONT_POINTS,
        )


def _thin(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chunks = np.array_split(points, min(len(points), _MAX_POINTS))
    means = np.array([chunk.mean(axis=0) for chunk in chunks])
    return means[:, 0], means[:, 1]


def _running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    reach = max(reach, 1)
    windows = (values[max(0, i - reach) : i + reach + 1] for i in range(len(values)))
    return np.array([window.mean() for window in windows])


def _figure(
    height_inches: float, width_inches: float = _WIDTH_INCHES
) -> "tuple[figure.Figure, axes.Axes]":
    # Imported here: matplotlib reads its configuration file and fonts when it is imported.
    from matplotlib import figure

    fig = figure.Figure(figsize=(width_inches, height_inches), layout="constrained")
    ax = fig.add_subplot()
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return fig, ax


def _legend(
    fig: "figure.Figure",
    handles: "Sequence[artist.Artist | container.Container]",
    columns: int = 5,
) -> None:
    legend = fig.legend(
        handles=handles,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=_FONT_POINTS,
    )
    for text in legend.get_texts():
        text.set_color(_INK)
        text.set_parse_math(False)


def _svg(fig: "figure.Figure", ax: "axes.Axes", name: str) -> str:
    import matplotlib as mpl

    ax.tick_params(colors=_MUTED, labelcolor=_INK, labelsize=_FONT_POINTS, width=0.6, length=3)
    for label in (ax.xaxis.label, ax.yaxis.label):
        label.set(color=_MUTED, fontsize=_FONT_POINTS)
    for text in ax.get_yticklabels():
        text.set_parse_math(False)  # a task's name may hold "$"
    for spine in ax.spines.values():
        spine.set(color=_GRID, linewidth=0.8)
    buffer = io.StringIO()
    # Text stays text, and ids come from the name instead of a random number.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _for_page(buffer.getvalue())


def _for_page(svg: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(
        r"<style.*?</style>\s*", "", svg, count=1, flags=re.DOTALL
    )  # would style the whole page
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(
        r'<g id="[^"]*"', "<g", svg
    )  # names like "axes_1", the same in every plot, and unused
    svg = re.sub(r"font(-family)?: ([\d.]+px )?'[^;\"]*", _page_font, svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(f": {colour}", f": var(--{variable})")
    return svg


def _page_font(match: re.Match[str]) -> str:
    # matplotlib writes "font: 8.5px 'DejaVu Sans', ..." or, from 3.11 on, font-family by itself.
    return f"font{match[1] or ''}: {match[2] or ''}system-ui, sans-serif"


def _shorten(label: str) -> str:
    return label if len(label) <= _MAX_LABEL else f"{label[: _MAX_LABEL - 1]}…"
