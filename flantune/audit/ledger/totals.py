"""Totals of a ledger by cluster, submixture and setting, and what in it deserves a second look."""

from collections.abc import Callable, Mapping
import dataclasses

from flantune.audit.ledger.plan import Ledger, TaskEntry

# Repeating text up to 4 times costs next to nothing, beyond 16 times it adds next to nothing
# (https://arxiv.org/abs/2305.16264).
MAX_EPOCHS = 16
MAX_TOKEN_RATIO = 5  # share of tokens by share of examples
MAX_DROPPED = 0.01
MAX_CUT = 0.2
DIRECT = "(direct)"
_MIN_SHARE = 0.001  # of the tokens, from which a task with long examples weighs on the others


@dataclasses.dataclass(frozen=True, kw_only=True)
class Total:
    """The sum over some tasks; a task that stands in several submixtures counts in each with its part."""

    name: str
    tasks: int
    rate: float
    token_share: float
    loss_share: float
    visits: float
    examples: float
    inputs_tokens: float
    targets_tokens: float


def by_cluster(ledger: Ledger) -> list[Total]:
    """Totals by cluster, the largest share of tokens first."""
    return _totals(ledger, lambda entry: {entry.cluster: 1.0})


def by_setting(ledger: Ledger) -> list[Total]:
    """Totals by prompt setting; "" is the default one."""
    return _totals(ledger, lambda entry: {entry.setting: 1.0})


def by_submixture(ledger: Ledger) -> list[Total]:
    """Totals by submixture: "flan" has all that is in "flan/few_shot" too; DIRECT is what is in none."""
    return _totals(ledger, _submixtures)


def overall(ledger: Ledger) -> Total:
    """The total of all tasks."""
    return _totals(ledger, lambda entry: {ledger.mixture: 1.0})[0]


def _submixtures(entry: TaskEntry) -> dict[str, float]:
    """The part of a task in each submixture and in those that contain it."""
    parts: dict[str, float] = {}
    for path, share in entry.submixtures.items():
        names = path.split("/") if path else [DIRECT]
        for depth in range(1, len(names) + 1):
            name = "/".join(names[:depth])
            parts[name] = parts.get(name, 0.0) + share / entry.rate
    return parts


def _totals(ledger: Ledger, parts_of: Callable[[TaskEntry], Mapping[str, float]]) -> list[Total]:
    fields = [
        field.name for field in dataclasses.fields(Total) if field.name not in ("name", "tasks")
    ]
    sums: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for entry in ledger.tasks:
        for name, part in parts_of(entry).items():
            own = sums.setdefault(name, dict.fromkeys(fields, 0.0))
            counts[name] = counts.get(name, 0) + 1
            for field in fields:
                own[field] += part * getattr(entry, field)
    found = [Total(name=name, tasks=counts[name], **own) for name, own in sums.items()]
    return sorted(found, key=lambda total: (-total.token_share, total.name))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Caution:
    """Something about a task that deserves a second look.

    Attributes:
        code: "epochs", "no_examples", "token_share", "dropped" or "cut".
    """

    code: str
    task: str
    message: str


def cautions(ledger: Ledger) -> list[Caution]:
    """What deserves a second look, task by task."""
    return [
        Caution(code=code, task=entry.task, message=message)
        for entry in ledger.tasks
        for code, message in _cautions(entry).items()
    ]


def _cautions(entry: TaskEntry) -> dict[str, str]:
    found = {}
    if entry.examples < 1:
        found["no_examples"] = (
            f"None of its {entry.rows:,} rows fits.{_needed(entry)}"
            if entry.dropped == 1
            else f"Of {entry.visits:.2g} examples the run may not see a single one."
        )
    if entry.epochs > MAX_EPOCHS:
        found["epochs"] = f"Its {entry.rows:,} rows are seen {entry.epochs:,.1f} times each."
    if entry.token_share > max(_MIN_SHARE, MAX_TOKEN_RATIO * entry.rate):
        found["token_share"] = (
            f"It has {entry.rate:.2%} of the examples but {entry.token_share:.2%} of the tokens."
        )
    if MAX_DROPPED < entry.dropped < 1:
        found["dropped"] = (
            f"{entry.dropped:.1%} of its examples do not fit and are dropped.{_needed(entry)}"
        )
    if entry.cut > MAX_CUT:
        lost = ", ".join(f"{part} in {share:.1%}" for part, share in by_share(entry.lost))
        found["cut"] = f"{entry.cut:.1%} of its examples are shortened to fit, and lose {lost}."
    return found


def by_share(lost: Mapping[str, float]) -> list[tuple[str, float]]:
    """What examples lose, the most frequent first."""
    return sorted(lost.items(), key=lambda item: (-item[1], item[0]))


def _needed(entry: TaskEntry) -> str:
    return f" 95 % would be kept with inputs_length={entry.needed}." if entry.needed else ""
