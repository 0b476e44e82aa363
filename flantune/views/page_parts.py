"""Pieces of a page: escaped text, tables that scroll inside themselves, figures. The frame is in `page_style.py`."""

from collections.abc import Iterable, Sequence
import html

from flantune.views import tables


def text(value: object) -> str:
    """A text from outside as HTML."""
    return html.escape(str(value))


def words(name: str) -> str:
    """A name for readers: "unseen_cluster" is "unseen cluster"."""
    return text(name.replace("_", " "))


def table(
    content: tables.Table, *, strong: int | None = None, text_columns: int = 1, kind: str = ""
) -> str:
    """A table; the column `strong` stands out, the first ones hold text. The kind "wrap" breaks long cells of the last two."""
    header, rows = content
    cells = ([*map(text, row)] for row in rows)
    return html_table(header, cells, strong=strong, text_columns=text_columns, kind=kind)


def html_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    strong: int | None = None,
    text_columns: int = 1,
    kind: str = "",
) -> str:
    """The same of cells that are HTML already."""

    def row_html(tag: str, cells: Sequence[str]) -> str:
        classes = [
            "text" if i < text_columns else "strong" if i == strong else ""
            for i in range(len(cells))
        ]
        marked = zip(classes, cells, strict=True)
        inside = "".join(f'<{tag} class="{kind}">{cell}</{tag}>' for kind, cell in marked)
        return f"<tr>{inside}</tr>"

    head = row_html("th", [text(name) for name in header])
    body = "".join(row_html("td", row) for row in rows)
    # A scrolling box that the keyboard reaches.
    return (
        f'<div class="scroll" tabindex="0"><table class="{kind}">'
        f"<thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def plot(svg: str, description: str) -> str:
    """A figure, described for those who do not see it."""
    return f'<figure class="scroll" role="img" aria-label="{text(description)}">{svg}</figure>'
