"""The layers of the packages: who may import what, importing without effect, no names of datasets in the library."""

import ast
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
TENSORFLOW = {"tensorflow", "tensorflow_datasets", "seqio"}
# What each package must not import, at any place in a file unless `lazy_allowed` names the file.
FORBIDDEN = {
    "configs.py": {"jax", "numpy", "flantune", *TENSORFLOW},
    "prompting": {"jax", "numpy", *TENSORFLOW},
    "metrics.py": {"jax", *TENSORFLOW},
    "data": {"jax", "flax", *TENSORFLOW},
    "models": {"optax", "flantune.data", *TENSORFLOW},
    "training": {"flantune.data", "flantune.models", "flantune.evaluation", *TENSORFLOW},
    "inference": {"flantune.training", "flantune.evaluation", *TENSORFLOW},
    "evaluation": {"flantune.training", *TENSORFLOW},
    "gin_files.py": {"jax", *TENSORFLOW},
}
LAZY_ALLOWED = {  # inside functions, where a source or SeqIO is really used
    "data/sources.py": TENSORFLOW,
    "data/registry.py": TENSORFLOW,
    "data/registry_tasks.py": TENSORFLOW,
    "data/tfds_source.py": TENSORFLOW,
    "data/seqio_features.py": TENSORFLOW,
    "data/seqio_modules.py": TENSORFLOW,
    "data/seqio_tasks.py": TENSORFLOW,
}


def imports(path: pathlib.Path):
    """(module, whether the import is inside a function or for type checking only) of each import of a file."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, id(node) not in top
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield f"{node.module}.{alias.name}", id(node) not in top


def forbidden_imports(path: pathlib.Path, forbidden: set[str]):
    relative = path.relative_to(ROOT / "flantune").as_posix()
    for module, is_lazy in imports(path):
        found = [name for name in forbidden if module == name or module.startswith(name + ".")]
        if found and not (is_lazy and set(found) <= LAZY_ALLOWED.get(relative, set())):
            yield f"{relative} imports {module}"


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_package_imports_below_itself(package):
    place = ROOT / "flantune" / package
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    assert files
    found = [line for file in files for line in forbidden_imports(file, FORBIDDEN[package])]
    assert not found


def test_prompting_imports_only_the_standard_library_and_itself():
    for path in (ROOT / "flantune" / "prompting").glob("*.py"):
        for module, _ in imports(path):
            top = module.split(".")[0]
            assert top in sys.stdlib_module_names or module.startswith("flantune.prompting"), (
                f"{path.name} imports {module}"
            )


def test_tasks_import_only_what_task_modules_may():
    allowed = (
        "flantune.prompting",
        "flantune.data",
        "flantune.metrics",
        "flantune.interop.promptsource",  # reads wordings that others publish
        "tasks",
    )
    for path in (ROOT / "tasks").rglob("*.py"):
        for module, _ in imports(path):
            top = module.split(".")[0]
            assert top in sys.stdlib_module_names or module.startswith(allowed), (
                f"{path.name} imports {module}"
            )


def test_only_gin_files_imports_gin():
    for path in (ROOT / "flantune").rglob("*.py"):
        users = [module for module, _ in imports(path) if module.split(".")[0] == "gin"]
        assert not users or path.name == "gin_files.py", path


def test_the_gin_folder_holds_no_python():
    assert not list((ROOT / "gin").rglob("*.py"))


def test_the_library_names_no_dataset_prompt_size_or_bucket():
    datasets = re.compile(
        r"\b(sst-?2|boolq|bool_q|gsm8k|commonsense_qa|copa|trec|super_?glue)\b|gs://\w",
        re.IGNORECASE,
    )
    for path in (ROOT / "flantune").rglob("*.py"):
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
