"""Tables that are whole at any width: no column is left out, no word or number is cut.

`whole` takes what a view returns; `show.write` calls it for every command. Cells wrap between words; where columns still
have no room, names stand in lines of their own, and where that is not enough, each row is a block of lines:

    task      rows  share        task                task
    cli:long    16   50 %          rows  share         cli:long
                                 cli:long                rows   16
                                     16   50 %           share  50 %
"""

from collections.abc import Iterator, Sequence
import dataclasses

import rich.box
import rich.cells
import rich.console
import rich.padding
import rich.table
import rich.text

_PROSE = 16  # columns that a text of several words gets at least
_LONGEST_WORD = 20  # longer ones may break, but for those of the first column, which are names
_GAP = 2  # between columns
_INDENT = 2  # of a block's lines
_SMALLEST_VALUE = 16  # columns for a value in a block; what is narrower stands below its label


def whole(view: rich.console.RenderableType) -> rich.console.RenderableType:
    """The view with tables that fold; a string is shown as it stands, since brackets are no markup."""
    if isinstance(view, rich.console.Group):
        return rich.console.Group(*_set_apart([whole(part) for part in view.renderables]))
    if isinstance(view, rich.table.Table):
        return _Folding(view)
    return rich.text.Text(view) if isinstance(view, str) else view


def _set_apart(
    parts: Sequence[rich.console.RenderableType],
) -> Iterator[rich.console.RenderableType]:
    """The parts with an empty line after each table that is not the last part."""
    for number, part in enumerate(parts, 1):
        yield part
        if isinstance(part, _Folding) and number < len(parts):
            yield rich.text.Text()


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column's cells as texts, the first of them its header."""

    texts: Sequence[rich.text.Text]
    is_number: bool
    is_first: bool

    @property
    def justify(self) -> rich.console.JustifyMethod:
        return "right" if self.is_number else "left"

    @property
    def widest(self) -> int:
        return max(map(_width, self.texts))

    @property
    def narrowest(self) -> int:
        """How narrow it may be before it reads badly."""
        header, *cells = self.texts
        if self.is_number:  # a number in two lines is another number
            return max([_longest_word(header), *map(_width, cells)])
        longest_word = max(map(_longest_word, self.texts))
        if not self.is_first:
            longest_word = min(longest_word, _LONGEST_WORD)
        return min(self.widest, max(longest_word, _PROSE))


class _Folding:
    """A table of rich that is laid out when its width is known."""

    def __init__(self, table: rich.table.Table):
        self._table = table

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> Iterator[rich.console.RenderableType]:
        columns = [
            _Column(
                [_text(column.header), *map(_text, column.cells)],
                is_number=column.justify == "right",
                is_first=position == 0,
            )
            for position, column in enumerate(self._table.columns)
        ]
        room = options.max_width
        if (widths := _widths(columns, room)) is not None:
            yield self._laid_out(columns, widths)
        elif len(columns) > 2 and (widths := _widths(columns[1:], room - _INDENT)) is not None:
            yield from self._with_title_lines(columns, widths)
        else:
            yield from self._blocks(columns, room)

    def _laid_out(self, columns: Sequence[_Column], widths: Sequence[int]) -> rich.table.Table:
        has_lines = any("\n" in text.plain for column in columns for text in column.texts)
        is_pair = len(columns) == 2  # labels set its rows apart
        made = rich.table.Table(
            box=rich.box.SIMPLE_HEAD,
            show_edge=False,
            pad_edge=False,
            padding=(0, _GAP - 1, 0, 0),  # the box has a blank between columns, too
            show_lines=self._table.show_lines or (has_lines and not is_pair),
            show_header=any(column.texts[0].plain for column in columns),
        )
        for column, width in zip(columns, widths, strict=True):
            made.add_column(column.texts[0], width=width, justify=column.justify, overflow="fold")
        for number, row in enumerate(self._table.rows, 1):
            cells = [column.texts[number] for column in columns]
            made.add_row(*cells, end_section=row.end_section)
        return made

    def _with_title_lines(
        self, columns: Sequence[_Column], widths: Sequence[int]
    ) -> Iterator[rich.console.RenderableType]:
        """Each row's first cell in a line of its own, and the others in columns below."""
        for number in range(len(self._table.rows) + 1):
            title, *cells = [column.texts[number] for column in columns]
            if title.plain:
                yield _folded(title)
            grid = rich.table.Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
            for column, width in zip(columns[1:], widths, strict=True):
                grid.add_column(width=width, justify=column.justify, overflow="fold")
            grid.add_row(*cells)
            yield rich.padding.Padding(grid, (0, 0, 0, _INDENT), expand=False)
            if number == 0:
                yield rich.text.Text("─" * (sum(widths) + _GAP * (len(widths) - 1) + _INDENT))

    def _blocks(
        self, columns: Sequence[_Column], width: int
    ) -> Iterator[rich.console.RenderableType]:
        labels = [column.texts[0] for column in columns]
        if labels[0].plain:
            yield rich.text.Text(labels[0].plain, style="bold")
        for number in range(1, len(self._table.rows) + 1):
            if number > 1:
                yield rich.text.Text()
            yield _block(labels, [column.texts[number] for column in columns], width)


