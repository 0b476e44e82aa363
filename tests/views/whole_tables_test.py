"""Tables at any width: no column, word or number is lost."""

import io

import hypothesis
from hypothesis import strategies
import pytest
import rich.console
import rich.table
import rich.text

from flantune.views import whole_tables


def shown(view, width):
    file = io.StringIO()
    rich.console.Console(file=file, width=width).print(whole_tables.whole(view))
    return file.getvalue()


def table(header, rows, numbers=()):
    made = rich.table.Table()
    for name in header:
        made.add_column(name, justify="right" if name in numbers else "left")
    for row in rows:
        made.add_row(*row)
    return made


SUITES = table(
    ("suite", "tasks", "tuned", "majority"),
    [("seen", "1,218", "0.853 (0.820 to 0.886)", "0.250"), ("unseen", "3", "0.1", "")],
    numbers=("tasks", "majority"),
)


def lines(text):
    return [line.rstrip() for line in text.splitlines()]


def test_a_table_that_fits_has_a_line_for_each_row():
    assert lines(shown(SUITES, 60)) == [
        "suite   tasks  tuned                   majority",
        "───────────────────────────────────────────────",
        "seen    1,218  0.853 (0.820 to 0.886)     0.250",
        "unseen      3  0.1",
    ]


def test_a_text_wraps_between_words_before_numbers_do():
    assert lines(shown(SUITES, 43)) == [
        "suite   tasks  tuned               majority",
        "───────────────────────────────────────────",
        "seen    1,218  0.853 (0.820 to        0.250",
        "               0.886)",
        "unseen      3  0.1",
    ]


def test_names_stand_in_lines_of_their_own_where_columns_have_no_room():
    assert lines(shown(SUITES, 36)) == [
        "suite",
        "  tasks  tuned              majority",
        "────────────────────────────────────",
        "seen",
        "  1,218  0.853 (0.820 to       0.250",
        "         0.886)",
        "unseen",
        "      3  0.1",
    ]


def test_rows_are_blocks_where_that_has_no_room_either():
    assert lines(shown(SUITES, 32)) == [
        "suite",
        "  seen",
        "    tasks     1,218",
        "    tuned     0.853 (0.820 to",
        "              0.886)",
        "    majority  0.250",
        "",
        "  unseen",
        "    tasks     3",
        "    tuned     0.1",
    ]


def test_brackets_are_no_markup():
    parts = rich.console.Group(table(("[a]",), [("[red]",)]), "[done] 3", rich.text.Text("[b]"))
    assert lines(shown(parts, 40)) == ["[a]", "─────", "[red]", "", "[done] 3", "[b]"]


def test_a_cell_of_several_lines_keeps_them_in_a_block():
    header = ("template", "inputs", "kind", "original_task_of_it")
    text = shown(table(header, [("0", "Copy:\n\n  {word}\nPlease.", "direct", "yes")]), 30)
    assert lines(text)[3:6] == ["      Copy:", "", "        {word}"]


TOKENS = strategies.lists(
    strategies.text("abcdefgh0123456789:_.%", min_size=1, max_size=9), min_size=2, max_size=9
)


@hypothesis.given(TOKENS, strategies.integers(1, 4), strategies.integers(30, 200))
@hypothesis.settings(max_examples=60)
def test_every_cell_is_there_at_every_width(tokens, num_rows, width):
    header = [f"h{column}" for column in range(len(tokens))]
    rows = [
        [f"{row}-{column}-{token}" for column, token in enumerate(tokens)]
        for row in range(num_rows)
    ]
    text = shown(table(header, rows, numbers=header[1::2]), width)
    for cell in (*header, *(cell for row in rows for cell in row)):
        assert cell in text
    assert max(map(len, text.splitlines())) <= width


def test_a_name_longer_than_the_width_breaks_but_stays_whole():
    name = "natural_instructions:" + "x" * 40 + "_end"
    text = shown(table(("task", "rows"), [(name, "12")], numbers=("rows",)), 40)
    assert name in "".join(line.strip() for line in text.splitlines())
    assert "rows  12" in text


@pytest.mark.parametrize(
    ("room", "expected"), [(60, [10, 30, 20]), (40, [10, 15, 15]), (20, [10, 5, 5]), (19, None)]
)
def test_the_widest_column_gives_way_first(room, expected):
    assert whole_tables.fitting_widths([10, 30, 20], [10, 5, 5], room) == expected
