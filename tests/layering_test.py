"""The rooms of `flantune/` (`house.py`): who may import what, importing without effect, no names of datasets in the library."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

from . import house

ROOT = house.ROOT
FLANTUNE = ROOT / house.PACKAGE
# Where TensorFlow and SeqIO may be imported inside functions: when a source is read, or SeqIO is really used.
LAZY_TENSORFLOW = (
    "data/sources/",
    "data/plain_seqio/",
    "registry/",
    "interop/t5x.py",
    "testing/registries.py",
)
LOOSE = {"__init__.py", "__main__.py", "cli.py", "experiments.py"}
MAX_LINES, MAX_FUNCTION = 500, 60


def test_every_room_is_in_the_table_and_nothing_else_stands_loose():
    found = {path.name for path in FLANTUNE.iterdir() if path.name != "__pycache__"}
    folders = {name for name in found if (FLANTUNE / name).is_dir()}
    assert found - folders - {"README.md", "py.typed"} == LOOSE
    assert {room.removesuffix(".py") for room in (folders | LOOSE)} - {"__init__"} == set(
        house.ROOMS
    )
    for path in FLANTUNE.rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), f"{path.parent} is no package"


def test_no_import_climbs():
    place = {room: number for number, room in enumerate(house.ROOMS)}
    climbs = [
        str(one)
        for (above, room), found in house.arrows().items()
        for one in found
        if place[room] < place[above]
    ]
    assert not climbs


def test_there_is_no_circle_between_rooms():
    assert not house.circles(house.arrows())


def test_the_readme_of_the_house_is_true():
    text = (FLANTUNE / "README.md").read_text(encoding="utf-8")
    assert house.diagram(house.arrows()) in text
    listed = re.findall(r"`(\w+)(?:\.py|/)`", text.split("`x`:")[0])
    rooms = list(dict.fromkeys(name for name in listed if name in house.ROOMS))
    assert rooms == [room for room in house.ROOMS if room != "__main__"]
    assert not [path for path in re.findall(r"`([\w/]+/)`", text) if not _is_folder(path)]


def _is_folder(path: str) -> bool:
    return any(
        folder.is_dir() for folder in (FLANTUNE / path, ROOT / path, *FLANTUNE.glob(f"*/{path}"))
    )


def test_climbs_and_circles_are_found(tmp_path):
    files = {
        "__init__.py": "",
        "cli.py": "from flantune import commands",
        "commands/__init__.py": "from flantune.host import atomic",
        "host/__init__.py": "",
        "host/atomic.py": "def f():\n    import flantune.commands.shared as shared",
        "commands/shared.py": "",
    }
    for name, text in files.items():
        (tmp_path / "flantune" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "flantune" / name).write_text(text)
    edges = house.arrows(tmp_path)
    assert list(edges) == [("cli", "commands"), ("commands", "host"), ("host", "commands")]
    assert str(edges["host", "commands"][0]) == "host/atomic.py imports flantune.commands.shared"
    assert house.circles(edges) == [["commands", "host"]]


@pytest.mark.parametrize("room", house.ROOMS)
def test_no_room_imports_what_it_must_not(room):
    found = [str(one) for one in house.imports() if one.room == room and _is_forbidden(one)]
    assert not found


def _is_forbidden(one: house.Import) -> bool:
    rules = house.ROOMS[one.room]
    top = one.name.split(".")[0]
    path = one.path.as_posix()
    if rules == house.ANYTHING:
        own = one.name.startswith(f"{house.PACKAGE}.{one.room}")
        return not own and top not in sys.stdlib_module_names
    if top in house.TENSORFLOW and one.is_lazy and path.startswith(LAZY_TENSORFLOW):
        return False
    return any(f"{one.name}.".startswith(f"{rule}.") for rule in rules)


def test_tensorflow_and_seqio_are_imported_only_where_they_are_used():
    for one in house.imports():
        if one.name.split(".")[0] in house.TENSORFLOW:
            assert one.is_lazy, one
            assert one.path.as_posix().startswith(LAZY_TENSORFLOW), one


def test_only_processes_of_the_host_know_jax():
    users = {one.path.name for one in house.imports() if one.room == "host" and _is_jax(one)}
    assert users == {"processes.py", "process_watch.py"}


def _is_jax(one: house.Import) -> bool:
    return one.name.split(".")[0] in house.JAX


def test_only_gin_files_imports_gin():
    users = {one.path.as_posix() for one in house.imports() if one.name.split(".")[0] == "gin"}
    assert users == {"jobs/gin_files.py"}


def test_a_folder_s_init_only_hands_names_on():
    for path in FLANTUNE.rglob("*/__init__.py"):
        docstring, *body = ast.parse(path.read_text()).body
        assert isinstance(docstring, ast.Expr), f"{path} says nothing"
        for node in body:
            assert isinstance(node, ast.ImportFrom | ast.Assign), f"{path}, line {node.lineno}"


def test_tasks_import_only_what_task_modules_may():
    allowed = (
        "flantune.prompting",
        "flantune.data",
        "flantune.metrics",
        "flantune.interop.promptsource",  # reads wordings that others publish
        "tasks",
    )
    for path in (ROOT / "tasks").rglob("*.py"):
        for module, _ in house.imports_of(path):
            top = module.split(".")[0]
            assert top in sys.stdlib_module_names or module.startswith(allowed), (
                f"{path.name} imports {module}"
            )


@pytest.mark.parametrize("folder", ["flantune", "tasks", "tests"])
def test_files_and_functions_stay_short(folder):
    for path in (ROOT / folder).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert text.count("\n") <= MAX_LINES, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= MAX_FUNCTION, f"{path}: {node.name} has {lines} lines"


def test_the_gin_folder_holds_no_python():
    assert not list((ROOT / "gin").rglob("*.py"))


def test_the_library_names_no_dataset_prompt_size_or_bucket():
    datasets = re.compile(
        r"\b(sst-?2|boolq|bool_q|gsm8k|commonsense_qa|copa|trec|super_?glue)\b|gs://\w",
        re.IGNORECASE,
    )
    for path in FLANTUNE.rglob("*.py"):
        if path.relative_to(FLANTUNE).as_posix() == "configs/published_t5.py":
            continue  # what messages say of T5's published files, in one place
        tree = ast.parse(path.read_text())
        docs = {
            ast.get_docstring(node, clean=False)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        }
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and node.value not in docs
            ):
                assert not datasets.search(node.value), f"{path}: {node.value!r}"


@pytest.mark.parametrize(
    "module",
    [
        "flantune.training.trainer",
        "flantune.experiments",
        "flantune.cli",
        "flantune.views.report",
        "tasks.mixtures",
    ],
)
def test_importing_loads_no_tensorflow_and_touches_no_device(module):
    code = (
        f"import sys, {module}\n"
        "loaded = {'tensorflow', 'seqio', 'tensorflow_datasets', 'matplotlib'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
        "if 'jax' in sys.modules:\n"
        "    from jax._src import xla_bridge\n"
        "    assert not xla_bridge._backends, 'a device was touched'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_mentions_of_files_are_true():
    """Every `x.py` that a docstring, comment, README or page of ours names is there."""
    known = {path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py")}
    bases = [pathlib.Path(name) for name in (".", "flantune", "docs/starter")]
    elsewhere = re.compile(r"my_tasks\.py|modeling_t5\.py|tuners/|utils/save_and_load\.py")
    missing = []
    folders = ("flantune", "tasks", "gin", "docs", "launch")
    files = [
        path for name in folders for kind in ("*.py", "*.md") for path in (ROOT / name).rglob(kind)
    ]
    for path in (ROOT / "README.md", *files):
        place = path.relative_to(ROOT).parent
        for name in re.findall(r"`([\w./]+\.py)`", path.read_text(encoding="utf-8")):
            candidates = [base / name for base in (place, *bases)]
            if not elsewhere.search(name) and not known & {c.as_posix() for c in candidates}:
                missing.append(f"{path}: {name}")
    assert not missing
