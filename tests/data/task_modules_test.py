"""Modules of tasks: a folder of one's own beside those that come with flantune, in a process of its own."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
from flantune.data import task_modules
names = task_modules.names("tasks")
assert set(names) == {f"tasks.{name}" for name in sys.argv[2].split()}
for name in sys.argv[3:]:
    print(task_modules.load(f"tasks.{name}").__file__)
import tasks
assert tasks.__name__ == "tasks", tasks
"""
SHIPPED = sorted(path.stem for path in (ROOT / "tasks").glob("*.py") if path.stem != "__init__")


def files_of(place, known, *names):
    command = [sys.executable, "-c", CODE, str(place), " ".join(known), *names]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [pathlib.Path(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("is_package", [False, True])
def test_modules_of_both_folders_are_found_and_yours_first(tmp_path, is_package):
    own = tmp_path / "tasks"
    own.mkdir()
    (own / "mine.py").write_text("from tasks import row_fields\n")
    (own / "copa.py").write_text((ROOT / "tasks" / "copa.py").read_text())
    (own / "trec.py").write_text("TASKS = ()\n")
    if is_package:
        (own / "__init__.py").write_text("")
    files, log = files_of(tmp_path, [*SHIPPED, "mine"], "mine", "copa", "trec", "sst2")
    assert files == [own / "mine.py", own / "copa.py", own / "trec.py", ROOT / "tasks" / "sst2.py"]
    assert f"trec.py in {own}: these stand for" in log
    assert "copa.py" not in log  # a copy


def test_without_a_folder_or_with_a_file_of_that_name_there_are_those_that_come_with_flantune(
    tmp_path,
):
    assert files_of(tmp_path, SHIPPED, "sst2")[0] == [ROOT / "tasks" / "sst2.py"]
    (tmp_path / "tasks.py").write_text("raise RuntimeError\n")
    assert files_of(tmp_path, SHIPPED, "sst2")[0] == [ROOT / "tasks" / "sst2.py"]


def test_a_package_that_fails_to_import_is_not_kept(tmp_path):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("import no_such_module\n")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from flantune.data import task_modules\n"
        "for _ in range(2):\n"
        "    try: task_modules.load('tasks.sst2')\n"
        "    except ModuleNotFoundError as error: print(error.name, 'tasks' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd="/", capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["no_such_module False"] * 2, done.stderr
