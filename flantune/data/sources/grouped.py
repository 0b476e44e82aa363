"""`Grouped`: rows of one input with several references become one row, and a group is in one split only.

    {"question": "Who?", "answer": "Ada"}            {"question": "Who?", "answer": ["Ada", "A. Lovelace"]}
    {"question": "When?", "answer": "1843"}      ->  {"question": "When?", "answer": ["1843"]}
    {"question": "Who?", "answer": "A. Lovelace"}

    sources.Grouped(
        sources.Jsonl(all="a.jsonl"), by="question", collect="answer", train="all[:90%]", test="all[90%:]"
    )

Here is the source; `group_slices.py` has its slices. Use it as `sources.Grouped`. Read `data/store/prepare.py` next.
"""

import array
from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import io
import json
import pathlib
import pickle

from etils import epath
from jaxtyping import Int, UInt
import numpy as np

from flantune.data import fingerprint as fingerprint_lib, names, task as task_lib
from flantune.data.sources import any_source, files, formats, group_slices
from flantune.prompting import choice

_SHOWN = 60  # characters of a value in a message


@dataclasses.dataclass(frozen=True, init=False)
class Grouped:
    """Rows of another source, one for each group of rows that agree in some fields.

    A group's row stands where the first of its rows would, and has that one's fields; of a collected field it has the list
    of the values of all its rows, in their order, each once. A list counts as its items and null as no value, so the lists
    of several fields are not parallel. Any other field must have one value in all rows of a group, unless `first` names
    it: a row with another one is malformed, so that nothing is lost unseen.

    Splits are those of the source, each grouped for itself, or what the keyword arguments say, as `train="all[:90%]"`:

        all          the whole split "all" of the source
        all[:90%]    its groups by the hash of their key: the same ones in whatever order and file their rows stand
        all[200:]    its groups by their place, in the order in which they first appear, as a Python slice

    Slices of one split must not overlap, so that no group is in two of them. A group that the source itself has in two
    splits is in both; `flantune lint` tells. Malformed rows belong to the first slice of their split.

    Memory: the source is read twice. The first time groups are numbered, which takes 60 bytes for each row of the source,
    and 16 stay. The second time rows of the slice are kept as bytes until their group is complete, and a complete group,
    whose key stands in it once, until those before it are. Where the rows of a group stand together these are a few. At
    the worst, where a file goes through its inputs again for each reference, they are all but the last ones, with their own
    text and about 100 bytes each.

    Attributes:
        source: has the rows.
        by: fields in which the rows of a group agree, as they stand: neither case nor white space is made equal.
        collect: fields whose values become lists.
        first: fields, such as ids, of which the first row's value is kept.
        slices: of each split.
    """

    source: task_lib.Source
    by: tuple[str, ...]
    collect: tuple[str, ...]
    first: tuple[str, ...]
    slices: tuple[tuple[str, group_slices.Slice], ...]

    def __init__(
        self,
        source: task_lib.Source,
        *,
        by: str | Sequence[str],
        collect: str | Sequence[str],
        first: str | Sequence[str] = (),
        **splits: str,
    ) -> None:
        fields = {"by": _names(by), "collect": _names(collect), "first": _names(first)}
        for role in ("by", "collect"):
            if not fields[role]:
                raise ValueError(f"Grouped needs a field in {role}.")
        named = [name for own in fields.values() for name in own]
        twice = next((name for name in named if named.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"Grouped names the field {twice!r} twice in by, collect and first.")
        specs = splits or {split: split for split in source.splits}
        slices = {split: group_slices.parse(spec) for split, spec in specs.items()}
        for one in slices.values():
            if one.split not in source.splits:
                raise KeyError(names.unknown("Grouped takes the split", one.split, source.splits))
        group_slices.check(list(slices.values()))
        for name, value in {"source": source, **fields, "slices": tuple(slices.items())}.items():
            object.__setattr__(self, name, value)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(split for split, _ in self.slices)

    @property
    def places(self) -> tuple[str, ...]:
        """What the source reads below the data directory."""
        return any_source.places(self.source)

    def paths(self, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
        """The files of the source's split that this split is a part of."""
        return any_source.paths(self.source, self._slice(split).split, data_dir)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """The groups of a split, in the order in which they first appear.

        Raises:
            KeyError: no such split.
            FileNotFoundError: no such file.
            ValueError: a row is malformed; `records` gives the others too.
        """
        return files.rows(self.records(split, data_dir))

    def records(self, split: str, data_dir: pathlib.Path) -> Iterator[formats.Record]:
        """The groups of a split, each with the place of its first row, and the rows that are malformed.

        Raises:
            ValueError: slices overlap in this source, or it changed while it was read.
        """
        own = self._slice(split)
        siblings = [one for _, one in self.slices if one.split == own.split]
        groups = _number(self._hashes(own.split, data_dir))
        group_slices.check(siblings, len(groups.last))
        is_in = own.contains(groups.hashes)
        waiting: dict[int, bytearray] = {}  # in the order in which the groups first appear
        row = 0
        for record in any_source.records(self.source, own.split, data_dir):
            problem = self._problem(record)
            if problem:
                if own is siblings[0]:
                    yield formats.Record(record.where, None, problem)
                continue
            if row == len(groups.of_row):
                raise self._changed(split)
            group, row = int(groups.of_row[row]), row + 1
            if is_in[group]:
                waiting.setdefault(group, bytearray()).extend(_packed([record]))
                if groups.last[group] < row:  # it may still have to wait, and is smaller so
                    waiting[group] = _packed(self._merged(_unpacked(waiting[group])))
            while waiting and groups.last[first := next(iter(waiting))] < row:
                yield from _unpacked(waiting.pop(first))
        if row != len(groups.of_row):
            raise self._changed(split)

    def _changed(self, split: str) -> ValueError:
        return ValueError(
            f"The source of {split!r} changed while it was grouped; run flantune prepare again."
        )

    def _hashes(self, split: str, data_dir: pathlib.Path) -> UInt[np.ndarray, " rows"]:
        """Of the keys of the rows that are not malformed."""
        hashes = array.array("Q")
        for record in any_source.records(self.source, split, data_dir):
            if not self._problem(record):
                assert record.row is not None  # else there is a problem
                hashes.append(choice.hash64(_text([record.row[name] for name in self.by])))
        return np.frombuffer(hashes, np.uint64)

    def _merged(self, records: Sequence[formats.Record]) -> Iterator[formats.Record]:
        """The row of a group, and those of its rows that are malformed, as they differ from the first one."""
        first, good, bad = records[0], [records[0]], list[formats.Record]()
        for record in records[1:]:
            problem = self._difference(first, record)
            (bad if problem else good).append(
                formats.Record(record.where, None, problem) if problem else record
            )
        rows = [record.row for record in good if record.row is not None]
        collected = {name: _values([row[name] for row in rows]) for name in self.collect}
        yield formats.Record(first.where, {**rows[0], **collected})
        yield from bad

    def _difference(self, first: formats.Record, record: formats.Record) -> str:
        """How a row differs from the first of its group where it must not; "" where it does not."""
        assert first.row is not None
        assert record.row is not None
        for name in dict.fromkeys((*first.row, *record.row)):
            if name in self.collect or name in self.first:
                continue
            one, other = (_field(row, name) for row in (first.row, record.row))
            if one != other:
                return (
                    f"{name!r} is {_start(other)}, but {_start(one)} in {first.where}, which has the same "
                    f"{' and '.join(map(repr, self.by))}: name it in by, collect or first of Grouped"
                )
        return ""

    def _problem(self, record: formats.Record) -> str:
        """Why a row belongs to no group; "" where it does."""
        if record.row is None:
            return record.problem
        for name in (*self.by, *self.collect):
            if name not in record.row:
                near = names.closest(name, record.row, count=1)
                closest = f"; closest: {near[0]!r}" if near else ""
                return f"no field {name!r}, only {', '.join(map(repr, record.row))}{closest}"
        if all(_is_empty(record.row[name]) for name in self.by):
            return f"{' and '.join(map(repr, self.by))} empty: rows without a key are no group"
        return ""

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of that of the source, and of how rows are grouped."""
        inner = self.source.fingerprint(self._slice(split).split, data_dir)
        return None if inner is None else self._hash_with(inner, split)

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the content of the source's files, and of how rows are grouped; None for a source without files."""
        content = getattr(self.source, "content_sha256", None)
        inner = content(self._slice(split).split, data_dir) if content else None
        return None if inner is None else self._hash_with(inner, split)

    def describe(self) -> dict[str, object]:
        return {
            "kind": "grouped",
            "by": list(self.by),
            "collect": list(self.collect),
            "first": list(self.first),
            "splits": {split: str(one) for split, one in self.slices},
            "source": self.source.describe(),
        }

    def _hash_with(self, inner: str, split: str) -> str:
        return fingerprint_lib.value_fingerprint([self.describe(), split, inner])

    def _slice(self, split: str) -> group_slices.Slice:
        files.check_split(self, split)
        return dict(self.slices)[split]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Groups:
    """Groups in the order in which they first appear: the group of each row, the last row and the hash of each group."""

    of_row: Int[np.ndarray, " rows"]
    last: Int[np.ndarray, " groups"]
    hashes: UInt[np.ndarray, " groups"]


def _number(hashes: UInt[np.ndarray, " rows"]) -> _Groups:
    """The groups of rows with equal hashes.

    Example: the hashes 7, 3, 7 are the groups 0, 1, 0; group 0 ends with row 2, group 1 with row 1.
    """
    different, firsts, of_row = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    numbers = np.empty_like(order)
    numbers[order] = np.arange(len(order))
    of_row = numbers[of_row]
    last = np.zeros(len(order), np.int64)
    np.maximum.at(last, of_row, np.arange(len(hashes)))
    return _Groups(of_row=of_row, last=last, hashes=different[order])


def _packed(records: Iterable[formats.Record]) -> bytearray:
    """Records as bytes, which may be joined: a dictionary of texts takes several times the memory of its texts."""
    return bytearray().join(pickle.dumps(tuple(record)) for record in records)


def _unpacked(data: bytearray) -> list[formats.Record]:
    file = io.BytesIO(data)
    records = []
    while file.tell() < len(data):
        records.append(formats.Record(*pickle.load(file)))
    return records


def _names(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _text(value: object) -> str:
    """A value as JSON, so that 1 is neither "1" nor true; what JSON lacks, such as dates, as Python shows it."""
    return json.dumps(value, sort_keys=True, default=repr)


def _field(row: task_lib.Row, name: str) -> str:
    return _text(row[name]) if name in row else "absent"


def _is_empty(value: object) -> bool:
    return value is None or value == [] or (isinstance(value, str) and not value.strip())


def _values(values: Sequence[object]) -> list[object]:
    """The different values, in order; those of lists one by one, and without null."""
    items = [item for value in values for item in (value if isinstance(value, list) else [value])]
    found: dict[str, object] = {}
    for item in items:
        if item is not None:
            found.setdefault(_text(item), item)
    return list(found.values())


def _start(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
