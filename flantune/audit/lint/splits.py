"""Rows of a task's other splits that stand in train too: a model that has seen them there is not tested by them.

Two rows have the same inputs where all fields that prompts show are equal but for case and white space, and are copies
where their answers are equal too. How bad it is goes by the share of the other split:

    most rows are copies    an error. No publisher ships that; slices overlap, or a file is named for both splits.
    1 % or more             a warning: scores are too high by about as much, and a reader of them must know.
    fewer                   a note. Nearly every published set has some: more than 4 % of the validation rows of common
                            datasets stand nearly word for word in train (https://arxiv.org/abs/2107.06499).

Rows with the same inputs and another answer are counted with the others: the inputs give the training answer away, but
the copy alone shows a mistake in the splits, so most of the rows being such is a warning only. A task whose inputs are few
by its nature, such as sums of two digits, allows the code (`LINT_ALLOW`) with that reason. Near copies, and rows of other
tasks, are for `flantune leakage` (`audit/overlap/`). Read `check.py` next.
"""

import array
from collections.abc import Iterator, Mapping
import dataclasses

from jaxtyping import Bool, UInt
import numpy as np

from flantune.audit.lint import fields as lint_fields
from flantune.audit.lint.findings import Finding
from flantune.data import task as task_lib
from flantune.data.store import reader as store_lib
from flantune.prompting import choice, rendering

TRAIN = "train"
_MOST = 0.5  # of the rows of a split
_SOME = 0.01
_SHOWN = 80  # characters of an example


def check(
    task: task_lib.InstructionTask, readers: Mapping[str, store_lib.Reader]
) -> Iterator[Finding]:
    """Findings of each split beside train; takes 17 bytes of memory for a row of it and of train.

    Args:
        readers: of the splits that are prepared.
    """
    if TRAIN not in readers or len(readers) == 1 or not lint_fields.input_fields(task):
        return
    train = _keys(task, readers[TRAIN])
    for split, reader in readers.items():
        if split == TRAIN:
            continue
        own = _keys(task, reader)
        found = own.is_shown & np.isin(own.inputs, train.inputs)
        copies = found & np.isin(own.rows, train.rows)
        if found.any():
            pair = _pair(own, train, found, copies)
            code, message = _problem(split, found, copies)
            example = f"Row {pair[0]:,} is row {pair[1]:,} of {TRAIN!r}"
            text = "" if task.is_tokenized else f": {_start(task, reader[pair[0]])}"
            yield Finding(code=code, task=task.name, message=f"{message} {example}{text}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Keys:
    """Of each row of a split, hashes of what it shows, and of that and its answers; and whether it shows anything."""

    inputs: UInt[np.ndarray, " rows"]
    rows: UInt[np.ndarray, " rows"]
    is_shown: Bool[np.ndarray, " rows"]


def _keys(task: task_lib.InstructionTask, reader: store_lib.Reader) -> _Keys:
    names = lint_fields.input_fields(task)
    inputs, rows, is_shown = array.array("Q"), array.array("Q"), array.array("B")
    for fields in lint_fields.read(reader):
        shown = [
            lint_fields.normalised(lint_fields.flat(fields[name]))
            for name in names
            if name in fields
        ]
        answers = sorted(map(lint_fields.normalised, lint_fields.answers_of(task, fields)))
        inputs.append(choice.hash64(*shown))
        rows.append(choice.hash64(inputs[-1], *answers))
        is_shown.append(any(shown))
    return _Keys(
        inputs=np.frombuffer(inputs, np.uint64),
        rows=np.frombuffer(rows, np.uint64),
        is_shown=np.frombuffer(is_shown, np.bool_),
    )


def _pair(
    own: _Keys, train: _Keys, found: Bool[np.ndarray, " rows"], copies: Bool[np.ndarray, " rows"]
) -> tuple[int, int]:
    """The first row that stands in train, a copy where there is one, and the first such row of train."""
    if copies.any():
        first = int(copies.argmax())
        return first, int((train.rows == own.rows[first]).argmax())
    first = int(found.argmax())
    return first, int((train.inputs == own.inputs[first]).argmax())


def _problem(
    split: str, found: Bool[np.ndarray, " rows"], copies: Bool[np.ndarray, " rows"]
) -> tuple[str, str]:
    """The code and what it counts."""
    total, count, num_copies = len(found), int(found.sum()), int(copies.sum())
    code = "few_rows_in_train"
    if num_copies > _MOST * total:
        code = "split_in_train"
    elif count >= _SOME * total:
        code = "rows_in_train"
    return code, (
        f"The inputs of {count:,} of {total:,} rows of {split!r} ({count / total:.2%}) stand in {TRAIN!r}, "
        f"{num_copies:,} of them with the same answer."
    )


def _start(task: task_lib.InstructionTask, fields: rendering.Fields) -> str:
    """The start of what a row shows, in one line."""
    texts = (
        lint_fields.flat(fields[name]) for name in lint_fields.input_fields(task) if name in fields
    )
    line = " ".join(" ".join(texts).split())
    return repr(line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…")
