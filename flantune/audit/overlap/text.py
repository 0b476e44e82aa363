"""`Content`, what an evaluation row has of its own, and `Batch`, training texts as word ids: what `index.py` compares.

Words are runs of letters, digits and underscores, in lower case.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import itertools
import re
from typing import NamedTuple

from jaxtyping import Int
import numpy as np

from flantune.data.held_out_plan import MIN_WORDS

_BATCH_WORDS = 1 << 20  # 50 MB of work space
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text: `words_of("Don't, Ann_1!")` is `["don", "t", "ann_1"]`."""
    return _WORD.findall(text.lower())


def normalised(words: Sequence[str]) -> str:
    """Words as a text in which another such text is found where its words stand in a row: " in the kitchen "."""
    return f" {' '.join(words)} "


class Piece(NamedTuple):
    """A text of a training row and what it is there, for the report."""

    where: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """What a row has of its own, without any instruction.

    Attributes:
        parts: its texts as a prompt shows them, a passage and a question, say.
        choices: its answer choices. They take part in n-grams; a short question counts as found with one of them.
    """

    parts: tuple[str, ...]
    choices: tuple[str, ...] = ()

    def words(self) -> tuple[list[list[str]], list[list[str]]]:
        """The words of each part that counts, and of each choice.

        A part goes that another one repeats, and one below `MIN_WORDS` where there is a longer one.
        """
        found = [words for words in map(words_of, self.parts) if words]
        texts = [normalised(words) for words in found]
        parts = [
            words
            for place, words in enumerate(found)
            if not any(
                texts[place] in other and (texts[place] != other or earlier < place)
                for earlier, other in enumerate(texts)
                if earlier != place
            )
        ]
        long = [words for words in parts if len(words) >= MIN_WORDS]
        return long or parts, [words_of(choice) for choice in self.choices]

    def text(self) -> str:
        """All its words that count, in a row."""
        parts, choices = self.words()
        return " ".join(itertools.chain(*parts, *choices))


class Batch:
    """Pieces of training rows as word ids, one after another; 0 stands for unknown words and between pieces."""

    def __init__(
        self, ids: Sequence[int], pieces: Sequence[tuple[int, Piece]], starts: Sequence[int]
    ) -> None:
        """Args: `pieces` with their rows, which ascend, and where the words of each start."""
        self.ids: Int[np.ndarray, " n"] = np.asarray(ids, np.int32)
        self._pieces = pieces
        self._starts: Int[np.ndarray, " p"] = np.asarray(starts, np.int64)
        self._rows: Int[np.ndarray, " p"] = np.asarray([row for row, _ in pieces], np.int64)

    def rows_at(self, places: Int[np.ndarray, " h"]) -> Int[np.ndarray, " h"]:
        """The rows of some places."""
        return self._rows[np.searchsorted(self._starts, places, side="right") - 1]

    def where(self, place: int) -> str:
        """What the piece at a place is."""
        number = int(np.searchsorted(self._starts, place, side="right")) - 1
        return self._pieces[number][1].where

    def holds(self, row: int, all_of: Iterable[str], any_of: Sequence[str]) -> bool:
        """Whether all of some texts stand, as words, in pieces of a row, and any of others, if there are others."""
        first, last = np.searchsorted(self._rows, [row, row + 1]).tolist()
        own = "\n".join(normalised(words_of(piece.text)) for _, piece in self._pieces[first:last])
        return all(f" {text} " in own for text in all_of) and (
            not any_of or any(f" {text} " in own for text in any_of)
        )


def batches(
    rows: Iterable[tuple[int, Sequence[Piece]]], vocabulary: Mapping[str, int]
) -> Iterator[Batch]:
    """The pieces of rows, whose numbers ascend, in batches of whole rows."""
    ids: list[int] = []
    pieces: list[tuple[int, Piece]] = []
    starts: list[int] = []
    known = vocabulary.get
    for row, own in rows:
        for piece in own:
            pieces.append((row, piece))
            starts.append(len(ids))
            ids += [known(word, 0) for word in words_of(piece.text)]
            ids.append(0)
        if len(ids) > _BATCH_WORDS:
            yield Batch(ids, pieces, starts)
            ids, pieces, starts = [], [], []
    if pieces:
        yield Batch(ids, pieces, starts)
