"""`flantune promptsource`: templates used and refused, and the rows of each."""

import argparse
import json

import pytest

from flantune.commands import promptsource

TEMPLATES = """
templates:
  a: !Template
    jinja: '{{text}} ||| {% if label >= 0 %}x{% endif %}'
    metadata: !TemplateMetadata {original_task: true, choices_in_prompt: true}
    name: good
  b: !Template
    jinja: '{{text}}'
    name: half
"""
ROWS = [{"text": str(number), "label": number % 3 - 1} for number in range(9)]


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    folder = tmp_path / "data" / "promptsource" / "imdb"
    folder.mkdir(parents=True)
    (folder / "templates.yaml").write_text(TEMPLATES)
    rows = tmp_path / "data" / "hf" / "imdb"
    rows.mkdir(parents=True)
    (rows / "test.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments):
    parser = argparse.ArgumentParser()
    promptsource.add(parser.add_subparsers())
    flags = ["promptsource", *arguments, "--data_dir", "data", "--prepared_dir", "prepared"]
    parsed = parser.parse_args(flags)
    assert parsed.run(parsed, []) == 0
    return capsys.readouterr().out


def test_datasets_with_what_is_refused(capsys):
    reason = "it has no ||| between prompt and target"
    assert json.loads(run(capsys, "--json")) == [
        {
            "task": "promptsource:imdb",
            "direct": 1,
            "inversion": 0,
            "choices_in_prompt": 1,
            "refused": [{"template": "half", "reason": reason}],
        }
    ]
    assert "promptsource:imdb" in run(capsys)


def test_rows_of_each_template(capsys):
    value = json.loads(run(capsys, "promptsource:imdb", "--split", "test", "--json"))
    assert value == [
        {"template": "good", "kind": "direct", "rows": 6, "without": {"the target is empty": 3}}
    ]
    assert "the target is empty" in run(capsys, "promptsource:imdb", "--split", "test")


def test_other_tasks_and_an_empty_folder_are_told(capsys):
    with pytest.raises(ValueError, match=r"'copa:copa' is not made of promptsource's templates"):
        run(capsys, "copa:copa", "--modules", "tasks.copa")
    with pytest.raises(KeyError, match=r"imdb"):
        run(capsys, "promptsource:imbd")
    with pytest.raises(ValueError, match=r"No task of the family 'promptsource' was found"):
        promptsource._run(
            argparse.Namespace(
                task=None,
                split="train",
                modules="tasks.promptsource",
                data_dir="nowhere",
                prepared_dir="empty",
                json=True,
            ),
            [],
        )
