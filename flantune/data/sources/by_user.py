"""`ByUser`: rows of another source that users wrote, split by user, without near copies, at most so many of each user.

    {"prompt": "Tell a joke.", "completion": "...", "user": "u7"}
    ->  {"prompt": "Tell a joke.", "completion": "...", "user": "u7", "left_out": ""}

InstructGPT's selection of prompts (https://arxiv.org/abs/2203.02155, section 3.2), for any file. Use it as
`sources.ByUser`. Read `data/store/prepare.py` next.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import hashlib
import pathlib

from etils import epath

from flantune.data import task as task_lib
from flantune.data.sources import files, formats

LEFT_OUT = "left_out"
_ALL = "all"
_TRAIN, _VALIDATION = "train", "validation"
_HUNDRED = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByUser:
    """Rows of a source, dealt to "train" and "validation" by who wrote them.

    Every row is given, and has the key `left_out`: "" or why a task should leave it out, so that its `to_fields` drops it
    and drops are counted. Copies and the rows of a user are counted over both splits, in the order of the source.

    Attributes:
        rows: the source, with the one split "all".
        text: the key of what users wrote: a text, or a list of texts such as turns.
        user: the key of who did, a text or a whole number. A row without one counts as its own user.
        max_per_user: the first so many rows of a user stay.
        same_prefix: texts that begin with the same so many characters are copies, and so are equal shorter ones; runs of
            white space count as one space. The first one stays.
        validation_percent: of users.
    """

    rows: files.FileSource
    text: str
    user: str = "user"
    max_per_user: int
    same_prefix: int
    validation_percent: int = 10

    def __post_init__(self) -> None:
        if self.rows.splits != (_ALL,):
            raise ValueError(
                f"ByUser takes a source with the split {_ALL!r}, not {self.rows.splits}."
            )
        for name in ("max_per_user", "same_prefix"):
            if getattr(self, name) < 1:
                raise ValueError(f"ByUser has {name}={getattr(self, name)}; it must be at least 1.")
        if not 0 <= self.validation_percent < _HUNDRED:
            raise ValueError(
                f"ByUser has validation_percent={self.validation_percent}; it must be from 0 to {_HUNDRED - 1}."
            )

    @property
    def splits(self) -> tuple[str, ...]:
        return (_TRAIN, _VALIDATION) if self.validation_percent else (_TRAIN,)

    def read(self, split: str, data_dir: pathlib.Path) -> Iterator[task_lib.Row]:
        """Rows of a split, in the order of the source.

        Raises:
            KeyError: no such split.
            FileNotFoundError: no such file.
            ValueError: a row is malformed; `records` gives the others too.
        """
        return files.rows(self.records(split, data_dir))

    def records(self, split: str, data_dir: pathlib.Path) -> Iterator[formats.Record]:
        """Rows of a split with their places; malformed ones, which nobody wrote, belong to "train"."""
        files.check_split(self, split)
        first_places: dict[str, str] = {}
        rows_of: dict[str, int] = {}
        for record in self.rows.records(_ALL, data_dir):
            found = None if record.row is None else self._text_and_user(record.row)
            if record.row is None or found is None:
                if split == _TRAIN:
                    yield record if record.row is None else self._problem(record)
                continue
            text, user = found
            left_out = self._why_left_out(text, user, first_places, rows_of, record.where)
            if self._split_of(user) == split:
                yield formats.Record(record.where, {**record.row, LEFT_OUT: left_out})

    @property
    def places(self) -> tuple[str, ...]:
        """The source's files, below the data directory."""
        return self.rows.places

    def paths(self, split: str, data_dir: pathlib.Path) -> list[epath.Path]:
        """The source's files, whether they are there or not: each split is dealt from all of them."""
        files.check_split(self, split)
        return self.rows.paths(_ALL, data_dir)

    def fingerprint(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the names, sizes and change times of the source's files, and of how rows are dealt: no file is opened."""
        return files.stat_fingerprint(self._described(split), self.paths(split, data_dir))

    def content_sha256(self, split: str, data_dir: pathlib.Path) -> str | None:
        """Of the content of the source's files, and of how rows are dealt."""
        return files.content_sha256(self._described(split), self.paths(split, data_dir))

    def describe(self) -> dict[str, object]:
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {"kind": "byuser", **own, "rows": self.rows.describe()}

    def _described(self, split: str) -> object:
        files.check_split(self, split)
        return {**self.describe(), "split": split}

    def _text_and_user(self, row: Mapping[str, object]) -> tuple[str, str] | None:
        """What the row's user wrote, its beginning alone, and who that is; None where a value is of another kind."""
        value, user = row.get(self.text), row.get(self.user)
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            value = "\n".join(value)
        if not isinstance(value, str) or isinstance(user, bool):
            return None
        text = " ".join(value.split())[: self.same_prefix]
        if user is None:
            return text, f"text {text}"
        return (text, f"user {user}") if isinstance(user, str | int) else None

    def _problem(self, record: formats.Record) -> formats.Record:
        assert record.row is not None
        return formats.Record(
            record.where,
            None,
            f"{self.text} must be a text or a list of texts, and {self.user} a text, a whole number or absent; they are "
            f"{record.row.get(self.text)!r} and {record.row.get(self.user)!r}",
        )

    def _why_left_out(
        self,
        text: str,
        user: str,
        first_places: dict[str, str],
        rows_of: dict[str, int],
        where: str,
    ) -> str:
        """Takes a row into account; why it is left out, "" where it stays."""
        first = first_places.setdefault(text, where)
        if first != where:
            return f"begins as {first} does"
        rows_of[user] = rows_of.get(user, 0) + 1
        if rows_of[user] > self.max_per_user:
            return f"the user has {self.max_per_user} already"
        return ""

    def _split_of(self, user: str) -> str:
        """The same for a user in every file and order of rows."""
        number = int.from_bytes(hashlib.sha256(user.encode()).digest()[:8], "big")
        return _VALIDATION if number % _HUNDRED < self.validation_percent else _TRAIN
