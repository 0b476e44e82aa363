"""Python, installed packages, and files here that hide them: commands look here first for what they import."""

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence
import dataclasses
from importlib import machinery
import importlib.metadata
import pathlib
import platform
import sys

from packaging import requirements as requirements_lib, specifiers, utils

from flantune.host import shipped
from flantune.jobs.doctor.findings import Finding, ok, problem, shown, warning

_DISTRIBUTION = "flantune"
_CONSTRAINTS = "constraints.txt"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """One package that flantune needs.

    Attributes:
        wanted: its requirement, as `jax<0.13,>=0.10`.
        version: what is installed; None: nothing.
    """

    wanted: str
    version: str | None

    @property
    def name(self) -> str:
        return requirements_lib.Requirement(self.wanted).name

    @property
    def is_allowed(self) -> bool:
        allowed = requirements_lib.Requirement(self.wanted).specifier
        return self.version is not None and allowed.contains(self.version, prereleases=True)


def python() -> list[Finding]:
    wanted = importlib.metadata.metadata(_DISTRIBUTION)["Requires-Python"]
    return check_python(platform.python_version(), wanted, sys.executable)


def check_python(version: str, wanted: str, executable: str) -> list[Finding]:
    found = f"Python {version} ({executable})"
    if specifiers.SpecifierSet(wanted).contains(version, prereleases=True):
        return [ok("python", found)]
    return [
        problem(
            "python",
            f"{found}, and flantune needs {wanted}.",
            "Make an environment with another Python and install flantune there.",
        )
    ]


def packages() -> list[Finding]:
    needed = [Package(wanted=wanted, version=_version(wanted)) for wanted in _requirements()]
    file = shipped.folder() / _CONSTRAINTS
    tested = parse_constraints(file.read_text(encoding="utf-8"))
    versions = {name: _version(name) for name in tested}
    return [*check_needed(needed, file), *check_tested(tested, versions, file)]


def check_needed(needed: Collection[Package], constraints: pathlib.Path) -> list[Finding]:
    """What flantune needs and does not find, or finds in a version that it does not allow."""
    wrong = [one for one in needed if not one.is_allowed]
    if not wrong:
        return [ok("packages", f"all {len(needed)} that flantune needs are installed")]
    told = [f"{one.name} is {one.version or 'not installed'}" for one in wrong]
    wanted = " ".join(f"'{one.wanted}'" for one in wrong)
    return [
        problem(
            "packages",
            f"{len(wrong)} of {len(needed)} packages are missing or of another version: {shown(told)}.",
            f"{_install(constraints)} {wanted}",
        )
    ]


def check_tested(
    tested: Mapping[str, str], versions: Mapping[str, str | None], constraints: pathlib.Path
) -> list[Finding]:
    """Installed packages that are not of the version that was tested; what is not installed does not count."""

    def is_tested(name: str, version: str) -> bool:
        # As pip's "==" has it, a build of the version counts: 2.13.0+cpu is 2.13.0.
        return specifiers.SpecifierSet(f"=={tested[name]}").contains(version, prereleases=True)

    others = {
        name: version
        for name, version in versions.items()
        if version is not None and not is_tested(name, version)
    }
    if not others:
        return [ok("versions", f"all are those of {constraints}")]
    told = [f"{name} {version} instead of {tested[name]}" for name, version in others.items()]
    return [
        warning(
            "versions",
            f"{len(others)} of {len(tested)} packages are not of the version that was tested: {shown(told)}.",
            f"If something behaves strangely: {_install(constraints)} {' '.join(others)}",
        )
    ]


