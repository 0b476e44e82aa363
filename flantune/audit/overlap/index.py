"""`Index`: finds evaluation texts in training texts by n-grams of words. Pure: texts in, overlaps out.

    index = Index({"qa": [Content(parts=("Who wrote the play?",))]})
    index.scan([(7, [Piece("inputs", "Q: Who wrote the play? A:")])])  ->  row 0 of "qa" is in training row 7

An evaluation row is touched by a training row that holds `ngram` words of it in a row (13, as GPT-3 counts,
https://arxiv.org/abs/2005.14165, appendix C), or, where each part of the row has fewer words, all of its parts, and one
of its choices if it has any. Words are hashed with NumPy; whatever hashes alike is compared word by word, so that only true overlaps are reported.
`text.py` says what is compared, `keys.py` has the tables; read `scan.py` next, which feeds the
rows of tasks to an index.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import itertools
from typing import NamedTuple

from jaxtyping import Int
import numpy as np

from flantune.audit.overlap import keys as overlap_keys, text as overlap_text
from flantune.audit.overlap.text import Content, Piece
from flantune.data.held_out_plan import MIN_WORDS, NGRAM

# A row of words that more than a tenth of a task's rows hold is wording of the task, not theirs: "Which of the following
# sentences", say. Fewer rows may well share a passage. An n-gram must have MIN_WORDS words that are none of it.
_SHARED_FRACTION = 0.1
_SHARED_ROWS = 8
_SAMPLES = 3


def most_rows(count: int) -> int:
    """How many of a task's `count` rows may share words before those are wording of the task."""
    return max(_SHARED_ROWS, int(count * _SHARED_FRACTION))


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """An evaluation row and a training row, the words they share, and the piece of the training row that has them."""

    row: int
    training_row: int
    where: str
    words: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overlap:
    """What one training task holds of one evaluation task.

    Attributes:
        by_ngram: evaluation rows of which it holds an n-gram.
        by_text: further evaluation rows, short ones, which it holds whole.
        training_rows: its rows that hold any of that.
        samples: the evaluation rows of which it holds most.
    """

    task: str
    by_ngram: tuple[int, ...]
    by_text: tuple[int, ...]
    training_rows: tuple[int, ...]
    samples: tuple[Sample, ...]


