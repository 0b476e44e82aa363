"""`SplitJob`, all that is needed to prepare one split, and `SplitResult`, what became of it.

`prepare.py` makes jobs, `split_writer.py` does them.
"""

from collections.abc import Callable
import dataclasses
import pathlib
import traceback
from typing import Any

from flantune.data import task as task_lib
from flantune.data.store.manifest import Manifest
from flantune.host import error_text, traces


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitJob:
    """All that is needed to prepare one split; sent to worker processes.

    Attributes:
        weight_field: holds each row's loss weight.
        facts: fields of the manifest that the task gives: licence, lineage, cluster, constants, metadata.
    """

    task: str
    split: str
    source: task_lib.Source
    to_fields: Callable[[task_lib.Row], task_lib.Fields | None]
    to_fields_fingerprint: str
    source_fingerprint: str | None
    needed_fields: tuple[str, ...]
    known_fields: tuple[str, ...]
    answer_choices: tuple[str, ...] | str | None
    weight_field: str | None
    facts: dict[str, Any]
    root: str
    data_dir: pathlib.Path
    rows_per_shard: int
    max_malformed_fraction: float

    def content_sha256(self) -> str | None:
        """Of the source's files; None for a source without files, whose fingerprint is of its content already."""
        content = getattr(self.source, "content_sha256", None)
        return content(self.split, self.data_dir) if content else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitResult:
    """What became of one split.

    Attributes:
        status: "fresh" (nothing to do), "prepared" or "failed".
        problems: places and problems of the first malformed rows.
        error: one sentence, where it failed.
    """

    task: str
    split: str
    status: str
    rows: int = 0
    dropped: int = 0
    malformed: int = 0
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    error: str = ""


def failed(task: str, split: str, error: Exception, seconds: float = 0.0) -> SplitResult:
    """The result of a split that could not be prepared."""
    return SplitResult(
        task=task, split=split, status="failed", seconds=seconds, error=_sentence(error)
    )


def succeeded(manifest: Manifest, status: str, seconds: float = 0.0) -> SplitResult:
    """The result of a split that is in the store."""
    return SplitResult(
        task=manifest.task,
        split=manifest.split,
        status=status,
        rows=manifest.rows,
        dropped=manifest.dropped,
        malformed=manifest.malformed.count,
        problems=manifest.malformed.first,
        seconds=seconds,
    )


def check_malformed(job: SplitJob, manifest: Manifest) -> None:
    """Raises ValueError, with the first places, where more rows of a split are malformed than the job allows."""
    count, allowed = manifest.malformed.count, job.max_malformed_fraction
    total = manifest.rows + manifest.dropped + count
    if count > allowed * total:
        raise ValueError(
            f"Task {job.task!r}, split {job.split!r}: {count} of {total} rows are malformed, more than {allowed:.3g} of "
            f"them. The first ones: {'; '.join(manifest.malformed.first[:3])}. Mend the file, or allow more with "
            "DataConfig.max_malformed_fraction."
        )


def _sentence(error: Exception) -> str:
    """What a user reads: our own errors as they are, others with their type and place."""
    text = error_text.sentence(error)
    frames = traceback.extract_tb(error.__traceback__)
    ours = not frames or traces.is_ours(frames[-1].filename)
    if ours and isinstance(error, ValueError | KeyError | TypeError | FileNotFoundError):
        return text
    place = traces.users_place(error)
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{text} ({place})" if place else text
        )  # names the file; that Python's own code met it tells nothing
    if place is None and frames:
        place = traces.place(frames[-1].filename, frames[-1].lineno)
    return f"{type(error).__name__}: {text}{f' ({place})' if place else ''}"
