"""`Mixture`: members and their rates. The one place rates come from; SeqIO and the Grain pipeline both ask here.

A member is a task ("family:dataset"), a task in a setting ("family:dataset#setting"), another mixture, or a pattern
over task names ("family:*"). Read `schedule.py` next: it turns rates into an order.
"""

from collections.abc import Callable, Collection, Mapping
import dataclasses
import fnmatch
import math

from flantune.data import names as names_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proportional:
    """min(rows, cap) ** (1 / temperature), as T5 mixes (https://arxiv.org/abs/1910.10683, section 3.5.2)."""

    cap: int | None = 30_000  # FLAN 2021 caps a dataset at 30,000 rows
    temperature: int | float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"proportional(temperature) must be above 0, not {self.temperature}.")
        if self.cap is not None and self.cap < 1:
            raise ValueError(f"proportional(cap) must be at least 1 or None, not {self.cap}.")

    def of_rows(self, rows: int) -> float:
        capped = rows if self.cap is None else min(rows, self.cap)
        return math.pow(capped, 1 / self.temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equal:
    """The same rate for each task."""

    def of_rows(self, rows: int) -> float:
        return 1.0 if rows else 0.0


def proportional(cap: int | None = 30_000, temperature: int | float = 1.0) -> Proportional:
    """A rate in proportion to a task's rows, up to `cap` of them."""
    return Proportional(cap=cap, temperature=temperature)


def equal() -> Equal:
    """The same rate for every task that the member stands for."""
    return Equal()


Rate = int | float | Proportional | Equal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """Tasks mixed at rates, in examples.

    Attributes:
        rates: by member. A number is the member's share next to the other numbers; a mixture or pattern given a
            number divides it among its tasks, a pattern equally. `proportional()` and `equal()` apply to each task.
        exclude: names or patterns of tasks that a pattern must not bring in.
    """

    name: str
    rates: Mapping[str, Rate]
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.rates:
            raise ValueError(f"Mixture {self.name!r} has no member.")
        for member, rate in self.rates.items():
            if isinstance(rate, int | float) and not (math.isfinite(rate) and rate > 0):
                raise ValueError(
                    f"Mixture {self.name!r}: the rate of {member!r} must be above 0, not {rate!r}."
                )

    def members(self, mixtures: Mapping[str, "Mixture"], tasks: Collection[str]) -> tuple[str, ...]:
        """Names of all its tasks (with their settings), each once, in order."""
        return tuple(dict.fromkeys(name for name, _ in self._expand(mixtures, tasks, ())))

    def task_rates(
        self,
        mixtures: Mapping[str, "Mixture"],
        tasks: Collection[str],
        num_rows: Callable[[str], int],
    ) -> dict[str, float]:
        """The share of each task, in examples; shares add up to 1 and none is 0.

        Args:
            mixtures: all mixtures by name.
            tasks: names of all tasks.
            num_rows: rows of a member's split.

        Raises:
            KeyError: a member is neither a task nor a mixture, or a pattern matches nothing.
            ValueError: a mixture contains itself.
        """
        shares: dict[str, float] = {}
        for name, weight in self._weighted(mixtures, tasks, num_rows, ()):
            if weight > 0:
                shares[name] = shares.get(name, 0.0) + weight
        total = sum(shares.values())
        if not total:
            raise ValueError(f"Mixture {self.name!r} has no example: every task is empty.")
        return {name: share / total for name, share in shares.items()}

    def _weighted(
        self,
        mixtures: Mapping[str, "Mixture"],
        tasks: Collection[str],
        num_rows: Callable[[str], int],
        path: tuple[str, ...],
    ) -> list[tuple[str, float]]:
        self._check_cycle(path)
        weighted: list[tuple[str, float]] = []
        for member, rate in self.rates.items():
            if member in mixtures:
                inner = mixtures[member]._weighted(mixtures, tasks, num_rows, (*path, self.name))
            else:
                inner = [(name, 1.0) for name in self._matches(member, mixtures, tasks)]
            if isinstance(rate, int | float):
                total = sum(weight for name, weight in inner if weight > 0)
                weighted += [(name, rate * weight / total) for name, weight in inner if total]
            else:
                weighted += [(name, rate.of_rows(num_rows(name))) for name, _ in inner]
        return weighted

    def _expand(
        self, mixtures: Mapping[str, "Mixture"], tasks: Collection[str], path: tuple[str, ...]
    ) -> list[tuple[str, str]]:
        self._check_cycle(path)
        pairs: list[tuple[str, str]] = []
        for member in self.rates:
            if member in mixtures:
                pairs += mixtures[member]._expand(mixtures, tasks, (*path, self.name))
            else:
                pairs += [(name, member) for name in self._matches(member, mixtures, tasks)]
        return pairs

    def _check_cycle(self, path: tuple[str, ...]) -> None:
        if self.name in path:
            raise ValueError(
                f"Mixture {self.name!r} contains itself: {' -> '.join((*path, self.name))}."
            )

    def _matches(
        self, member: str, mixtures: Mapping[str, "Mixture"], tasks: Collection[str]
    ) -> list[str]:
        task, hash_mark, setting = member.partition("#")
        if any(mark in task for mark in "*?["):
            found = [
                name + hash_mark + setting
                for name in sorted(fnmatch.filter(tasks, task))
                if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude)
            ]
            if not found:
                raise KeyError(f"Mixture {self.name!r}: no task matches {member!r}.")
            return found
        if task not in tasks:
            raise KeyError(
                names_lib.unknown(f"Mixture {self.name!r} names", member, [*tasks, *mixtures])
            )
        return [member]
