"""A ledger as one self-contained HTML page with plots. Frame and style are those of the report (`evaluation/`).

The page loads nothing and runs no script. Every text from outside passes through `_text`, which escapes it.
"""

from collections.abc import Iterable, Iterator, Sequence
import html
import math

from flantune.audit.ledger import totals as ledger_totals
from flantune.audit.ledger.comparison import Actual
from flantune.audit.ledger.plan import Ledger
from flantune.evaluation.statistics import Estimate
from flantune.views import ledger_actual_text, ledger_text, page_style, plots

_MAX_BARS = 40
_EPOCHS_SHOWN = 24  # bars of the tasks that are repeated most often
_METHOD = (
    "Shares of examples are the mixture's rates. Tokens come from lengths measured on a sample of each task, through the "
    "run's vocabulary and after shortening; examples per row from the first blocks of the schedule, packed as in training. "
    "Epochs are how often each row of a task is seen, dropped examples included. Loss % is a task's share of the loss "
    "weights, by which the loss is divided: of the target tokens where nothing is weighted."
)


def render(ledger: Ledger) -> str:
    """The page as HTML text."""
    body = [
        *_header(ledger),
        *_summary(ledger),
        *(part for name, totals in ledger_text.totals_of(ledger) for part in _totals(name, totals)),
        *_epochs(ledger),
        *_tasks(ledger),
        *_shortened(ledger),
        f"<footer><p>{_text(_METHOD)}</p></footer>",
    ]
    title = _text(f"{ledger.mixture}: ledger")
    return page_style.PAGE.format(title=title, style=page_style.STYLE, body="\n".join(body))


def render_actual(actual: Actual) -> str:
    """The page of counted against planned as HTML text: tasks, and their templates."""
    name = actual.planned.mixture
    tasks = _table(ledger_actual_text.TASK_HEADER, ledger_actual_text.task_rows(actual))
    templates = _table(
        ledger_actual_text.TEMPLATE_HEADER,
        ledger_actual_text.template_rows(actual),
        text_columns=ledger_actual_text.TEMPLATE_TEXTS,
    )
    body = [
        f"<header><h1>Counted against planned</h1><p>{_text(name)}, {actual.step:,} steps</p></header>",
        '<nav><a href="#tasks">tasks</a><a href="#templates">templates</a></nav>',
        *(f"<p>{_text(line)}</p>" for line in ledger_actual_text.lines(actual)),
        f'<section id="tasks"><h2>Tasks</h2>{tasks}</section>',
        f'<section id="templates"><h2>Templates</h2>{templates}</section>',
    ]
    return page_style.PAGE.format(
        title=_text(f"{name}: counted"), style=page_style.STYLE, body="\n".join(body)
    )


def _header(ledger: Ledger) -> Iterator[str]:
    yield f"<header><h1>Mixture ledger</h1><p>{_text(ledger.mixture)}, {ledger.num_steps:,} steps</p></header>"
    names = [name for name, _ in ledger_text.totals_of(ledger)]
    links = "".join(f'<a href="#{name}">{name}s</a>' for name in names)
    yield f'<nav><a href="#summary">summary</a>{links}<a href="#epochs">epochs</a><a href="#tasks">tasks</a></nav>'


def _summary(ledger: Ledger) -> Iterator[str]:
    total = ledger_totals.overall(ledger)
    most = max(ledger.tasks, key=lambda entry: entry.epochs)
    tokens = total.inputs_tokens + total.targets_tokens
    cards = (
        ("examples", ledger_text.number(total.examples), f"{ledger.examples_per_row:.2f} in a row"),
        (
            "tokens",
            ledger_text.number(tokens),
            f"{ledger_text.number(tokens / ledger.num_steps)} in a step",
        ),
        ("tasks", f"{len(ledger.tasks):,}", f"{len(ledger_totals.by_cluster(ledger)):,} clusters"),
        ("most epochs", f"{most.epochs:.2g}", most.task),
    )
    yield '<section id="summary"><h2>Summary</h2><div class="cards">'
    for name, value, note in cards:
        yield f'<div class="card"><p>{name}</p><p><strong>{_text(value)}</strong></p><p>{_text(note)}</p></div>'
    yield "</div><dl>"
    for name, fact in ledger_text.facts(ledger):
        yield f"<div><dt>{_text(name)}</dt><dd>{_text(fact)}</dd></div>"
    yield "</dl>"
    if ledger.unfit:
        yield f"<p><strong>{_text(ledger_text.unfit_line(ledger))}</strong></p>"
        yield _table(ledger_text.UNFIT_HEADER, ledger_text.unfit_rows(ledger))
    for kind, lines in ledger_text.cautions(ledger).items():
        items = "".join(f"<li>{_text(line)}</li>" for line in lines)
        yield f"<details><summary>Warning: {kind} <span>{len(lines)} tasks</span></summary><ul>{items}</ul></details>"
    yield "</section>"


