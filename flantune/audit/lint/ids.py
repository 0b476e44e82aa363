"""Plain SeqIO tasks: what can be checked on ids alone, in all prepared rows. They have no wordings.

An id says less than a text: how a preprocessor made it, and whether it should have, stays unknown. `rows.py` looks for
one target only, sorted rows and duplicates, as in tasks with text. Read `check.py` next.
"""

from collections.abc import Iterator
import dataclasses

from flantune.audit.lint import fields as lint_fields, rows as lint_rows
from flantune.audit.lint.findings import Finding
from flantune.data import task as task_lib
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import rendering

_SIDES = {"inputs": "inputs", "targets": "answer"}  # the field of each


def check(
    task: task_lib.InstructionTask,
    reader: store_lib.Reader,
    vocabulary: vocabulary_lib.Vocabulary,
) -> Iterator[Finding]:
    """Findings of a task whose rows are ids of a vocabulary.

    Raises:
        ValueError: they are ids of another one.
    """
    seqio_tasks.check_vocabulary(reader.manifest, vocabulary)
    counts = _Counts(eos_id=vocabulary.eos_id)
    for fields in lint_fields.read(reader):
        counts.add(fields)
    for code, message in counts.problems(reader.manifest.dropped):
        yield Finding(code=code, task=task.name, message=message)
    yield from lint_rows.check(task, reader, lambda ids: vocabulary.decode(seqio_tasks.ids_of(ids)))


@dataclasses.dataclass(kw_only=True)
class _Counts:
    """How many rows have each problem."""

    eos_id: int
    rows: int = 0
    cut: int = 0
    no_end: int = 0
    unknown: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(_SIDES, 0))
    inner_end: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(_SIDES, 0))

    def add(self, fields: rendering.Fields) -> None:
        was_cut = seqio_tasks.was_cut(fields)
        self.rows += 1
        self.cut += was_cut
        for side, field in _SIDES.items():
            ids = seqio_tasks.ids_of(str(fields[field]))
            self.unknown[side] += vocabulary_lib.UNK_ID in ids
            self.inner_end[side] += self.eos_id in ids[:-1]
        self.no_end += not was_cut and ids[-1] != self.eos_id  # of the targets, the last side

    def problems(self, dropped: int) -> Iterator[tuple[str, str]]:
        total = f"{self.rows:,} rows"
        for side in _SIDES:
            if self.unknown[side]:
                count = self.unknown[side]
                yield "unknown_ids", f"The {side} of {count:,} of {total} hold the unknown id."
            if self.inner_end[side]:
                count = self.inner_end[side]
                yield (
                    "inner_eos",
                    f"The {side} of {count:,} of {total} go on after an end of sequence.",
                )
        if self.no_end:
            yield "no_eos", f"The targets of {self.no_end:,} of {total} have no end of sequence."
        if self.cut:
            yield "cut_ids", f"{self.cut:,} of {total} lose the end of their inputs or targets."
        if dropped:
            yield (
                "no_ids",
                f"{dropped:,} of {self.rows + dropped:,} rows have no inputs or no targets.",
            )
