"""Few-shot prompts: which exemplars an example gets, and how they and the query become one text.

Exemplars come from a pool, the rows of the task's training split. They are never the query itself, a duplicate of its
text or of each other. What is drawn depends on (seed, epoch, example) alone. Read `rendering.py` next, which renders
each exemplar with the query's template.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
import itertools
from typing import TypeVar

from flantune.prompting import choice, settings as settings_lib

T = TypeVar("T")
_SPARE = 2  # candidates beyond the shots: duplicates are rare
_BALANCE = 8  # candidates for each shot among which answers are balanced


def num_shots(setting: settings_lib.PromptSetting, chooser: choice.Chooser) -> int:
    """The number of exemplars that a query asks for."""
    counts = setting.shot_counts
    return counts[0] if len(counts) == 1 else chooser.pick("shots", counts)


def num_candidates(setting: settings_lib.PromptSetting, shots: int) -> int:
    """How many rows of the pool to look at first."""
    if not shots:
        return 0
    return shots * _BALANCE if setting.label_balanced else shots + _SPARE


def candidate_rows(
    chooser: choice.Chooser, num_rows: int, excluded: Collection[int] = ()
) -> Iterator[int]:
    """Rows of a pool in an order drawn for the query, each once, without the excluded ones."""
    seen = set(excluded)
    for number in itertools.count():
        # Where most rows are seen, drawing again and again would not end.
        if 2 * (len(seen) + 1) > num_rows:
            break
        row = chooser.index(f"exemplar/{number}", num_rows)
        if row not in seen:
            seen.add(row)
            yield row
    rest = [row for row in range(num_rows) if row not in seen]
    yield from (rest[place] for place in chooser.order("exemplars", len(rest)))


def normalised(text: str) -> str:
    """The text by which duplicates are found: case and white space do not count."""
    return " ".join(text.split()).casefold()


def select(
    candidates: Sequence[T],
    *,
    shots: int,
    query_text: str,
    text_of: Callable[[T], str],
    label_of: Callable[[T], str] | None,
    chooser: choice.Chooser,
) -> list[T]:
    """Up to `shots` of the candidates: no duplicate of the query or of each other, balanced by label if that is given.

    Balanced: each answer so far rarest comes next, the candidates' order decides between equals; then the order is
    drawn, so that it tells nothing of the query's answer.
    """
    seen = {normalised(query_text)}
    different = []
    for candidate in candidates:
        text = normalised(text_of(candidate))
        if text not in seen:
            seen.add(text)
            different.append(candidate)
            if label_of is None and len(different) == shots:
                break
    if label_of is None:
        return different[:shots]  # none of them, where no shots are wanted
    chosen: list[T] = []
    labels = [label_of(candidate) for candidate in different]
    counts = dict.fromkeys(labels, 0)
    left = list(range(len(different)))
    while left and len(chosen) < shots:
        place = min(left, key=lambda index: counts[labels[index]])  # the first of the rarest
        left.remove(place)
        counts[labels[place]] += 1
        chosen.append(different[place])
    return [chosen[place] for place in chooser.order("exemplar_order", len(chosen))]


def join(
    exemplars: Sequence[tuple[str, str]], query: str, separators: settings_lib.Separators
) -> str:
    r"""One prompt of rendered exemplars, (inputs, targets) each, and the query's inputs.

    Example: exemplars [("1+1?", "2")], query "2+2?" and the default separators give "1+1?\n\n2\n\n\n2+2?".
    """
    marks = separators
    shown = [
        f"{marks.inputs_prefix}{inputs}{marks.x_y_delimiter}{marks.targets_prefix}{targets}"
        for inputs, targets in exemplars
    ]
    asked = f"{marks.inputs_prefix}{query}{marks.x_y_delimiter}{marks.targets_prefix}{marks.final_suffix}"
    return marks.example_separator.join([*shown, asked]).rstrip()
