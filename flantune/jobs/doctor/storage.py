"""Memory, folders and buckets: whether they are there, can be written to, and have room."""

from collections.abc import Iterator, Mapping
import dataclasses
import importlib.util
import os
import pathlib

from flantune.host import places
from flantune.jobs.doctor.findings import Finding, as_warning, ok, problem, warning

_GIB = 2**30
# What training `docs/starter/` takes of host memory is 0.8 GiB; a quarter more for the processes that prepare.
_LEAST_MEMORY = _GIB
_LEAST_DISK = (
    _GIB  # a tiny run takes a few MB; a store or a real model's checkpoint soon takes this
)
_LEAST_FILES = 1000  # a split of the store is a few files, an Orbax checkpoint some dozens
# By what etils.epath reaches each kind of bucket where it does not use TensorFlow.
_FILESYSTEMS = {"gs": "gcsfs", "s3": "s3fs", "az": "adlfs", "hf": "huggingface_hub"}
_FALSE = ("false", "no", "f", "0")  # as etils.epath reads EPATH_USE_TF


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """Host memory, in bytes.

    Attributes:
        limit: of this process's control group, as a container or SLURM sets it; None: none.
    """

    total: int
    available: int
    limit: int | None
    cores: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """A local folder that a run uses, whether it is there or not.

    Attributes:
        path: as it was named.
        exists: whether the folder itself is there.
        is_folder: of what is there; True where nothing is.
        there: the folder itself or the nearest parent that is there.
        is_writable: whether a file could be made in `there` just now.
        free_bytes, free_files: what the file system of `there` has left; `free_files` is None where it does not count them.
    """

    path: str
    exists: bool
    is_folder: bool
    there: str
    is_writable: bool
    free_bytes: int
    free_files: int | None


def size_text(num_bytes: int) -> str:
    """Example: `size_text(3 * 2**29)` is "1.5 GiB"; below a GiB it is in MiB."""
    if num_bytes < _GIB:
        return f"{num_bytes / 2**20:,.1f} MiB"
    return f"{num_bytes / _GIB:,.1f} GiB"


def memory() -> list[Finding]:
    return check_memory(_memory())


def check_memory(found: Memory) -> list[Finding]:
    """Whether there is memory for a small run."""
    of = min(found.total, found.limit or found.total)
    free = min(found.available, of)
    said = f"{size_text(free)} of {size_text(of)} are free; {found.cores} CPU cores"
    if found.limit is not None and found.limit < found.total:
        said += f" (this process's limit; the machine has {size_text(found.total)})"
    if free >= _LEAST_MEMORY:
        return [ok("memory", said)]
    return [
        warning(
            "memory",
            f"Only {said}. A tiny run takes 0.8 GiB.",
            "End other programs, ask for more memory, or use fewer processes (flantune prepare --num_processes 1).",
        )
    ]


def folder(path: str) -> Folder:
    """The facts of a local folder; a file without a name is made in it and vanishes."""
    place = pathlib.Path(path).expanduser()
    there = next(one for one in (place.absolute(), *place.absolute().parents) if one.exists())
    nearest = there if there.is_dir() else there.parent
    counts = os.statvfs(nearest)
    return Folder(
        path=path,
        exists=place.exists(),
        is_folder=there.is_dir(),
        there=str(there),
        is_writable=places.why_not_writable(there) is None,
        free_bytes=counts.f_bavail * counts.f_frsize,
        free_files=counts.f_favail if counts.f_files else None,
    )


def check_written(what: str, found: Folder, *, needs_bytes: int | None = None) -> list[Finding]:
    """Whether a run can write to a folder.

    Args:
        needs_bytes: what it will write, where that is known.
    """
    if not found.is_folder:
        return [
            problem(
                what,
                f"{found.path} cannot be a folder: {found.there} is a file.",
                "Name another folder, or move the file away.",
            )
        ]
    if not found.is_writable:
        return [
            problem(
                what,
                f"{found.path} cannot be written to: no file can be made in {found.there}.",
                f"Get permission to write there (ls -ld {found.there}; mount), or name another folder.",
            )
        ]
    return [_room(what, found, needs_bytes)]


def _room(what: str, found: Folder, needs_bytes: int | None) -> Finding:
    free = f"{size_text(found.free_bytes)} free"
    place = f"{found.path}, {'' if found.exists else 'to be made, '}{free}"
    if needs_bytes is not None and needs_bytes > found.free_bytes:
        return problem(
            what,
            f"{place}, and the run writes {size_text(needs_bytes)} of checkpoints.",
            "Make room, name another folder, or lower CheckpointConfig.keep_last.",
        )
    if found.free_bytes < _LEAST_DISK:
        return warning(what, f"Only {place}.", "Make room or name another folder.")
    if found.free_files is not None and found.free_files < _LEAST_FILES:
        return warning(
            what,
            f"{place}, but its file system has room for {found.free_files} more files only.",
            "Remove files there or name another folder.",
        )
    needs = "" if needs_bytes is None else f"; checkpoints take {size_text(needs_bytes)}"
    return ok(what, place + needs)


