"""Python, packages and names: facts that pass, and facts that do not."""

import pathlib
import sys

import pytest

from flantune.jobs.doctor import software
from flantune.jobs.doctor.software import Names, Package

FILE = pathlib.Path("/place/constraints.txt")


def levels(findings):
    return [one.level for one in findings]


@pytest.mark.parametrize(
    ("version", "level"),
    [("3.10.9", "problem"), ("3.11.0", "ok"), ("3.13.1rc1", "ok"), ("3.14.0", "problem")],
)
def test_python_is_one_that_flantune_needs(version, level):
    (found,) = software.check_python(version, ">=3.11,<3.14", "/bin/python")
    assert (found.level, version in found.found) == (level, True)


def test_a_missing_and_a_forbidden_package_stop_a_run():
    there = Package(wanted="optax>=0.2.8", version="0.2.9")
    assert levels(software.check_needed([there], FILE)) == ["ok"]
    old = Package(wanted="jax<0.13,>=0.10", version="0.9.2")
    missing = Package(wanted="grain>=0.2.18", version=None)
    (found,) = software.check_needed([there, old, missing], FILE)
    assert found.level == "problem"
    assert "2 of 3 packages" in found.found
    assert "jax is 0.9.2, grain is not installed" in found.found
    assert found.advice.endswith(
        "--constraint /place/constraints.txt 'jax<0.13,>=0.10' 'grain>=0.2.18'"
    )


def test_other_versions_than_those_tested_are_a_warning():
    tested = {"jax": "0.10.2", "flax": "0.12.8", "torch": "2.9"}
    same = {"jax": "0.10.2", "flax": "0.12.8", "torch": None}
    assert levels(software.check_tested(tested, same, FILE)) == ["ok"]
    assert levels(software.check_tested(tested, same | {"torch": "2.9+cpu"}, FILE)) == ["ok"]
    (found,) = software.check_tested(tested, same | {"flax": "0.12.9"}, FILE)
    assert found.level == "warning"
    assert "1 of 3 packages" in found.found
    assert "flax 0.12.9 instead of 0.12.8" in found.found


def test_constraints_are_those_of_the_python():
    text = '# why\nflax==0.12.8 ; python_version == "3.11"\nflax==0.12.12 ; python_version >= "3.12"\n\nAbsl_Py==2.5.1\n'
    for version, flax in (("3.11", "0.12.8"), ("3.13", "0.12.12")):
        found = software.parse_constraints(text, {"python_version": version})
        assert found == {"flax": flax, "absl-py": "2.5.1"}


def test_the_packages_here_are_all_there():
    assert levels(software.python()) == ["ok"]
    needed, tested = software.packages()
    assert needed.level == "ok"
    assert tested.level in ("ok", "warning")


def test_each_name_that_hides_something_is_told():
    assert levels(software.check_names(Names())) == ["ok"]
    (found,) = software.check_names(Names(of_needed=("gin",)))
    assert found.level == "problem"
    assert "gin.py or gin/__init__.py here hides the package 'gin'" in found.found
    others = {
        "of_others": ("pytest",),
        "of_python": ("json",),
        "has_tasks_file": True,
        "tasks_run_code": True,
        "copies": ("tasks/sst2.py",),
    }
    for name, value in others.items():
        (found,) = software.check_names(Names(**{name: value}))
        assert found.level == "warning", name
        assert found.advice, name


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder that Python searches first, as commands make it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_an_innocent_folder_hides_nothing(here):
    (here / "gin" / "runs").mkdir(parents=True)
    (here / "gin" / "runs" / "mine.gin").write_text("")
    (here / "tasks").mkdir()
    (here / "tasks" / "mine.py").write_text("TASKS = ()\n")
    (here / "tasks" / "__init__.py").write_text('"""Mine."""\n')
    (here / "my_tasks.py").write_text("")
    assert software.names_of(here) == Names()


def test_what_hides_something_is_found(here):
    (here / "gin").mkdir()
    (here / "gin" / "__init__.py").write_text("")
    (here / "flax.py").write_text("")
    (here / "pytest.py").write_text("")
    (here / "json.py").write_text("")
    (here / "tasks.py").write_text("")
    assert software.names_of(here) == Names(
        of_needed=("flax", "gin"),
        of_others=("pytest",),
        of_python=("json",),
        has_tasks_file=True,
    )
    assert "json" in sys.stdlib_module_names


def test_files_that_stand_for_ours_are_found(here):
    (here / "tasks").mkdir()
    (here / "tasks" / "__init__.py").write_text('"""Mine."""\nimport os\n')
    (here / "tasks" / "sst2.py").write_text("TASKS = ()\n")
    (here / "gin" / "runs").mkdir(parents=True)
    (here / "gin" / "runs" / "tiny.gin").write_text("")
    found = software.names_of(here)
    assert found.copies == ("gin/runs/tiny.gin", "tasks/sst2.py")
    assert found.tasks_run_code
