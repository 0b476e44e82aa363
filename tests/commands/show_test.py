"""`flantune show` on modules, mixtures, single wordings and names that nobody knows."""

import json
import sys

import pytest

from flantune import cli

TASKS = '''"""Words, said again.

Nothing more.
"""

from flantune import metrics
from flantune.data import InstructionTask, Mixture, TaskFamily, equal, sources
from flantune.prompting import Template


def to_fields(row):
    return {"word": row["word"], "answer": row["answers"]}


def no_files(folder):
    return {}


SHORT = InstructionTask(
    name="shown:short", cluster="words", to_fields=to_fields, metrics=(metrics.exact_match,),
    source=sources.Jsonl(train="words.jsonl"),
    templates=(Template(inputs="Copy: {word}"), Template(inputs="Again {word}")),
)
FAMILY = TaskFamily(name="nowhere", files=no_files, read_metadata=dict, make_task=no_files)
TASKS = (SHORT, FAMILY)
MIXTURES = (
    Mixture(name="shown_all", rates={"shown:*": equal()}, unit="tokens"),
    Mixture(name="shown_many", rates={f"shown:short#{n}_shot": equal() for n in range(1, 9)}),
)
'''
MODULE = "show_test_tasks"


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder with a module of tasks, a script that must not be imported, and rows with two answers each."""
    (tmp_path / f"{MODULE}.py").write_text(TASKS)
    (tmp_path / "a_script.py").write_text("raise SystemExit('imported')\n")
    rows = [{"word": word, "answers": [word, word.upper()]} for word in ("ant", "bee", "cow")]
    (tmp_path / "words.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)  # xdist sets it
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(tmp_path / "prepared"))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == MODULE]:
        del sys.modules[name]


def found(capsys, *arguments):
    assert cli.main(["show", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def printed(capsys, *arguments):
    assert cli.main(["show", *arguments]) == 0
    return " ".join(capsys.readouterr().out.split())


def refused(capsys, *arguments):
    assert cli.main(["show", *arguments]) == 2
    return capsys.readouterr().err.strip().split("\n")[-1]


def test_a_module_needs_no_dot(capsys):
    value = found(capsys, MODULE)
    assert [row["task"] for row in value["rows"]] == ["shown:short"]
    assert value["mixtures"][0] == {
        "mixture": "shown_all",
        "unit": "tokens",
        "held_out": None,
        "members": ["shown:*"],
        "exclude": [],
    }


def test_a_module_of_mixtures_shows_them(capsys, workplace):
    (workplace / f"{MODULE}.py").write_text(TASKS.replace("TASKS = (SHORT, FAMILY)", ""))
    text = printed(capsys, MODULE)
    assert "shown_all shown:* tokens" in text
    assert "shown:short#5_shot and 3 more examples" in text
    assert "0 tasks" not in text


def test_without_a_name_modules_are_listed(capsys):
    rows = {row["module"]: row for row in found(capsys)["modules"]}
    assert rows[MODULE] == {
        "module": MODULE,
        "tasks": 1,
        "mixtures": 2,
        "absent": ["nowhere"],
        "about": "Words, said again.",
    }
    assert rows["tasks.quickstart"]["tasks"] == 23
    assert rows["tasks.mixtures"]["mixtures"] > 5
    assert "a_script" not in rows
    shown = printed(capsys, "--modules", MODULE)
    assert f"{MODULE} 1 2 Words, said again. Its files are not in the data directory." in shown


def test_a_task_of_this_folder_is_found_by_its_name(capsys):
    value = found(capsys, "shown:short", "-n", "1")
    assert [template["number"] for template in value["templates"]] == [0, 1]
    assert value["examples"][0]["references"] == ["ant", "ANT"]
    assert "2 references" in printed(capsys, "shown:short", "-n", "1")


@pytest.mark.parametrize(("number", "prompt"), [("0", "Copy: {}"), ("1", "Again {}")])
def test_one_wording_alone(capsys, number, prompt):
    value = found(capsys, "shown:short", "--template", number)
    assert [str(template["number"]) for template in value["templates"]] == [number]
    inputs = [example["inputs"] for example in value["examples"]]
    assert inputs == [prompt.format(word) for word in ("ant", "bee", "cow")]


def test_a_wording_that_is_not_there(capsys):
    sentence = refused(capsys, "shown:short", "--template", "2")
    assert sentence == "flantune: shown:short has the templates 0 to 1, and no template 2."


def test_a_name_that_nobody_knows_gets_the_closest_and_no_list(capsys):
    sentence = refused(capsys, "shown:shot")
    assert (
        "'shown:shot', which does not exist. Did you mean 'shown:short'? Modules searched: "
        in sentence
    )
    assert "No task of the family" not in sentence
    assert len(sentence) < 400
    assert f"Did you mean '{MODULE}'?" in refused(capsys, f"{MODULE[:-1]}")
    # Where a family's files are what is missing, it is said.
    assert "No task of the family 'nowhere'" in refused(capsys, "nowhere:a", "--modules", MODULE)


def test_packages_in_tasks_are_searched(capsys, workplace):
    (workplace / "tasks" / "mine").mkdir(parents=True)
    (workplace / "tasks" / "__init__.py").write_text("")
    (workplace / "tasks" / "mine" / "__init__.py").write_text("")
    text = TASKS.replace("shown", "deep")
    (workplace / "tasks" / "mine" / "words.py").write_text(text)
    try:
        assert found(capsys, "deep:short", "-n", "0")["task"] == "deep:short"
        assert found(capsys, "tasks.mine.words")["module"] == "tasks.mine.words"
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "tasks"]:
            del sys.modules[name]
