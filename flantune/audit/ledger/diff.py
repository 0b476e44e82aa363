"""What differs between two ledgers, task by task, the largest change of tokens first."""

import dataclasses

from flantune.audit.ledger.plan import Ledger, TaskEntry

# What two entries are compared in; texts and tuples as they are, numbers where they differ by more than rounding.
_COMPARED = (
    "cluster",
    "rows",
    "caps",
    "rate",
    "token_share",
    "loss_share",
    "loss_weight",
    "examples",
    "inputs_tokens",
    "targets_tokens",
    "epochs",
    "mean_inputs_tokens",
    "mean_targets_tokens",
    "cut",
    "lost",
    "dropped",
    "needed",
    "templates",
    "kinds",
    "shots",
    "licence",
    "lineage",
)
_FACTS = tuple(
    field.name
    for field in dataclasses.fields(Ledger)
    if field.name not in ("tasks", "format_version")
)
_ROUNDING = 1e-9  # relative


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """A task that differs.

    Attributes:
        kind: "added" (only in the second ledger), "removed" (only in the first) or "changed".
        tokens: inputs and targets of the second ledger less those of the first.
        fields: of a changed task, the first and the second value of each field that differs.
    """

    task: str
    kind: str
    tokens: float
    fields: dict[str, tuple[object, object]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Difference:
    """What differs between two ledgers.

    Attributes:
        facts: the first and the second value of each fact of the runs that differs.
        unchanged: how many tasks are the same in both.
    """

    facts: dict[str, tuple[object, object]]
    changes: tuple[Change, ...]
    unchanged: int

    def to_json(self) -> dict[str, object]:
        return dataclasses.asdict(self)


def diff(first: Ledger, second: Ledger) -> Difference:
    """What differs, the largest change of tokens first."""
    before = {entry.task: entry for entry in first.tasks}
    after = {entry.task: entry for entry in second.tasks}
    changes = [
        change
        for name in dict.fromkeys((*before, *after))
        if (change := _change(name, before.get(name), after.get(name))) is not None
    ]
    return Difference(
        facts=_different(first, second, _FACTS),
        changes=tuple(sorted(changes, key=lambda change: (-abs(change.tokens), change.task))),
        unchanged=len({*before, *after}) - len(changes),
    )


def _change(name: str, before: TaskEntry | None, after: TaskEntry | None) -> Change | None:
    if before is None or after is None:
        kind = "added" if before is None else "removed"
        tokens = (after.tokens if after else 0.0) - (before.tokens if before else 0.0)
        return Change(task=name, kind=kind, tokens=tokens, fields={})
    fields = _different(before, after, _COMPARED)
    if not fields:
        return None
    return Change(task=name, kind="changed", tokens=after.tokens - before.tokens, fields=fields)


def _different(
    first: object, second: object, names: tuple[str, ...]
) -> dict[str, tuple[object, object]]:
    pairs = {name: (getattr(first, name), getattr(second, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if not _same(*pair)}


def _same(first: object, second: object) -> bool:
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= _ROUNDING * max(abs(first), abs(second))
    return first == second