def parse_constraints(text: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Tested versions by name, those for another Python left out.

    Args:
        environment: of markers, such as {"python_version": "3.12"}; None: this process's.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        parsed = requirements_lib.Requirement(line)
        if parsed.marker is None or parsed.marker.evaluate(dict(environment or {})):
            (pin,) = parsed.specifier
            found[utils.canonicalize_name(parsed.name)] = pin.version
    return found


@dataclasses.dataclass(frozen=True, kw_only=True)
class Names:
    """Names that Python finds in a folder before it looks elsewhere: of files, and of folders with an `__init__.py`.

    Attributes:
        of_needed: those of packages that flantune imports.
        of_others: those of other installed packages.
        of_python: those of Python's own library.
        has_tasks_file: whether there is a file named tasks and no folder `tasks/`.
        tasks_run_code: whether `tasks/__init__.py` does more than say what it is.
        copies: task modules and gin files that stand for flantune's of the same name and differ from them.
    """

    of_needed: tuple[str, ...] = ()
    of_others: tuple[str, ...] = ()
    of_python: tuple[str, ...] = ()
    has_tasks_file: bool = False
    tasks_run_code: bool = False
    copies: tuple[str, ...] = ()


def install_extra(extra: str) -> str:
    """The command that installs an extra of flantune's beside what is there."""
    wanted = " ".join(f"'{one}'" for one in _requirements(extra))
    return f"{_install(shipped.folder() / _CONSTRAINTS)} {wanted}"


def names() -> list[Finding]:
    return check_names(names_of(pathlib.Path.cwd()))


def check_names(found: Names) -> list[Finding]:
    """What stands here in the way of an import."""
    what = "names here"
    findings = [
        problem(
            what,
            f"{name}.py or {name}/__init__.py here hides the package {name!r}, which flantune imports.",
            f"Rename it. A folder {name}/ without __init__.py may stay.",
        )
        for name in found.of_needed
    ]
    warnings = {
        f"Files here hide installed packages: {shown(found.of_others)}.": (
            found.of_others,
            "If something cannot be imported, rename them.",
        ),
        f"Files here hide modules of Python's own library from what imports them later: {shown(found.of_python)}.": (
            found.of_python,
            "Rename them.",
        ),
        "tasks.py here is not read: modules of tasks lie in a folder tasks/.": (
            found.has_tasks_file,
            "If it holds tasks, move it to tasks/NAME.py, which a run names as 'tasks.NAME'.",
        ),
        "tasks/__init__.py here runs code whenever any module of tasks is loaded, flantune's own too.": (
            found.tasks_run_code,
            "Leave a docstring in it, or remove it: a folder tasks/ needs none.",
        ),
        f"Files here stand for those of the same name that come with flantune: {shown(found.copies)}.": (
            found.copies,
            "If that is not meant, give them other names.",
        ),
    }
    findings += [warning(what, said, advice) for said, (is_so, advice) in warnings.items() if is_so]
    return findings or [ok(what, "nothing here hides what flantune imports")]


def names_of(here: pathlib.Path) -> Names:
    """What a folder's names hide."""
    here = here.resolve()
    own = here == shipped.folder()
    candidates = sorted(_importable(here))
    elsewhere = [path for path in sys.path if pathlib.Path(path).resolve() != here]
    hiding = [name for name in candidates if not own and _is_installed(name, elsewhere)]
    needed = (
        _needed_imports() if hiding else set()
    )  # takes a second: it lists all files of packages
    init = here / "tasks" / "__init__.py"
    return Names(
        of_needed=tuple(name for name in hiding if name in needed),
        of_others=tuple(name for name in hiding if name not in needed),
        of_python=tuple(name for name in candidates if name in sys.stdlib_module_names),
        has_tasks_file=(here / "tasks.py").is_file() and not (here / "tasks").is_dir(),
        tasks_run_code=not own and init.is_file() and _runs_code(init),
        copies=() if own else tuple(sorted(_copies(here))),
    )


def _is_installed(name: str, paths: Sequence[str]) -> bool:
    if name == "tasks" or name in sys.stdlib_module_names:
        return False  # told apart
    spec = machinery.PathFinder.find_spec(name, list(paths))
    return (
        spec is not None and spec.origin is not None
    )  # a folder without Python files hides nothing


def _needed_imports() -> set[str]:
    """Names by which flantune's packages are imported."""
    return {_DISTRIBUTION, *(name for wanted in _requirements() for name in _imports(wanted))}


def _requirements(extra: str | None = None) -> list[str]:
    """What flantune needs without extras, or what an extra adds, as its distribution says."""
    found = []
    for line in importlib.metadata.requires(_DISTRIBUTION) or ():
        parsed = requirements_lib.Requirement(line)
        marker = parsed.marker
        is_base = marker is None or marker.evaluate({"extra": ""})
        is_extra = marker is not None and extra is not None and marker.evaluate({"extra": extra})
        if is_base if extra is None else is_extra and not is_base:
            parsed.marker = None
            found.append(str(parsed))
    return found


def _version(wanted: str) -> str | None:
    try:
        return importlib.metadata.version(requirements_lib.Requirement(wanted).name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _imports(wanted: str) -> Iterator[str]:
    """Top-level names that a required package can be imported by."""
    try:
        files = importlib.metadata.files(requirements_lib.Requirement(wanted).name) or ()
    except importlib.metadata.PackageNotFoundError:
        return
    for file in files:
        if file.suffix == ".py" and (len(file.parts) == 1 or file.parts[1] == "__init__.py"):
            yield file.parts[0].removesuffix(".py")


def _importable(here: pathlib.Path) -> Iterator[str]:
    for path in here.iterdir():
        if path.suffix == ".py" and path.stem.isidentifier():
            yield path.stem
        elif (path / "__init__.py").is_file():
            yield path.name


def _runs_code(init: pathlib.Path) -> bool:
    tree = ast.parse(init.read_text(encoding="utf-8"))
    return any(
        not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        for node in tree.body
    )


def _copies(here: pathlib.Path) -> list[str]:
    return [
        ours.relative_to(shipped.folder()).as_posix()
        for pattern in ("tasks/*.py", "gin/**/*.gin")
        for ours in shipped.folder().glob(pattern)
        if ours.name != "__init__.py" and _differs(here / ours.relative_to(shipped.folder()), ours)
    ]


def _differs(file: pathlib.Path, ours: pathlib.Path) -> bool:
    return file.is_file() and file.read_bytes() != ours.read_bytes()


def _install(constraints: pathlib.Path) -> str:
    return f"{sys.executable} -m pip install --constraint {constraints}"
