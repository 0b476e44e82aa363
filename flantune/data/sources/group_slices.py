"""`Slice`: which groups of a source's split are in a split of `grouped.Grouped`. Read `grouped.py` next."""

from collections.abc import Sequence
import dataclasses
import fractions
import itertools
import re

from jaxtyping import Bool, UInt
import numpy as np

from flantune.data.sources import formats

_PERCENT = re.compile(r"\d+(\.\d+)?%")
_HASHES = 2**64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice:
    """Groups [start:stop] of a split of the source, of all where there are no bounds.

    Attributes:
        by_hash: bounds are in percent of the hashes; else they are places, as in a Python slice.
    """

    split: str
    start: fractions.Fraction | int | None = None
    stop: fractions.Fraction | int | None = None
    by_hash: bool = False

    @property
    def is_whole(self) -> bool:
        return self.start is None and self.stop is None

    def __str__(self) -> str:
        percent = "%" if self.by_hash else ""
        start, stop = (
            "" if bound is None else f"{float(bound):g}{percent}"
            for bound in (self.start, self.stop)
        )
        return self.split if self.is_whole else f"{self.split}[{start}:{stop}]"

    def bounds(self, count: int) -> tuple[int, int]:
        """The first place and the one after the last of `count` groups, or the first hash and the one after the last."""
        if not self.by_hash:
            return slice(self.start, self.stop).indices(count)[:2]
        start, stop = (
            int(fractions.Fraction(bound) * _HASHES / 100)
            for bound in (self.start or 0, 100 if self.stop is None else self.stop)
        )
        return start, stop

    def contains(self, hashes: UInt[np.ndarray, " groups"]) -> Bool[np.ndarray, " groups"]:
        """Which groups are in it, given the hashes of all groups in their order."""
        first, last = self.bounds(len(hashes))
        if not self.by_hash:
            places = np.arange(len(hashes))
            return (places >= first) & (places < last)
        if first >= last:
            return np.zeros(len(hashes), np.bool_)
        # The last hash itself, since the one after it may be 2**64.
        return (hashes >= np.uint64(first)) & (hashes <= np.uint64(last - 1))


def parse(spec: str) -> Slice:
    """The slice of "split", "split[start:stop]" or "split[start%:stop%]".

    Raises:
        ValueError: a bound is neither a whole number nor percent, or one is the one and one the other.
    """
    split, *texts = formats.slice_texts(spec) or (spec, "", "")
    given = [text for text in texts if text]
    percent = [text for text in given if _PERCENT.fullmatch(text)]
    try:
        if not percent:
            start, stop = (int(text) if text else None for text in texts)
            return Slice(split=split, start=start, stop=stop)
        if len(percent) < len(given):
            raise ValueError
        shares = [fractions.Fraction(text.removesuffix("%")) if text else None for text in texts]
        if any(share is not None and share > 100 for share in shares):
            raise ValueError
    except ValueError:
        raise ValueError(
            f"{spec!r} is no slice of groups: write for example [:90%] and [90%:], from 0% to 100%, or [200:] and [:200]."
        ) from None
    return Slice(split=split, start=shares[0], stop=shares[1], by_hash=True)


def check(slices: Sequence[Slice], count: int | None = None) -> None:
    """Raises ValueError where a group could be in two slices.

    Args:
        count: of the groups of their split, where it is known; negative bounds say nothing without it.
    """
    for one, other in itertools.combinations(slices, 2):
        if one.split != other.split:
            continue
        if one.by_hash != other.by_hash and not (one.is_whole or other.is_whole):
            raise ValueError(
                f"Grouped has the slices {one} and {other}: a group may be in both, as the one goes by the hash and the "
                "other by the place. Take one kind."
            )
        if count is None and any(
            (bound or 0) < 0 for own in (one, other) for bound in (own.start, own.stop)
        ):
            continue
        pairs = [own.bounds(_HASHES if count is None else count) for own in (one, other)]
        if max(first for first, _ in pairs) < min(last for _, last in pairs):
            raise ValueError(
                f"Grouped has the slices {one} and {other}, which overlap: a group would be in both."
            )
