"""`prepare`: reads every source once, in worker processes, into the prepared store; what is unchanged is left alone.

A split is fresh while its source's files, its `to_fields` and its shards are what they were. `split_writer.py` prepares
one split; `host/workers.py` has the processes; `reader.py` reads the result.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import json
import os
import pathlib
import pickle
import time
from typing import Any

from absl import logging

from flantune.data import (
    fields as fields_lib,
    fingerprint as fingerprint_lib,
    sources,
    task as task_lib,
)
from flantune.data.store import (
    manifest as manifest_lib,
    reader as store_lib,
    split_job,
    split_writer,
)
from flantune.data.store.manifest import Manifest
from flantune.data.store.split_job import SplitJob, SplitResult
from flantune.host import atomic, places, workers

Progress = Callable[
    [SplitResult, int, int], None
]  # a result, how many are done, how many there are
_ROWS_PER_SHARD = 50_000  # what a kill costs at most; a shard of this many NI rows has 20 MB
_SHOWN = 3  # causes of failures in an error, and splits of a cause
_MAX_BATCH = 16  # splits that a worker gets at once: enough to hide the round trip of about 1 ms


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrepareReport:
    """What became of every split."""

    results: tuple[SplitResult, ...]
    seconds: float

    @property
    def failed(self) -> tuple[SplitResult, ...]:
        return tuple(result for result in self.results if result.status == "failed")

    def failures(self) -> list[str]:
        """A sentence for each cause of failures, with the splits that it concerns."""
        causes: dict[str, list[str]] = {}
        for result in self.failed:
            causes.setdefault(result.error, []).append(f"{result.task}, {result.split}")
        told = []
        for error, splits in causes.items():
            more = f"; and {len(splits) - _SHOWN} more" if splits[_SHOWN:] else ""
            told.append(f"[{'; '.join(splits[:_SHOWN])}{more}] {error}")
        return told

    def as_json(self) -> dict[str, Any]:
        """Counts, and a sentence for each cause of failures."""
        counts = {
            status: sum(result.status == status for result in self.results)
            for status in ("prepared", "fresh", "failed")
        }
        sums = {
            name: sum(getattr(result, name) for result in self.results)
            for name in ("rows", "dropped", "malformed")
        }
        problems = [f"{r.task}, {r.split}: {place}" for r in self.results for place in r.problems]
        return {
            **counts,
            **sums,
            "seconds": round(self.seconds, 2),
            "failures": self.failures(),
            "malformed_rows": problems,
        }

    def raise_if_failed(self) -> None:
        """Raises ValueError, with the first causes, where a split could not be prepared."""
        if self.failed:
            causes = self.failures()
            more = f" And {len(causes) - _SHOWN} more." if causes[_SHOWN:] else ""
            raise ValueError(
                f"{len(self.failed)} of {len(self.results)} splits cannot be prepared. "
                f"{' '.join(causes[:_SHOWN])}{more}"
            )


def prepare(
    tasks: Sequence[tuple[task_lib.InstructionTask, Sequence[str]]],
    store: store_lib.Store,
    data_dir: pathlib.Path,
    *,
    num_processes: int | None = None,
    rows_per_shard: int = _ROWS_PER_SHARD,
    on_progress: Progress | None = None,
    max_malformed_fraction: float = 0.01,
) -> PrepareReport:
    """Prepares splits of tasks; broken ones are reported and never block the others.

    Args:
        tasks: each task with the splits wanted of it.
        num_processes: worker processes; 0 works in this process; None takes one for each core.
        on_progress: called after each split.
        max_malformed_fraction: a split with a larger part of malformed rows fails.

    Raises:
        ValueError: something is to be prepared and the store is not on a local disk.
        PlaceError: the store cannot be read or written; what is finished is kept.
    """
    started = time.monotonic()
    wanted = list(dict.fromkeys((id(task), split) for task, splits in tasks for split in splits))
    by_id = {id(task): task for task, _ in tasks}
    options = _Options(store, data_dir, rows_per_shard, max_malformed_fraction)
    results: dict[tuple[int, str], SplitResult] = {}
    jobs: dict[tuple[int, str], SplitJob] = {}

    def finish(key: tuple[int, str], result: SplitResult) -> None:
        results[key] = result
        _log(result)
        if on_progress is not None:
            on_progress(result, len(results), len(wanted))

    for key in wanted:
        outcome = _check(by_id[key[0]], key[1], options)
        if isinstance(outcome, SplitResult):
            finish(key, outcome)
        else:
            jobs[key] = outcome
    if jobs:
        _check_store(store, next(iter(jobs.values())))
    for position, result in _prepared(list(jobs.values()), num_processes):
        finish(list(jobs)[position], result)
    return PrepareReport(
        results=tuple(results[key] for key in wanted), seconds=time.monotonic() - started
    )


def _log(result: SplitResult) -> None:
    """Logs what a reader must know of a split that is prepared; why others failed, the report says."""
    if result.status == "failed":
        return
    if result.malformed and result.status == "prepared":
        logging.warning(
            "%s, split %s: %d malformed rows are left out, the first ones: %s",
            result.task,
            result.split,
            result.malformed,
            "; ".join(result.problems),
        )
    if not result.rows:
        logging.warning(
            "%s, split %s, has no rows: to_fields dropped %d, and %d are malformed.",
            result.task,
            result.split,
            result.dropped,
            result.malformed,
        )


def _check_store(store: store_lib.Store, job: SplitJob) -> None:
    """Raises where a job cannot be done, whatever its source: before any worker is started."""
    root = os.fspath(store.root)
    if places.is_bucket(root):
        raise ValueError(
            f"The store {root} lacks {job.task!r}, split {job.split!r}, and a bucket cannot be prepared into: prepare into "
            "a local folder and copy it there."
        )
    why = places.why_not_writable(root)
    if why is not None:
        raise places.PlaceError(
            f"The prepared store {root} cannot be written: {why}. It lacks {job.task!r}, split {job.split!r}; "
            "--prepared_dir or FLANTUNE_PREPARED_DIR names another store."
        )


def state(
    task: task_lib.InstructionTask, split: str, store: store_lib.Store, data_dir: pathlib.Path
) -> str:
    """What there is of a split; no source is opened and nothing is written.

    "fresh" is prepared; "stale" too, but its source, its `to_fields` or its shards are not what they were (where only times of
    files changed, `prepare` finds the same content and leaves it alone); "missing" can be prepared; "absent" cannot, since its
    source is not there.
    """
    manifest = store.manifest(task, split)
    job = _job(task, split, _Options(store, data_dir, _ROWS_PER_SHARD, 0.0))
    if manifest is None:
        return "absent" if job.source_fingerprint is None else "missing"
    return "fresh" if _is_fresh(job, manifest, store) else "stale"


@dataclasses.dataclass(frozen=True)
class _Options:
    store: store_lib.Store
    data_dir: pathlib.Path
    rows_per_shard: int
    max_malformed_fraction: float


def _check(task: task_lib.InstructionTask, split: str, options: _Options) -> SplitJob | SplitResult:
    """What to do for a split: nothing (it is fresh, or wrong as it stands), or a job."""
    try:
        job = _job(task, split, options)
        manifest = options.store.manifest(task, split)
        if manifest is None or not _is_fresh(job, manifest, options.store):
            return job
        if manifest.rows:
            fields_lib.check_needed(task.name, job.needed_fields, manifest.schema)
        elif job.source_fingerprint is not None:  # raises where a slice takes nothing of its file
            next(sources.records(job.source, split, options.data_dir), None)
        for name in manifest.schema:
            fields_lib.check_known(task.name, job.known_fields, name)
        split_job.check_malformed(job, manifest)
        return split_job.succeeded(_with_facts(job, manifest, options.store), "fresh")
    except places.PlaceError:
        raise  # the same for every split
    except Exception as error:  # one broken source never blocks the others
        return split_job.failed(task.name, split, error)


def _job(task: task_lib.InstructionTask, split: str, options: _Options) -> SplitJob:
    choices = task.answer_choices
    weight_field = task.loss_weight if isinstance(task.loss_weight, str) else None
    # A label that was in range may not be so when there are fewer choices, and a field that becomes the loss weight was
    # not checked as one: then the rows are checked again. A weight that is a number is in no row.
    to_fields_fingerprint = fingerprint_lib.value_fingerprint(
        [
            fingerprint_lib.function_fingerprint(task.to_fields),
            len(choices) if isinstance(choices, tuple) else choices,
            *([weight_field] if weight_field else []),
        ]
    )
    facts = {
        "licence": task.licence,
        "lineage": task.lineage,
        "cluster": task.cluster,
        "constants": dict(task.constants),
        "metadata": json.loads(json.dumps(dict(task.metadata))),
    }
    return SplitJob(
        task=task.stored_as,
        split=split,
        source=task.source,
        to_fields=task.to_fields,
        to_fields_fingerprint=to_fields_fingerprint,
        source_fingerprint=task.source.fingerprint(split, options.data_dir),
        needed_fields=task.needed_fields(),
        known_fields=task.known_fields(),
        answer_choices=choices,
        weight_field=weight_field,
        facts=facts,
        root=os.fspath(options.store.root),
        data_dir=options.data_dir,
        rows_per_shard=options.rows_per_shard,
        max_malformed_fraction=options.max_malformed_fraction,
    )


def _is_fresh(job: SplitJob, manifest: Manifest, store: store_lib.Store) -> bool:
    """Whether a split needs no look into its source; without the source, the store is what there is."""
    return (
        manifest.to_fields_fingerprint == job.to_fields_fingerprint
        and job.source_fingerprint in (None, manifest.source_fingerprint)
        and split_writer.is_intact(store.split_dir(job.task, job.split), manifest)
    )


def _with_facts(job: SplitJob, manifest: Manifest, store: store_lib.Store) -> Manifest:
    """The manifest with the task's facts as they are now; written where they changed."""
    current = dataclasses.replace(manifest, **job.facts)
    if current != manifest:
        path = store.split_dir(job.task, job.split) / manifest_lib.FILE_NAME
        with store.writing():
            atomic.write_text(path, current.to_json())
    return current


