"""Names of tasks and mixtures: patterns, and messages for those that nobody knows, with the closest ones that somebody does."""

from collections.abc import Collection
import difflib


def closest(name: str, known: Collection[str], count: int = 3) -> list[str]:
    """Up to `count` of the known names that look most like `name`, the closest first: none that is much further than it."""
    near = difflib.get_close_matches(name, list(known), n=count, cutoff=0.5)
    likeness = [difflib.SequenceMatcher(None, one, name).ratio() for one in near]
    return [one for one, ratio in zip(near, likeness, strict=True) if ratio >= likeness[0] - 0.1]


def unknown(who: str, name: str, known: Collection[str]) -> str:
    """One sentence: who asked for which name, and what it may have meant.

    Example: `unknown("Mixture 'all' names", "nli:rt", ["nli:rte"])` is
    "Mixture 'all' names 'nli:rt', which does not exist. Did you mean 'nli:rte'?"
    """
    near = closest(name, known)
    sentence = f"{who} {name!r}, which does not exist."
    if near:
        return f"{sentence} Did you mean {' or '.join(repr(item) for item in near)}?"
    shown = ", ".join(repr(item) for item in sorted(known)[:8])
    more = f" and {len(known) - 8} more" if len(known) > 8 else ""
    return f"{sentence} There are: {shown or 'none'}{more}."


def is_pattern(name: str) -> bool:
    """Example: `is_pattern("flan2021:*")` is True."""
    return any(mark in name for mark in "*?[")