def check_data_dir(
    path: str, given_by: str | None, *, exists: bool, splits_are_checked: bool = False
) -> list[Finding]:
    """Whether the root of source files is there.

    Args:
        given_by: the flag, variable or file that names it; None: it is the current folder, as nothing names another.
        splits_are_checked: then it is no more than a warning, since splits that are prepared need no source.
    """
    what = "data folder"
    if given_by is None:
        return [ok(what, f"{path} (here: neither --data_dir nor FLANTUNE_DATA_DIR names another)")]
    if exists:
        return [ok(what, f"{path} ({given_by})")]
    found = problem(
        what,
        f"{given_by} names the folder {path}, which is not there.",
        "Make it or name another; a run whose splits are all prepared does without.",
    )
    return [as_warning(found) if splits_are_checked else found]


def buckets(paths: Mapping[str, str]) -> list[Finding]:
    found = {name for name in _FILESYSTEMS.values() if importlib.util.find_spec(name) is not None}
    has_tf = importlib.util.find_spec("tensorflow") is not None
    return list(check_buckets(paths, found, os.environ.get("EPATH_USE_TF"), has_tensorflow=has_tf))


def check_buckets(
    paths: Mapping[str, str],
    installed: set[str],
    use_tf: str | None,
    *,
    has_tensorflow: bool,
) -> Iterator[Finding]:
    """How the paths in buckets will be reached; nobody asks the network.

    Args:
        paths: by what they are for, local ones too.
        installed: those of the packages that reach buckets.
        use_tf: the variable EPATH_USE_TF.
    """
    with_tf = has_tensorflow and (use_tf or "").lower() not in _FALSE
    for what, path in paths.items():
        scheme = path.partition("://")[0]
        if not places.is_bucket(path):
            continue
        if scheme not in _FILESYSTEMS:
            yield problem(
                what,
                f"{path}: nothing here reads {scheme}:// paths.",
                f"Use one of {', '.join(f'{one}://' for one in _FILESYSTEMS)} or a local folder.",
            )
        elif with_tf and scheme != "gs":
            yield problem(
                what,
                f"{path} is looked for with TensorFlow, which is installed and reads no {scheme}:// paths.",
                f"Set EPATH_USE_TF=0 and install {_FILESYSTEMS[scheme]}.",
            )
        elif with_tf:
            yield warning(
                what,
                f"{path} is read with TensorFlow, which is installed and EPATH_USE_TF does not rule out: it takes seconds "
                "and memory.",
                "Set EPATH_USE_TF=0 and install gcsfs on training hosts.",
            )
        elif _FILESYSTEMS[scheme] not in installed:
            package = _FILESYSTEMS[scheme]
            yield problem(
                what, f"{path} needs {package}, which is not installed.", f"pip install {package}"
            )
        else:
            yield ok(what, f"{path}, not asked whether it can be reached")


def compile_cache() -> list[Finding]:
    path = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    local = None if path is None or places.is_bucket(path) else folder(path)
    return check_compile_cache(path, local)


def check_compile_cache(path: str | None, local: Folder | None) -> list[Finding]:
    """Where compiled steps are kept between starts, if anywhere."""
    what = "compile cache"
    if path is None:
        return [
            ok(what, "none; JAX_COMPILATION_CACHE_DIR=FOLDER keeps compiled steps between starts")
        ]
    if local is None:
        return [ok(what, f"{path}, in a bucket")]
    # JAX goes on without a cache that it cannot write.
    return [as_warning(one) for one in check_written(what, local)]


def _memory() -> Memory:
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    available = os.sysconf("SC_AVPHYS_PAGES") * page
    meminfo = pathlib.Path("/proc/meminfo")
    if meminfo.exists():  # counts what caches would give back
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        available = int(lines["MemAvailable"].split()[0]) * 1024
    limit = used = None
    group = pathlib.Path("/sys/fs/cgroup")
    for limit_file, used_file in (
        (group / "memory.max", group / "memory.current"),
        (group / "memory/memory.limit_in_bytes", group / "memory/memory.usage_in_bytes"),
    ):
        if limit_file.exists() and limit_file.read_text().strip().isdecimal():
            limit, used = int(limit_file.read_text()), int(used_file.read_text())
            available = min(available, limit - used)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Memory(total=total, available=available, limit=limit, cores=cores or 1)
