"""Stateless random choices: each is a hash of (seed, epoch, example, purpose) and of nothing else.

The same example in the same epoch gets the same template, options and reference on any host, in any order, before and
after any restart. Read `template.py` next.
"""

from collections.abc import Sequence
import dataclasses
import hashlib
from typing import TypeVar

T = TypeVar("T")


def hash64(*parts: object) -> int:
    """A whole number below 2**64 that depends on every part and on their order.

    Example: `hash64(0, "task", 3)` is the same on every machine and in every Python.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclasses.dataclass(frozen=True, slots=True)
class Chooser:
    """Makes the choices of one example in one epoch; each purpose is independent of the others."""

    seed: int
    epoch: int
    example: str

    def index(self, purpose: str, count: int) -> int:
        """A number from 0 to `count - 1`; the bias of the modulus is below count / 2**64."""
        return hash64(self.seed, self.epoch, self.example, purpose) % count

    def order(self, purpose: str, count: int) -> tuple[int, ...]:
        """A permutation of `range(count)`."""
        return tuple(
            sorted(
                range(count),
                key=lambda item: hash64(self.seed, self.epoch, self.example, purpose, item),
            )
        )

    def pick(self, purpose: str, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.index(purpose, len(items))]
