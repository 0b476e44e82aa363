"""Stateless random choices: each is a hash of (seed, epoch, example, purpose) and of nothing else.

The same example in the same epoch gets the same template, options and reference on any host, in any order, before and
after any restart. Read `template.py` next.
"""

from collections.abc import Sequence
import hashlib
from typing import TypeVar

T = TypeVar("T")
_MASK = 2**64 - 1


def hash64(*parts: object) -> int:
    """A whole number below 2**64 that depends on every part and on their order.

    Example: `hash64(0, "task", 3)` is the same on every machine and in every Python.
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


class Chooser:
    """Makes the choices of one example in one epoch; each purpose is independent of the others."""

    __slots__ = ("_hash", "epoch", "example", "seed")

    def __init__(self, seed: int, epoch: int, example: str) -> None:
        self.seed = seed
        self.epoch = epoch
        self.example = example
        # The start of every hash of this example, hashed once: a prompt takes a dozen choices.
        self._hash = hashlib.blake2b(f"{seed}\x1f{epoch}\x1f{example}\x1f".encode(), digest_size=8)

    def index(self, purpose: str, count: int) -> int:
        """A number from 0 to `count - 1`; the bias of the modulus is below count / 2**64."""
        return self._hash64(purpose) % count

    def order(self, purpose: str, count: int) -> tuple[int, ...]:
        """A permutation of `range(count)`: Fisher and Yates's shuffle, with SplitMix64's numbers."""
        state = self._hash64(purpose)
        items = list(range(count))
        for last in range(count - 1, 0, -1):
            state = (state + 0x9E3779B97F4A7C15) & _MASK
            mixed = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
            mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
            place = (mixed ^ (mixed >> 31)) % (last + 1)
            items[last], items[place] = items[place], items[last]
        return tuple(items)

    def pick(self, purpose: str, items: Sequence[T]) -> T:
        """One of `items`."""
        return items[self.index(purpose, len(items))]

    def _hash64(self, purpose: str) -> int:
        """Equal to `hash64(seed, epoch, example, purpose)`."""
        hashed = self._hash.copy()
        hashed.update(purpose.encode())
        return int.from_bytes(hashed.digest(), "little")
