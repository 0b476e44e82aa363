"""All checks of `flantune doctor`, in their order; one that fails itself is told among the others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import os
import pathlib
import tempfile
from typing import TYPE_CHECKING

from flantune.configs import DataConfig
from flantune.data.input import loading
from flantune.host import error_text, places
from flantune.jobs.doctor import devices, findings as findings_lib, software, storage, store
from flantune.jobs.doctor.findings import Finding, made, ok, problem

if TYPE_CHECKING:
    from flantune.jobs.doctor import run_file


@dataclasses.dataclass(frozen=True, kw_only=True)
class Question:
    """What the doctor is asked.

    Attributes:
        data_dir: as its flag names it; None: it does not.
        prepared_dir: the same.
        run_dir: of the run, whether it is there or not.
        parse: parses the gin files of a run; None: there is none.
        device_timeout_s: how long JAX may take to start.
        environment: the variables of a run.
    """

    data_dir: str | None
    prepared_dir: str | None
    run_dir: str
    parse: Callable[[], object] | None
    device_timeout_s: int
    environment: Mapping[str, str]


def examine(question: Question) -> list[Finding]:
    """What was found, all of it; raises nothing but what stops the program itself."""
    found = [
        *made("python", software.python),
        *made("packages", software.packages),
        *made("names here", software.names),
        *made("memory", storage.memory),
        *made("devices", lambda: devices.devices(question.device_timeout_s, question.environment)),
        *made("compile cache", storage.compile_cache),
    ]
    run, told = _run(question)
    return [*found, *told, *_places(question, run), *_of_run(run)]


def _run(question: Question) -> tuple["run_file.Run | None", Sequence[Finding]]:
    """The run that is asked about, where its files can be read, and what there is to tell of them."""
    if (parse := question.parse) is None:
        return None, ()
    runs: list[run_file.Run] = []

    def look() -> list[Finding]:
        from flantune.jobs.doctor import run_file  # brings JAX, and gin, which a file may hide

        try:
            parse()
            runs.append(run_file.bound())
        except (ValueError, KeyError, OSError) as error:
            advice = "Correct the run file or the flag."
            return [problem("run file", error_text.sentence(error), advice)]
        return [ok("run file", f"binds all that training needs; mixture {runs[0].data.mixture!r}")]

    told = made("run file", look)
    return (runs[0] if runs else None), told


def _places(question: Question, run: "run_file.Run | None") -> Iterator[Finding]:
    """Folders and buckets: of the run, or those that any run would use here."""
    data = run.data if run is not None else _any_data(question)
    given_by = next(
        (
            name
            for name, value in (
                ("--data_dir", question.data_dir),
                ("DataConfig.data_dir", data.data_dir),
                ("FLANTUNE_DATA_DIR", question.environment.get("FLANTUNE_DATA_DIR")),
            )
            if value
        ),
        None,
    )
    yield from made("data folder", lambda: _data_dir(data, given_by, is_run=run is not None))
    yield from made("prepared store", lambda: _store(data))
    yield from made("run folder", lambda: _run_dir(question.run_dir, run))
    yield from made(
        "temporary folder",
        lambda: storage.check_written("temporary folder", storage.folder(tempfile.gettempdir())),
    )
    yield from made("buckets", lambda: storage.buckets(_paths(question, data, run)))


def _any_data(question: Question) -> DataConfig:
    """Where any run would find data and store, by the flags."""
    return DataConfig(
        mixture="",
        modules=(),
        vocabulary="",
        inputs_length=1,
        targets_length=1,
        batch_size=1,
        data_dir=question.data_dir,
        prepared_dir=question.prepared_dir,
    )


def _data_dir(data: DataConfig, given_by: str | None, *, is_run: bool) -> list[Finding]:
    try:
        folder = loading.data_dir(data)
    except ValueError as error:  # it is in a bucket
        advice = "Copy the sources here and name their folder."
        return [problem("data folder", str(error), advice)]
    return storage.check_data_dir(
        str(folder), given_by, exists=folder.is_dir(), splits_are_checked=is_run
    )


def _store(data: DataConfig) -> list[Finding]:
    what = "prepared store"
    try:
        root = os.fspath(loading.open_store(data).root)
    except ValueError as error:  # a file is in its place
        return [problem(what, str(error), "Name another folder, or move the file away.")]
    if places.is_bucket(root):
        return []
    written = storage.check_written(what, storage.folder(root))
    if pathlib.Path(root).is_dir():  # one that is there may be for reading only
        written = [findings_lib.as_warning(one) for one in written]
    return [*written, *store.store(pathlib.Path(root))]


def _run_dir(run_dir: str, run: "run_file.Run | None") -> list[Finding]:
    if places.is_bucket(run_dir):
        return []
    needs = None
    if run is not None:
        from flantune.jobs.doctor import run_file

        needs = run_file.checkpoint_bytes(run, pathlib.Path(run_dir))
    return storage.check_written("run folder", storage.folder(run_dir), needs_bytes=needs)


def _paths(question: Question, data: DataConfig, run: "run_file.Run | None") -> dict[str, str]:
    paths = {
        "prepared store": os.fspath(loading.open_store(data).root),
        "run folder": question.run_dir,
        "compile cache": question.environment.get("JAX_COMPILATION_CACHE_DIR", ""),
    }
    if run is not None:
        paths["vocabulary"] = run.data.vocabulary
        paths["start"] = "" if run.init is None else run.init.path
    return paths


def _of_run(run: "run_file.Run | None") -> Iterator[Finding]:
    if run is None:
        return
    from flantune.jobs.doctor import run_file

    yield from made("splits", lambda: run_file.splits(run))
    yield from made("run", lambda: list(run_file.checks(run)))
