"""`scan`: what training members hold of evaluation members, by several processes, kept in the prepared store.

    scan(store, evaluation members, training members)  ->  Scan(overlaps=(TaskOverlap(...), ...), ...)

Results lie in a file for each set of evaluation rows: a training member is read anew only where its rows, its wordings
or this code changed. A row of the pool that few-shot prompts draw exemplars from counts like a row trained on, in
whatever epoch it is drawn. Read `audit/held_out.py` next, which judges the results.
"""

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import dataclasses
import json
import os
import pickle
from typing import Any

from absl import logging
from etils import epath

from flantune.audit.overlap import index as overlap, rows as overlap_rows
from flantune.data import fingerprint as fingerprint_lib, members as members_lib, task_modules
from flantune.data.held_out_plan import NGRAM
from flantune.data.store import reader as store_lib
from flantune.host import atomic, workers

FOLDER = "leakage"  # of the prepared store
_ROWS_WORTH_WORKERS = 20_000  # fewer are read sooner than two processes start


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRows:
    """The rows of an evaluation task's split; `unchecked` of them have too few words of their own to be looked for."""

    task: str
    split: str
    rows: int
    unchecked: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskOverlap:
    """What a split of a training task holds of a split of an evaluation task."""

    evaluation: EvaluationRows
    training: str
    training_split: str
    found: overlap.Overlap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scan:
    """What was looked at, and everything that was found."""

    evaluation: tuple[EvaluationRows, ...]
    overlaps: tuple[TaskOverlap, ...]
    training_rows: int


