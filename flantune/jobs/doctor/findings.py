"""`Finding`: what a check found and what to do about it; `made` makes a check that cannot fail."""

from collections.abc import Callable, Sequence
import dataclasses

PROBLEM, WARNING, UNKNOWN, OK = "problem", "warning", "unknown", "ok"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: the check.
        level: "problem" stops a run, "warning" does not, "unknown" is a check that failed itself, "ok" is as it should be.
        found: a sentence.
        advice: what to do; empty where there is nothing to do.
    """

    what: str
    level: str
    found: str
    advice: str = ""


def problem(what: str, found: str, advice: str) -> Finding:
    return Finding(what=what, level=PROBLEM, found=found, advice=advice)


def warning(what: str, found: str, advice: str) -> Finding:
    return Finding(what=what, level=WARNING, found=found, advice=advice)


def ok(what: str, found: str) -> Finding:
    return Finding(what=what, level=OK, found=found)


def as_warning(one: Finding) -> Finding:
    """The finding, where it would stop a run as one that does not."""
    return dataclasses.replace(one, level=WARNING) if one.level == PROBLEM else one


def made(what: str, look: Callable[[], Sequence[Finding]]) -> list[Finding]:
    """The findings of a check, or one that tells with which error it failed: the others are still made."""
    try:
        return list(look())
    except (Exception, SystemExit) as error:  # it may run a user's module, which may do anything
        said = " ".join(str(error).split())
        found = f"This check failed itself: {type(error).__name__}{': ' if said else ''}{said}"
        advice = (
            "If no other finding explains it, report it; what it looks at may be right or wrong."
        )
        return [Finding(what=what, level=UNKNOWN, found=found, advice=advice)]


def shown(names: Sequence[str], limit: int = 5) -> str:
    """Example: `shown(["a", "b", "c"], limit=2)` is "a, b and 1 more"."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
