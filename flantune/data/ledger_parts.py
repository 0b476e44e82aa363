"""Where a task's share comes from: the submixtures on the way to it, the rate it has there, the cap of that rate.

    Mixture "all": {"flan": 0.5, "cot": 0.5}, both of which hold the task "qa:a"
    ->  Part(task="qa:a", path=("flan",), share=0.1, rate=proportional(30_000)), Part(task="qa:a", path=("cot",), ...)

Shares themselves are resolved by `rates.py` alone. Read `ledger.py` next.
"""

from collections.abc import Mapping
import dataclasses

from flantune.data import catalog as catalog_lib, members as members_lib, rates as rates_lib
from flantune.data.mixture import Mixture, Rate
from flantune.prompting import settings as settings_lib

_ONE = "ledger:one"  # a task of weight 1, which gives the other weights their scale


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """What a task gets through one submixture.

    Attributes:
        path: names of the mixtures inside the run's mixture that lead to the task; () where it is a direct member.
        share: of all examples of the run's mixture.
        rate: of the member that brings the task in.
    """

    task: str
    path: tuple[str, ...]
    share: float
    rate: Rate


def parts(catalog: catalog_lib.Catalog, name: str, sizes: rates_lib.Sizes) -> list[Part]:
    """The parts of a mixture, whose shares add up to 1; of a task or pattern alone: none."""
    if name not in catalog.mixtures:
        return []
    found = _parts(catalog.mixtures[name], _book(catalog), sizes)
    total = sum(part.share for part in found)
    return [dataclasses.replace(part, share=part.share / total) for part in found if part.share]


def _parts(mixture: Mixture, book: rates_lib.Book, sizes: rates_lib.Sizes) -> list[Part]:
    """The parts of a mixture; their shares are weights on its own scale."""
    found: list[Part] = []
    direct: dict[str, Rate] = {}
    for member, rate in mixture.rates.items():
        if member not in book.mixtures:
            direct[member] = rate
            continue
        weights = _weights(dataclasses.replace(mixture, rates={member: rate}), book, sizes)
        if isinstance(rate, int | float):  # the member's own rates divide it
            inner = _parts(book.mixtures[member], book, sizes)
            scale = sum(weights.values()) / (sum(part.share for part in inner) or 1.0)
            found += [
                dataclasses.replace(part, path=(member, *part.path), share=part.share * scale)
                for part in inner
            ]
        else:
            found += [
                Part(task=task, path=(member,), share=weight, rate=rate)
                for task, weight in weights.items()
            ]
    for rate in dict.fromkeys(direct.values()):
        own = {member: rate for member, other in direct.items() if other == rate}
        weights = _weights(dataclasses.replace(mixture, rates=own), book, sizes)
        found += [
            Part(task=task, path=(), share=weight, rate=rate) for task, weight in weights.items()
        ]
    return found


def _weights(mixture: Mixture, book: rates_lib.Book, sizes: rates_lib.Sizes) -> dict[str, float]:
    """The weight of each task on the mixture's own scale, not divided by the total."""
    with_one = dataclasses.replace(mixture, rates={**mixture.rates, _ONE: 1})
    shares = rates_lib.shares(with_one, book, _WithOne(sizes))
    one = shares.pop(_ONE)
    return {task: share / one for task, share in shares.items()}


@dataclasses.dataclass(frozen=True)
class _WithOne:
    """Sizes that know the task of weight 1."""

    sizes: rates_lib.Sizes

    def rows(self, member: str) -> int:
        return 1 if member == _ONE else self.sizes.rows(member)

    def num_templates(self, member: str) -> int:
        return 1 if member == _ONE else self.sizes.num_templates(member)

    def tokens(self, member: str) -> float:
        return 1.0 if member == _ONE else self.sizes.tokens(member)


def _book(catalog: catalog_lib.Catalog) -> rates_lib.Book:
    tasks: Mapping[str, object] = {**catalog.tasks, _ONE: None}

    def supports(task: str, setting: str) -> bool:
        return task in catalog.tasks and members_lib.supports(
            catalog.tasks[task], settings_lib.parse(setting, catalog.settings)
        )

    return rates_lib.Book(tasks=tasks, mixtures=catalog.mixtures, supports=supports)