def scan(
    store: store_lib.Store,
    evaluation: Sequence[members_lib.Member],
    training: Sequence[members_lib.Member],
    *,
    ngram: int = NGRAM,
    num_processes: int | None = None,
) -> Scan:
    """Looks for the rows of evaluation members in the texts of training members.

    Args:
        num_processes: worker processes; 0 works in this process; None takes one for each core, or none for little work.
    """
    asked = _by_split(evaluation)
    jobs = {_print(job): job for job in _jobs(training)}
    path = store.root / FOLDER / f"{_index_print(asked.values(), ngram)}.json"
    known = _read(path)
    missing = {key: job for key, job in jobs.items() if key not in known}
    if missing or not known:
        index = overlap.Index(
            {key: overlap_rows.contents(own) for key, own in asked.items()}, ngram
        )
        unchecked = {key: len(rows) for key, rows in index.unchecked().items()}
        found = _scan_all(index, list(missing.values()), num_processes)
        known |= {"unchecked": unchecked, **dict(zip(missing, found, strict=True))}
        _write(path, known)
    rows = {
        key: EvaluationRows(
            task=own[0].task.name,
            split=own[0].split,
            rows=len(own[0].reader),
            unchecked=known["unchecked"][key],
        )
        for key, own in asked.items()
    }
    overlaps = (
        TaskOverlap(
            evaluation=rows[value["task"]],
            training=job.member.task.name,
            training_split=job.member.split,
            found=_overlap(value),
        )
        for key, job in jobs.items()
        for value in known[key]
    )
    return Scan(
        evaluation=tuple(rows.values()),
        overlaps=tuple(overlaps),
        training_rows=sum(len(job.member.reader) for job in jobs.values()),
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    """A member to read, its setting without shots; `as_exemplars` where only few-shot prompts show its rows."""

    member: members_lib.Member
    as_exemplars: bool


def _by_split(
    members: Iterable[members_lib.Member],
) -> dict[str, list[members_lib.Member]]:
    """Members of the same rows, by the name of those rows."""
    found: dict[str, list[members_lib.Member]] = {}
    for member in members:
        found.setdefault(f"{member.task.name}/{member.split}", []).append(member)
    return found


def _jobs(training: Iterable[members_lib.Member]) -> list[_Job]:
    """What to read for some members: their rows and their pools, each once for each way to render them."""
    jobs: dict[object, _Job] = {}
    pools: list[_Job] = []
    for member in training:
        setting = dataclasses.replace(member.setting, shots=0, label_balanced=False)
        plain = dataclasses.replace(member, setting=setting, pool=None)
        jobs.setdefault(_identity(plain), _Job(member=plain, as_exemplars=False))
        if member.pool is not None:
            shown = dataclasses.replace(plain, split=members_lib.POOL_SPLIT, reader=member.pool)
            pools.append(_Job(member=shown, as_exemplars=True))
    for job in pools:
        jobs.setdefault(_identity(job.member), job)
    return list(jobs.values())


def _identity(member: members_lib.Member) -> object:
    return member.task.name, member.split, member.usable, member.setting


def _print(job: _Job) -> str:
    """Changes when the texts of a job may have changed."""
    member, task = job.member, job.member.task
    texts = [
        task.name,
        member.split,
        [shard.sha256 for shard in member.reader.manifest.shards],
        [dataclasses.asdict(task.templates[place]) for place in member.usable],
        overlap_rows.material_of(member),
        dataclasses.asdict(member.setting),
        dict(task.constants),
        task.answer_choices,
        job.as_exemplars,
    ]
    return fingerprint_lib.value_fingerprint(texts)


def _index_print(asked: Iterable[Sequence[members_lib.Member]], ngram: int) -> str:
    """Changes when evaluation texts, or the code that looks for them, may have changed."""
    rows = [
        [
            own[0].task.name,
            own[0].split,
            [shard.sha256 for shard in own[0].reader.manifest.shards],
            overlap_rows.shown_fields(own),
            own[0].task.answer_choices,
        ]
        for own in asked
    ]
    code = [fingerprint_lib.function_fingerprint(part) for part in (_scan_jobs, overlap.Index)]
    return fingerprint_lib.value_fingerprint([code, ngram, rows])


def _scan_all(
    index: overlap.Index, jobs: Sequence[_Job], num_processes: int | None
) -> list[list[dict[str, Any]]]:
    """What each job holds, as JSON."""
    sizes = [len(job.member.reader) for job in jobs]
    if num_processes is None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        num_processes = cores if sum(sizes) > _ROWS_WORTH_WORKERS else 0
    if num_processes < 2:
        return _scan_jobs(index, jobs)
    shares = _dealt(sizes, num_processes)
    results: list[list[dict[str, Any]]] = [[] for _ in jobs]
    try:
        payloads = [pickle.dumps((index, [jobs[place] for place in share])) for share in shares]
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        logging.warning("Leakage is looked for in one process: %s", error)
        return _scan_jobs(index, jobs)
    found = workers.run(_scan_pickled, payloads, num_processes)
    with contextlib.closing(found):  # type: ignore[type-var]  # a generator
        for number, result in found:
            if result is None or isinstance(result, workers.Crash):
                logging.warning("A worker cannot look for leakage (%s): done here.", result)
                result = _scan_jobs(index, [jobs[place] for place in shares[number]])
            for place, one in zip(shares[number], result, strict=True):
                results[place] = one
    return results


def _dealt(sizes: Sequence[int], hands: int) -> list[list[int]]:
    """Positions of some sizes, dealt to hands so that each gets about as much: the largest first, to the emptiest."""
    shares: list[list[int]] = [[] for _ in range(hands)]
    totals = [0] * hands
    for place in sorted(range(len(sizes)), key=lambda place: -sizes[place]):
        hand = totals.index(min(totals))
        shares[hand].append(place)
        totals[hand] += sizes[place]
    return [share for share in shares if share]


def _scan_pickled(payload: bytes) -> list[list[dict[str, Any]]] | None:
    """`_scan_jobs` in a worker; None where the tasks' modules cannot be imported there."""
    task_modules.join()
    try:
        index, jobs = pickle.loads(payload)
    except Exception:  # whatever a module raises: the caller does the work and meets the error
        return None
    return _scan_jobs(index, jobs)


def _scan_jobs(index: overlap.Index, jobs: Sequence[_Job]) -> list[list[dict[str, Any]]]:
    return [
        [
            dataclasses.asdict(one)
            for one in index.scan(
                overlap_rows.training_rows(job.member, "exemplar " if job.as_exemplars else "")
            )
        ]
        for job in jobs
    ]


def _read(path: epath.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _write(path: epath.Path, known: Mapping[str, Any]) -> None:
    try:
        atomic.write_text(path, json.dumps(known))
    except OSError as error:  # a store for reading only: the next start looks again
        logging.warning("The overlaps %s cannot be kept: %s", path, error)


def _overlap(value: Mapping[str, Any]) -> overlap.Overlap:
    return overlap.Overlap(
        task=value["task"],
        by_ngram=tuple(value["by_ngram"]),
        by_text=tuple(value["by_text"]),
        training_rows=tuple(value["training_rows"]),
        samples=tuple(overlap.Sample(**sample) for sample in value["samples"]),
    )