def _totals(name: str, totals: Sequence[ledger_totals.Total]) -> Iterator[str]:
    shown = totals[:_MAX_BARS]
    bars = plots.Bars(
        labels=[total.name or "(default)" for total in shown],
        tuned=[_exact(100 * total.token_share) for total in shown],
        baselines={"examples": [100 * total.rate for total in shown]},
        axis_label="percent",
        maximum=_axis_end(100 * max(max(t.token_share, t.rate) for t in shown)),
        name="tokens",
    )
    yield f'<section id="{name}"><h2>{_text(name)}s</h2>'
    yield _plot(plots.bars_svg(bars, f"ledger-{name}"), f"Share of tokens and examples by {name}")
    yield _table((name, *ledger_text.TOTAL_HEADER[1:]), map(ledger_text.total_cells, totals))
    yield "</section>"


def _epochs(ledger: Ledger) -> Iterator[str]:
    most = sorted(ledger.tasks, key=lambda entry: (-entry.epochs, entry.task))[:_EPOCHS_SHOWN]
    bars = plots.Bars(
        labels=[entry.task for entry in most],
        tuned=[_exact(entry.epochs) for entry in most],
        baselines={},
        axis_label="epochs",
        maximum=_axis_end(most[0].epochs),
        name="how often each row is seen",
    )
    yield '<section id="epochs"><h2>Epochs</h2><p>The tasks whose rows are repeated most often.</p>'
    yield _plot(plots.bars_svg(bars, "ledger-epochs"), "Epochs of the most repeated tasks")
    yield "</section>"


def _tasks(ledger: Ledger) -> Iterator[str]:
    yield '<section id="tasks"><h2>Tasks</h2><p>The largest share of tokens first.</p>'
    entries = ledger_text.by_tokens(ledger)
    header = (*ledger_text.TASK_HEADER, "kinds", "shots", "templates", "licence")
    rows = (
        [
            *ledger_text.task_cells(entry),
            ", ".join(entry.kinds),
            ", ".join(map(str, entry.shots)),
            str(entry.templates),
            entry.licence,
        ]
        for entry in entries
    )
    yield _table(header, rows)
    yield "</section>"


def _shortened(ledger: Ledger) -> Iterator[str]:
    rows = ledger_text.lost_rows(ledger)
    if rows:
        yield '<section id="shortened"><h2>Shortened</h2><p>What examples lose to fit.</p>'
        yield _table(ledger_text.LOST_HEADER, rows, text_columns=(0, 1))
        yield "</section>"


def _exact(value: float) -> Estimate:
    """A number without an interval, as the bar plot takes it."""
    return Estimate(value=value, low=value, high=value)


def _axis_end(largest: float) -> float:
    """The next round number above a value: 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest)


def _table(
    header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[int] = (0,)
) -> str:
    def row_html(tag: str, cells: Sequence[str]) -> str:
        marks = (' class="text"' if place in text_columns else "" for place in range(len(cells)))
        inside = "".join(
            f"<{tag}{mark}>{_text(cell)}</{tag}>" for mark, cell in zip(marks, cells, strict=True)
        )
        return f"<tr>{inside}</tr>"

    body = "".join(row_html("td", row) for row in rows)
    return f'<div class="scroll"><table><thead>{row_html("th", header)}</thead><tbody>{body}</tbody></table></div>'


def _plot(svg: str, description: str) -> str:
    return f'<figure class="scroll" role="img" aria-label="{_text(description)}">{svg}</figure>'


def _text(value: object) -> str:
    return html.escape(str(value))
