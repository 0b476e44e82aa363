"""`Table`: the windows of one length of many texts, sorted by a hash, and the windows of another text found among them.

    texts as word ids  [1, 2, 3 | 4, 1, 2, 3]   length 3   ->   keys "1 2 3" (rows 0 and 1) and "4 1 2" (row 1)

A hash only nominates: `Table.find` compares word by word. Read `index.py` next, which gives the words their ids.
"""

from collections.abc import Collection, Iterator
import dataclasses

from jaxtyping import Bool, Int, UInt
import numpy as np

_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)  # odd, so that no word of a window is lost
_GOLDEN = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: the stream of SplitMix64
_MAX_FILTER_BITS = 26  # 64 MiB, more than caches hold anyway
_FILTER_BITS_PER_KEY = 4  # log2: one in 16 entries is set, so one window in 16 passes by chance


def word_values(ids: Int[np.ndarray, " n"], salt: int) -> UInt[np.ndarray, " n"]:
    """A number below 2**64 for each word id, by SplitMix64 (https://doi.org/10.1145/2714064.2660195)."""
    values = ids.astype(np.uint64) * np.uint64(_GOLDEN) + np.uint64(salt)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def rolling(
    ids: Int[np.ndarray, " n"], lengths: Collection[int], salt: int
) -> Iterator[tuple[int, UInt[np.ndarray, " m"]]]:
    """For each length, the shortest first, the hash of every window of so many words.

    A window's hash is the polynomial sum of value(word i) * multiplier ** (length - 1 - i), modulo 2**64: each length takes
    one multiplication more than the one before.
    """
    values = word_values(ids, salt)
    hashes = values
    for length in range(1, max(lengths, default=0) + 1):
        if length > len(ids):
            return
        if length > 1:
            hashes = hashes[:-1] * _MULTIPLIER + values[length - 1 :]
        if length in lengths:
            yield length, hashes


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Different windows (keys) of one length, and the rows that hold each.

    Attributes:
        ids: the words of all texts, one text after another.
        row_tasks: the task of each row.
        hashes: of the keys, ascending.
        starts: of each key's words in `ids`.
        rows: the rows of the first key, those of the second, ...; `row_ends` tells where each key's end.
        tasks: the same for the tasks of those rows.
    """

    length: int
    ids: Int[np.ndarray, " n"]
    row_tasks: Int[np.ndarray, " q"]
    hashes: UInt[np.ndarray, " k"]
    starts: Int[np.ndarray, " k"]
    rows: Int[np.ndarray, " r"]
    row_ends: Int[np.ndarray, " k1"]
    tasks: Int[np.ndarray, " t"]
    task_ends: Int[np.ndarray, " k1"]
    filter_bits: int
    filter: Bool[np.ndarray, " f"]

    def find(
        self, hashes: UInt[np.ndarray, " m"], ids: Int[np.ndarray, " w"]
    ) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " h"]]:
        """The windows of a text that are keys: their places and their keys.

        Args:
            hashes: of the text's windows, as `rolling` gives them for this length.
            ids: the text's words.
        """
        places = np.flatnonzero(self.filter[hashes >> np.uint64(64 - self.filter_bits)])
        keys = np.minimum(np.searchsorted(self.hashes, hashes[places]), len(self.hashes) - 1)
        alike = self.hashes[keys] == hashes[places]
        places, keys = places[alike], keys[alike]
        same = windows_equal(ids, places, self.ids, self.starts[keys], self.length)
        return places[same], keys[same]

    def words(self, key: int) -> tuple[int, ...]:
        """The word ids of a key."""
        start = int(self.starts[key])
        return tuple(self.ids[start : start + self.length].tolist())

    def rows_of(self, keys: Int[np.ndarray, " h"]) -> tuple[Int[np.ndarray, " p"], ...]:
        """(position in `keys`, row) for every row of some keys, as two arrays."""
        return _members(keys, self.rows, self.row_ends)

    def tasks_of(self, keys: Int[np.ndarray, " h"]) -> tuple[Int[np.ndarray, " p"], ...]:
        """(position in `keys`, task) for every task of some keys, as two arrays."""
        return _members(keys, self.tasks, self.task_ends)


def make_table(
    length: int,
    ids: Int[np.ndarray, " n"],
    windows: Int[np.ndarray, "m 2"],
    *,
    tasks: Int[np.ndarray, " r"],
    salt: int,
) -> Table | None:
    """The table of some windows; None where two different windows hash alike under this salt.

    Args:
        windows: where each starts in `ids`, and its row.
        tasks: of all rows.
    """
    starts, rows = windows.T
    ((_, hashes),) = rolling(ids, {length}, salt)
    hashes = hashes[starts]
    order = np.lexsort((rows, hashes))
    hashes, starts, rows = hashes[order], starts[order], rows[order]
    again = hashes[1:] == hashes[:-1]
    same = windows_equal(ids, starts[1:][again], ids, starts[:-1][again], length)
    if not same.all():
        return None
    keep = np.ones(len(rows), bool)
    keep[1:] = ~again | (rows[1:] != rows[:-1])  # a row that holds a window twice counts once
    return _sorted_table(length, ids, hashes[keep], starts[keep], rows[keep], tasks)


def _sorted_table(
    length: int,
    ids: Int[np.ndarray, " n"],
    hashes: UInt[np.ndarray, " m"],
    starts: Int[np.ndarray, " m"],
    rows: Int[np.ndarray, " m"],
    tasks: Int[np.ndarray, " r"],
) -> Table:
    keys, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    numbers = np.repeat(np.arange(len(keys)), counts)
    pairs = np.unique(np.stack([numbers, tasks[rows]]), axis=1)
    bits = min(_MAX_FILTER_BITS, max(8, len(keys).bit_length() + _FILTER_BITS_PER_KEY))
    present = np.zeros(1 << bits, bool)
    present[keys >> np.uint64(64 - bits)] = True
    return Table(
        length=length,
        ids=ids,
        row_tasks=tasks,
        hashes=keys,
        starts=starts[first],
        rows=rows,
        row_ends=np.cumsum(counts),
        tasks=pairs[1],
        task_ends=np.searchsorted(pairs[0], np.arange(len(keys)), side="right"),
        filter_bits=bits,
        filter=present,
    )


def windows_within(rows: Int[np.ndarray, " n"], length: int) -> Int[np.ndarray, " m"]:
    """The starts of all windows of words that belong to one row; `rows` tells the row of each word."""
    if len(rows) < length:
        return np.empty(0, np.int64)
    return np.flatnonzero(rows[: len(rows) - length + 1] == rows[length - 1 :])


def shared_words(
    ids: Int[np.ndarray, " n"],
    rows: Int[np.ndarray, " n"],
    *,
    tasks: Int[np.ndarray, " r"],
    most_rows: Int[np.ndarray, " t"],
    length: int,
) -> Bool[np.ndarray, " n"]:
    """Which words stand in a window that more rows of their task hold than that task's `most_rows`.

    Args:
        rows: of the words; `tasks` of the rows.
        length: of the windows, in words.
    """
    starts = windows_within(rows, length)
    if not len(starts):
        return np.zeros(len(ids), bool)
    ((_, hashes),) = rolling(ids, {length}, salt=0)
    own, owners = hashes[starts], rows[starts]
    order = np.lexsort((owners, own))
    own, owners = own[order], owners[order]
    is_first = np.ones(len(own), bool)  # of its window in its row
    is_first[1:] = (own[1:] != own[:-1]) | (owners[1:] != owners[:-1])
    _, windows = np.unique(own, return_inverse=True)
    pairs = windows * len(most_rows) + tasks[owners]
    _, numbers = np.unique(pairs, return_inverse=True)
    counts = np.bincount(numbers, weights=is_first)[numbers]
    found = starts[order][counts > most_rows[tasks[owners]]]
    ends = np.bincount(found + length, minlength=len(ids) + 1)
    return np.cumsum(np.bincount(found, minlength=len(ids) + 1) - ends)[: len(ids)] > 0


def windows_equal(
    ids: Int[np.ndarray, " n"],
    starts: Int[np.ndarray, " m"],
    other_ids: Int[np.ndarray, " k"],
    other_starts: Int[np.ndarray, " m"],
    length: int,
) -> Bool[np.ndarray, " m"]:
    """Whether windows of two texts hold the same words, pair by pair."""
    same = np.ones(len(starts), bool)
    for offset in range(length):
        same &= ids[starts + offset] == other_ids[other_starts + offset]
    return same


def _members(
    keys: Int[np.ndarray, " h"], members: Int[np.ndarray, " r"], ends: Int[np.ndarray, " k"]
) -> tuple[Int[np.ndarray, " p"], ...]:
    begins = np.where(keys > 0, ends[keys - 1], 0)
    counts = ends[keys] - begins
    positions = np.repeat(np.arange(len(keys)), counts)
    within = np.arange(len(positions)) - np.repeat(np.cumsum(counts) - counts, counts)
    return positions, members[begins[positions] + within]