def _prepared(
    jobs: Sequence[SplitJob], num_processes: int | None
) -> Iterator[tuple[int, SplitResult]]:
    """Results of jobs, in any order, with their positions."""
    if num_processes is None:
        num_processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    pickled: dict[int, bytes] = {}
    for position, job in enumerate(jobs) if num_processes else ():
        try:
            pickled[position] = pickle.dumps(job)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            logging.warning("%s is prepared in this process: %s", job.task, error)
    here = [position for position in range(len(jobs)) if position not in pickled]
    for position, result in _in_workers(pickled, num_processes):
        if result is None:
            logging.warning(
                "%s is prepared in this process: no worker can import it", jobs[position].task
            )
            here.append(position)
        elif isinstance(result, workers.Crash):
            job = jobs[position]
            yield position, split_job.failed(job.task, job.split, ValueError(str(result)))
        else:
            yield position, result
    for position in here:
        yield position, split_writer.prepare_split(jobs[position])


def _in_workers(
    pickled: dict[int, bytes], num_processes: int
) -> Iterator[tuple[int, SplitResult | workers.Crash | None]]:
    """Results by position; None where a worker cannot load a job, which is then for this process."""
    positions = list(pickled)
    size = max(1, min(_MAX_BATCH, len(positions) // (8 * max(1, num_processes))))
    batches = [positions[start : start + size] for start in range(0, len(positions), size)]
    while batches:
        payloads = [[pickled[position] for position in batch] for batch in batches]
        again: list[list[int]] = []
        found = workers.run(split_writer.prepare_batch, payloads, num_processes)
        with contextlib.closing(found):  # type: ignore[type-var]  # a generator
            for number, results in found:
                batch = batches[number]
                if not isinstance(results, workers.Crash):
                    yield from zip(batch, results, strict=True)
                elif len(batch) == 1:
                    yield batch[0], results
                else:  # one of them kills its worker: alone it shows
                    again += [[position] for position in batch]
        batches = again
