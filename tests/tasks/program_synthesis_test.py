"""Program synthesis: tasks made from the files of a folder."""

import gzip
import json

import pytest

from flantune.data import catalog as catalog_lib
from flantune.data.store import reader as store_lib
from tasks import program_synthesis


def write(data_dir, name, rows):
    path = data_dir / "program_synthesis" / name
    path.parent.mkdir(exist_ok=True)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_every_file_is_a_task_of_the_kind_that_its_first_row_shows(tmp_path):
    problem = {"problem": "Print 1.", "solution": "print(1)", "language": "Python"}
    repair = {"program": "print(1", "error": "')' is missing", "solution": "print(1)"}
    write(tmp_path, "contests.jsonl.gz", [problem] * 20)
    write(tmp_path, "my repairs.jsonl", [repair] * 3)
    (tmp_path / "program_synthesis" / "README.md").write_text("no data")
    catalog = catalog_lib.load(
        ["tasks.program_synthesis"], store_lib.Store(tmp_path / "store"), tmp_path
    )
    assert set(catalog.tasks) == {"program_synthesis:contests", "program_synthesis:my_repairs"}
    contests = catalog.task("program_synthesis:contests")
    assert len(list(contests.source.read("validation", tmp_path))) == 2
    rows = [contests.to_fields(row) for row in contests.source.read("train", tmp_path)]
    assert rows == [{"problem": "Print 1.", "code": "Python code", "answer": ["print(1)"]}] * 18
    repairs = catalog.task("program_synthesis:my_repairs")
    assert repairs.source.splits == ("train",)
    (fields, *_) = map(repairs.to_fields, repairs.source.read("train", tmp_path))
    assert fields == {
        "program": "print(1",
        "error": "')' is missing",
        "code": "code",
        "answer": ["print(1)"],
    }


def test_programs_keep_their_lines_and_indents():
    fields = program_synthesis.problem_fields(
        {"problem": " Loop. ", "solution": ["\n  while x:\n  \tx -= 1 \n\n", "", "  go()"]}
    )
    assert fields["answer"] == ["while x:\n  x -= 1", "go()"]
    assert fields["problem"] == "Loop."


def test_rows_without_problem_or_solution_are_dropped():
    assert program_synthesis.problem_fields({"problem": " ", "solution": "x"}) is None
    assert program_synthesis.problem_fields({"problem": "Loop.", "solution": [" "]}) is None
    row = {"program": "x", "error": "", "solution": "y"}
    assert program_synthesis.repair_fields(row) is None


def test_a_file_of_another_layout_is_refused(tmp_path):
    path = write(tmp_path, "odd.jsonl", [{"prompt": "x", "solution": "y"}])
    with pytest.raises(ValueError, match=r"odd\.jsonl: the first row has 'prompt', 'solution'"):
        program_synthesis.read_metadata(path)
