"""Rows that a task does not have: they are not here, or its `to_fields` cannot read them. Read `check.py` next.

That a source is absent is for whoever has the data to mend, so it is a note: the templates are checked all the same, and
`Report` counts the tasks whose rows nobody saw. That `to_fields` fails on rows that are here is a fault of the task, so it
is an error; a few such rows, as many as a run leaves out too (`DataConfig.max_malformed_fraction`), are a warning.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import pathlib

from flantune.audit.lint.findings import Finding
from flantune.data import catalog as catalog_lib, task as task_lib, task_modules
from flantune.data.store import manifest as manifest_lib, prepare as prepare_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Failure:
    """A split that could not be prepared.

    Attributes:
        is_absent: its source is not here; else the source or the task is at fault.
        error: one sentence, of `prepare`.
    """

    task: str
    split: str
    is_absent: bool
    error: str


def failures(
    wanted: Iterable[tuple[task_lib.InstructionTask, Sequence[str]]],
    report: prepare_lib.PrepareReport,
    data_dir: pathlib.Path,
) -> list[Failure]:
    """What failed of the splits that `prepare` was asked for, in their order."""
    asked = [(task, split) for task, splits in wanted for split in splits]
    return [
        Failure(
            task=task.name,
            split=split,
            is_absent=_is_absent(task, split, data_dir),
            error=result.error,
        )
        for (task, split), result in zip(asked, report.results, strict=True)
        if result.status == "failed"
    ]


def _is_absent(task: task_lib.InstructionTask, split: str, data_dir: pathlib.Path) -> bool:
    try:
        return task.source.fingerprint(split, data_dir) is None
    except Exception:  # a source that cannot even say so is here, and broken
        return False


def check(
    catalog: catalog_lib.Catalog,
    task: task_lib.InstructionTask,
    manifests: Mapping[str, manifest_lib.Manifest | None],
    failed: Mapping[str, Failure],
) -> Iterator[Finding]:
    """Findings of splits without rows, and of rows that are left out.

    Args:
        manifests: of each split that is looked at; None where it is not prepared.
        failed: why not, by split, where that is known.
    """
    for split, manifest in manifests.items():
        if split in failed:
            yield _failed(catalog, task, failed[split])
        elif manifest is None:
            message = f"The split {split!r} is not prepared."
            yield Finding(code="no_rows", task=task.name, message=message)
        elif manifest.malformed.count:
            total = manifest.rows + manifest.dropped + manifest.malformed.count
            message = (
                f"{manifest.malformed.count:,} of {total:,} rows of {split!r} cannot be read: "
                f"{manifest.malformed.first[0]}."
            )
            yield Finding(code="malformed_rows", task=task.name, message=message)


def _failed(
    catalog: catalog_lib.Catalog, task: task_lib.InstructionTask, failure: Failure
) -> Finding:
    if failure.is_absent:
        message = f"The rows of {failure.split!r} are not here. {failure.error}"
        return Finding(code="no_rows", task=task.name, message=message)
    message = f"The rows of {failure.split!r} cannot be prepared. {failure.error} The task is made in {_place(catalog, task)}."
    return Finding(code="broken_rows", task=task.name, message=message)


def _place(catalog: catalog_lib.Catalog, task: task_lib.InstructionTask) -> str:
    """The file of the module that exports a task; its name where it has no file."""
    names = catalog.origins.get(task.name) or catalog.modules  # plain SeqIO tasks have no origin
    files = (getattr(task_modules.load(name), "__file__", None) or name for name in names)
    return " and ".join(files)