class Index:
    """The n-grams and the short texts of evaluation tasks; may be pickled."""

    def __init__(self, tasks: Mapping[str, Sequence[Content]], ngram: int = NGRAM) -> None:
        self.tasks = tuple(tasks)
        self.ngram = ngram
        self._counts: Int[np.ndarray, " k"] = np.asarray([len(c) for c in tasks.values()], np.int64)
        self._row_tasks: Int[np.ndarray, " r"] = np.repeat(
            np.arange(len(self._counts)), self._counts
        )
        self._vocabulary: dict[str, int] = {}
        contents = itertools.chain.from_iterable(tasks.values())
        rows = [_Row(content, self._vocabulary, ngram) for content in contents]
        self._required: dict[int, _Required] = {}
        self._salt, self._tables = self._make_tables(rows)

    def unchecked(self) -> dict[str, tuple[int, ...]]:
        """Rows of each task that have nothing to look for: too few words, or none but the task's wording."""
        checked = np.zeros(len(self._row_tasks), bool)
        for table in self._tables.values():
            checked[table.rows] = True
        return {
            task: tuple(np.flatnonzero(~checked[self._row_tasks == number]).tolist())
            for number, task in enumerate(self.tasks)
        }

    def scan(self, rows: Iterable[tuple[int, Sequence[Piece]]]) -> list[Overlap]:
        """What the rows of one training task, by ascending number, hold of each evaluation task they hold any of."""
        matches = _Matches(self._required)
        for batch in overlap_text.batches(rows, self._vocabulary):
            for length, hashes in overlap_keys.rolling(batch.ids, self._tables.keys(), self._salt):
                table = self._tables[length]
                places, keys = table.find(hashes, batch.ids)
                if length == self.ngram:
                    matches.add_ngrams(table, batch, places, keys)
                else:
                    matches.add_texts(table, batch, places, keys)
        return self._overlaps(matches)

    def _make_tables(self, rows: Sequence["_Row"]) -> tuple[int, dict[int, overlap_keys.Table]]:
        """A table for each length of window, and the salt under which no two windows hash alike."""
        ids = np.fromiter(itertools.chain.from_iterable(row.ids for row in rows), np.int32)
        lengths = [len(row.ids) for row in rows]
        word_rows = np.repeat(np.arange(len(rows)), lengths)
        windows = {self.ngram: self._ngrams(ids, word_rows)}
        offsets = np.cumsum([0, *lengths]).tolist()
        texts: dict[int, list[tuple[int, int]]] = {}
        for number, start, length in _short_texts(rows, self._required):
            texts.setdefault(length, []).append((offsets[number] + start, number))
        windows |= {length: np.asarray(found, np.int64) for length, found in texts.items()}
        for salt in itertools.count():
            tables = {
                length: overlap_keys.make_table(
                    length, ids, found, tasks=self._row_tasks, salt=salt
                )
                for length, found in windows.items()
                if len(found)
            }
            made = {length: table for length, table in tables.items() if table is not None}
            if len(made) == len(tables):
                return salt, made
        raise AssertionError("itertools.count has no end")

    def _ngrams(
        self, ids: Int[np.ndarray, " n"], rows: Int[np.ndarray, " n"]
    ) -> Int[np.ndarray, "m 2"]:
        """(start, row) of the n-grams to look for."""
        shared = overlap_keys.shared_words(
            ids,
            rows,
            tasks=self._row_tasks,
            most_rows=np.asarray([most_rows(count) for count in self._counts.tolist()], np.int64),
            length=MIN_WORDS,
        )
        starts = overlap_keys.windows_within(rows, self.ngram)
        own = np.cumsum([0, *~shared])
        starts = starts[own[starts + self.ngram] - own[starts] >= min(MIN_WORDS, self.ngram)]
        return np.stack([starts, rows[starts]], axis=1)

    def _overlaps(self, matches: "_Matches") -> list[Overlap]:
        by_task: dict[int, dict[int, _Hit]] = {}
        for row in sorted(matches.hits):
            by_task.setdefault(int(self._row_tasks[row]), {})[row] = matches.hits[row]
        training_rows: dict[int, list[int]] = {}
        for task, row in sorted(matches.training_rows):
            training_rows.setdefault(task, []).append(row)
        words = list(self._vocabulary) if by_task else []
        starts = np.cumsum(self._counts) - self._counts
        return [
            Overlap(
                task=self.tasks[task],
                by_ngram=tuple(row - int(starts[task]) for row, hit in hits.items() if hit.ngrams),
                by_text=tuple(
                    row - int(starts[task]) for row, hit in hits.items() if not hit.ngrams
                ),
                training_rows=tuple(training_rows[task]),
                samples=_samples(hits, int(starts[task]), words),
            )
            for task, hits in sorted(by_task.items())
        ]


def _samples(hits: Mapping[int, "_Hit"], start: int, words: Sequence[str]) -> tuple[Sample, ...]:
    """The hits with most n-grams, whose rows count from `start`, with their words by id, less one."""
    most = sorted(hits.items(), key=_by_most)[:_SAMPLES]
    return tuple(
        Sample(
            row=row - start,
            training_row=hit.training_row,
            where=hit.where,
            words=" ".join(words[number - 1] for number in hit.ids),
        )
        for row, hit in most
    )


def _by_most(item: tuple[int, "_Hit"]) -> tuple[int, int]:
    row, hit = item
    return -hit.ngrams, row


class _Row:
    """An evaluation row: its words as ids, and the texts that stand for it where it is short."""

    def __init__(self, content: Content, vocabulary: dict[str, int], ngram: int) -> None:
        parts, choices = content.words()
        self.choices = tuple(" ".join(words) for words in choices if words)
        self.ids: list[int] = []
        starts = []
        for words in (*parts, *choices):
            starts.append(len(self.ids))
            self.ids += [vocabulary.setdefault(word, len(vocabulary) + 1) for word in words]
        self.units: list[tuple[int, list[str]]] = []  # (start, words), of which all must be found
        if all(len(words) < ngram for words in parts):
            units = list(zip(starts, parts, strict=False))
            if all(len(words) < MIN_WORDS for words in parts):
                units = [(0, list(itertools.chain(*parts)))]
            self.units = [unit for unit in units if MIN_WORDS <= len(unit[1]) < ngram]


