"""Whether the files that a run reads are in what a launcher ships: the commit of a checkout, or its folder.

A run file or a task module that is not shipped is found out on machines that are paid for. What each launcher ships is in
`launch/`; `flantune preflight` asks here.
"""

from collections.abc import Iterable, Sequence
import pathlib
import subprocess
import sys

from flantune.host import shipped

_GIT_TIMEOUT_S = 60


def modules_files(modules: Iterable[str]) -> list[str]:
    """The files of modules that are imported, and of all others of their packages that they brought in."""
    packages = {name.partition(".")[0] for name in modules}
    loaded = {
        name: module for name, module in sys.modules.items() if name.partition(".")[0] in packages
    }
    found = (getattr(module, "__file__", None) for module in loaded.values())
    return sorted({file for file in found if file})


def check_folder(checkout: pathlib.Path, named: Sequence[str], files: Sequence[str]) -> str:
    """Checks that the machines find run files by the names given here, and every file in the checkout.

    Args:
        named: run files, as the command line names them.
        files: these and all others that the run reads: included gin files, task modules.

    Returns:
        What was looked at.

    Raises:
        ValueError: one is not there; says which and what to do.
    """
    root = checkout.resolve()
    problems = [*_names_apart(root, named), *_outside(root, files)]
    if problems:
        raise ValueError(f"{'; '.join(problems)}. The machines get what is in {root} alone.")
    return f"{len(files)} files that the run reads are in {root}"


def check_commit(checkout: pathlib.Path, named: Sequence[str], files: Sequence[str]) -> str:
    """The same for the commit that is checked out there: what git does not have is not shipped."""
    root = checkout.resolve()
    inside = [path for path in map(_resolved, files) if path.is_relative_to(root)]
    relative = [path.relative_to(root).as_posix() for path in inside]
    tracked = _git(root, "ls-files", relative)
    ignored = _git(root, "check-ignore", [name for name in relative if name not in tracked])
    changed = _git(root, "diff", relative, "--name-only", "--relative", "HEAD") & tracked
    problems = [*_names_apart(root, named), *_outside(root, files)]
    for name in relative:
        if name in ignored:
            problems.append(f"{name} is ignored by git (git add --force {name})")
        elif name not in tracked:
            problems.append(f"{name} is untracked (git add {name})")
        elif name in changed:
            problems.append(f"{name} is modified")
    if problems:
        raise ValueError(
            f"{'; '.join(problems)}. The machines get the commit of {root}, not its folder: commit what the run reads."
        )
    return f"{len(files)} files that the run reads are in the commit of {root}"


def _names_apart(root: pathlib.Path, named: Sequence[str]) -> list[str]:
    """Run files that machines, which start in the checkout, would not find by their names."""
    return [
        f"{name} is found here alone: name it as from {root}, where the machines start"
        for name in named
        if pathlib.Path(name).exists()
        and (pathlib.Path(name).is_absolute() or _resolved(str(root / name)) != _resolved(name))
    ]


def _outside(root: pathlib.Path, files: Sequence[str]) -> list[str]:
    """Files that are neither in the checkout nor come with flantune."""
    own = shipped.folder().resolve()
    return [
        f"{file} is outside {root} (move it there)"
        for file in files
        if not any(_resolved(file).is_relative_to(folder) for folder in (root, own))
    ]


def _resolved(file: str) -> pathlib.Path:
    return pathlib.Path(file).resolve()


def _git(root: pathlib.Path, command: str, names: Sequence[str], *flags: str) -> set[str]:
    """The names that a command of git prints, of those given."""
    if not names:
        return set()
    words = ["git", "-C", str(root), command, *flags, "-z", "--", *names]
    if command == "check-ignore":
        words = ["git", "-C", str(root), command, "-z", "--stdin"]
    try:
        done = subprocess.run(
            words,
            input="\0".join(names),
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise ValueError(f"git, which knows the commit of {root}, is not installed.") from error
    nothing_ignored = command == "check-ignore" and done.returncode == 1
    if done.returncode and not nothing_ignored:
        raise ValueError(
            f"The commit of {root} cannot be looked at: {' '.join(done.stderr.split())}"
        )
    return set(filter(None, done.stdout.split("\0")))
