"""`Mixture`: members and their rates. Rates, caps and weights live here and nowhere else.

A member is a task ("family:dataset"), a task in a setting ("family:dataset#setting"), another mixture, or a pattern
over task names ("family:*"). Read `rates.py` next: it turns rates into shares.
"""

from collections.abc import Mapping
import dataclasses
import math

UNITS = ("examples", "tokens")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proportional:
    """min(rows, cap) ** (1 / temperature), as T5 mixes (https://arxiv.org/abs/1910.10683, section 3.5.2).

    Attributes:
        cap: rows that count at most; None: all.
        per_template: each training template counts as a task of its own, with its own cap (T0-SF of the Flan
            Collection: 20,000 for each dataset and template).
        shared_cap: with `per_template`, a dataset of more than `cap` rows gets the cap for all of its templates
            together, a smaller one its rows for each (T0: 500,000 / number of templates).
    """

    cap: int | None = 30_000  # FLAN 2021 caps a dataset at 30,000 rows
    temperature: int | float = 1.0
    per_template: bool = False
    shared_cap: bool = False

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"proportional(temperature) must be above 0, not {self.temperature}.")
        if self.cap is not None and self.cap < 1:
            raise ValueError(f"proportional(cap) must be at least 1 or None, not {self.cap}.")
        if self.shared_cap and (self.cap is None or not self.per_template):
            raise ValueError("proportional(shared_cap=True) needs a cap and per_template=True.")

    def of(self, rows: int, num_templates: int) -> float:
        """The rate of a task."""
        capped = rows if self.cap is None else min(rows, self.cap)
        if self.per_template and not (self.shared_cap and rows > capped):
            capped *= num_templates
        return math.pow(capped, 1 / self.temperature)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Equal:
    """The same rate for each task."""

    def of(self, rows: int, num_templates: int) -> float:
        """The rate of a task."""
        return 1.0 if rows else 0.0


def proportional(
    cap: int | None = 30_000,
    temperature: int | float = 1.0,
    *,
    per_template: bool = False,
    shared_cap: bool = False,
) -> Proportional:
    """A rate in proportion to a task's rows, up to `cap` of them; see `Proportional`."""
    return Proportional(
        cap=cap, temperature=temperature, per_template=per_template, shared_cap=shared_cap
    )


def equal() -> Equal:
    """The same rate for every task that the member stands for."""
    return Equal()


Rate = int | float | Proportional | Equal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """Tasks mixed at rates, in examples or in tokens.

    Attributes:
        rates: by member. A number is the member's share next to the other numbers; a mixture or pattern given a
            number divides it among its tasks, a mixture as its own rates say, a pattern equally. `proportional()` and
            `equal()` apply to each task.
        exclude: names or patterns of tasks that a pattern must not bring in.
        held_out: name of a held-out plan (`held_out_plan.py`): tasks that it rules out by name, cluster or source dataset
            are left out, whether a pattern or a mixture brings them in.
        unit: what the rates count: "examples", or "tokens" (inputs and targets together, as they are after
            shortening), so that tasks with long examples do not outweigh the others. Inside a mixture that is a
            member, its own unit holds.
    """

    name: str
    rates: Mapping[str, Rate]
    exclude: tuple[str, ...] = ()
    held_out: str | None = None
    unit: str = "examples"

    def __post_init__(self) -> None:
        if not self.rates:
            raise ValueError(f"Mixture {self.name!r} has no member.")
        if self.unit not in UNITS:
            raise ValueError(
                f"Mixture {self.name!r}: unit must be 'examples' or 'tokens', not {self.unit!r}."
            )
        for member, rate in self.rates.items():
            if isinstance(rate, int | float) and not (math.isfinite(rate) and rate > 0):
                raise ValueError(
                    f"Mixture {self.name!r}: the rate of {member!r} must be above 0, not {rate!r}."
                )