class _Required(NamedTuple):
    """What else a training row must hold, for a short evaluation row to be touched: all of one, any of the other."""

    all_of: tuple[str, ...]
    any_of: tuple[str, ...]


def _short_texts(
    rows: Sequence[_Row], required: dict[int, _Required]
) -> Iterator[tuple[int, int, int]]:
    """(row, start, length) of the text to look for, for each short row: the part that the fewest rows hold.

    What else must be found goes to `required`: the other parts; and a choice, or all of them where nothing else tells
    the row from another one ("Which of these is true?").
    """
    keys = [tuple(" ".join(words) for _, words in row.units) for row in rows]
    holders: dict[str, int] = {}
    contents: dict[tuple[str, ...], set[tuple[int, ...]]] = {}
    for row, key in zip(rows, keys, strict=True):
        contents.setdefault(key, set()).add(tuple(row.ids))
        for text in key:
            holders[text] = holders.get(text, 0) + 1
    for number, (row, key) in enumerate(zip(rows, keys, strict=True)):
        if not key:
            continue
        counts = [holders[text] for text in key]
        rarest = counts.index(min(counts))
        others = key[:rarest] + key[rarest + 1 :]
        if len(contents[key]) > 1:
            others += row.choices
        if others or row.choices:
            required[number] = _Required(others, row.choices)
        start, words = row.units[rarest]
        yield number, start, len(words)


@dataclasses.dataclass(slots=True)
class _Hit:
    """What was found of an evaluation row: how many n-grams, and of the first find the words and the place."""

    ids: tuple[int, ...]
    training_row: int
    where: str
    ngrams: int = 0


class _Matches:
    """What the batches of one training task hold.

    Attributes:
        hits: by evaluation row, numbered through all tasks.
        training_rows: (evaluation task, training row) pairs.
    """

    def __init__(self, required: Mapping[int, _Required]) -> None:
        self.hits: dict[int, _Hit] = {}
        self.training_rows: set[tuple[int, int]] = set()
        self._required = required
        self._seen: set[int] = set()

    def add_ngrams(
        self,
        table: overlap_keys.Table,
        batch: overlap_text.Batch,
        places: Int[np.ndarray, " h"],
        keys: Int[np.ndarray, " h"],
    ) -> None:
        """Takes the n-grams found in a batch: places in it, and keys of the table."""
        training_rows = batch.rows_at(places)
        pairs = np.unique(np.stack([keys, training_rows]), axis=1)
        positions, tasks = table.tasks_of(pairs[0])
        self.training_rows.update(zip(tasks.tolist(), pairs[1][positions].tolist(), strict=True))
        found, first = np.unique(keys, return_index=True)
        new = [place for place in np.argsort(first) if int(found[place]) not in self._seen]
        found, first = found[new], first[new]  # in the order of the text
        self._seen.update(found.tolist())
        positions, rows = table.rows_of(found)
        for position, row in zip(positions.tolist(), rows.tolist(), strict=True):
            hit = self.hits.get(row)
            if hit is None or not hit.ngrams:
                place = int(first[position])
                where = batch.where(int(places[place]))
                ids = table.words(int(found[position]))
                hit = self.hits[row] = _Hit(ids, int(training_rows[place]), where)
            hit.ngrams += 1

    def add_texts(
        self,
        table: overlap_keys.Table,
        batch: overlap_text.Batch,
        places: Int[np.ndarray, " h"],
        keys: Int[np.ndarray, " h"],
    ) -> None:
        """The same for the texts of short rows."""
        pairs = np.stack([keys, batch.rows_at(places)])
        pairs, first = np.unique(pairs, axis=1, return_index=True)
        positions, rows = table.rows_of(pairs[0])
        for position, row in zip(positions.tolist(), rows.tolist(), strict=True):
            training_row = int(pairs[1, position])
            required = self._required.get(row)
            if required and not batch.holds(training_row, required.all_of, required.any_of):
                continue
            self.training_rows.add((int(table.row_tasks[row]), training_row))
            if row not in self.hits:
                where = batch.where(int(places[first[position]]))
                ids = table.words(int(pairs[0, position]))
                self.hits[row] = _Hit(ids, training_row, where)