def _widths(columns: Sequence[_Column], room: int) -> list[int] | None:
    """Widths in which columns and the gaps between them have room."""
    return fitting_widths(
        [column.widest for column in columns],
        [column.narrowest for column in columns],
        room - _GAP * (len(columns) - 1),
    )


def fitting_widths(widest: Sequence[int], narrowest: Sequence[int], room: int) -> list[int] | None:
    """Widths of columns that together have room, the widest made narrower first; None where even the narrowest have not.

    Example: `fitting_widths([10, 30, 20], [10, 5, 5], 40)` is [10, 15, 15].
    """
    if sum(narrowest) > room:
        return None
    widths = list(widest)
    while sum(widths) > room:
        candidates = [i for i in range(len(widths)) if widths[i] > narrowest[i]]
        widths[max(candidates, key=lambda i: widths[i])] -= 1
    return widths


def _block(
    labels: Sequence[rich.text.Text], cells: Sequence[rich.text.Text], width: int
) -> rich.console.RenderableType:
    """A row as lines: its first cell, then each other cell with something in it beside its label."""
    pairs = [(label, cell) for label, cell in zip(labels[1:], cells[1:], strict=True) if cell.plain]
    title = rich.padding.Padding(_folded(cells[0]), (0, 0, 0, _INDENT), expand=False)
    parts: list[rich.console.RenderableType] = [title] if cells[0].plain else []
    label_width = max(map(_width, labels[1:]), default=0)
    beside = width - 2 * _INDENT - label_width - _GAP >= _SMALLEST_VALUE
    parts += [_line(label, cell, label_width if beside else None) for label, cell in pairs]
    return rich.console.Group(*parts)


def _line(
    label: rich.text.Text, cell: rich.text.Text, label_width: int | None
) -> rich.console.RenderableType:
    """A cell beside its label, or below it where there is no room."""
    if label_width is None:
        below = rich.padding.Padding(_folded(cell), (0, 0, 0, _GAP), expand=False)
        made: rich.console.RenderableType = rich.console.Group(_folded(label), below)
    else:
        grid = rich.table.Table.grid(padding=(0, _GAP, 0, 0), pad_edge=False)
        grid.add_column(width=label_width)
        grid.add_column(overflow="fold")
        grid.add_row(label, cell)
        made = grid
    return rich.padding.Padding(made, (0, 0, 0, 2 * _INDENT), expand=False)


def _folded(text: rich.text.Text) -> rich.text.Text:
    copy = text.copy()
    copy.overflow, copy.no_wrap = "fold", False
    return copy


def _text(cell: rich.console.RenderableType) -> rich.text.Text:
    """A cell of a table; views make texts and strings."""
    return cell if isinstance(cell, rich.text.Text) else rich.text.Text(str(cell))


def _width(text: rich.text.Text) -> int:
    """Columns of the longest line of a text."""
    return max(map(rich.cells.cell_len, text.plain.split("\n")))


def _longest_word(text: rich.text.Text) -> int:
    """Columns of the longest word of a text."""
    return max(map(rich.cells.cell_len, text.plain.split()), default=0)
