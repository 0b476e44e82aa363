"""`docs/reference.py`: the pages that are made from the code."""

import argparse
import importlib.util
import pathlib

import pytest

import flantune
from flantune.jobs.config_reference import Binding, Owner

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_and_flag_is_on_the_page(reference):
    parsers = reference.command_parsers()
    assert {"train", "eval", "lint", "report", "init"} <= set(parsers)
    page = reference.pages()["commands"]
    for name, parser in parsers.items():
        assert f"\n## {name}\n" in page
        for action in parser._actions:
            for flag in action.option_strings:
                assert f"`{flag}" in page or flag in ("-h", "--help"), f"{name} {flag}"


def test_a_command_has_its_words_its_flags_and_what_they_do(reference):
    parser = argparse.ArgumentParser(description="Does a_thing to *.gin.")
    parser.add_argument("files", nargs="*", metavar="RUN.gin")
    parser.add_argument(
        "--by", choices=("task", "row"), required=True, help="lines (default: task)"
    )
    parser.add_argument("--diff", nargs=2, metavar=("A", "B"), help="compare two")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    page = reference.commands_page({"do": parser})
    assert page.endswith(
        "## do\n\n```text\nflantune do [RUN.gin ...] [flags]\n```\n\nDoes a\\_thing to \\*.gin.\n\n"
        "`--by {task,row}`\n: Lines (default: task). Required.\n\n"
        "`--diff A B`\n: Compare two.\n\n"
        "`-v`, `--verbose`\n: Say more.\n"
    )


def test_a_binding_has_type_default_meaning_and_example(reference):
    rank = Binding(
        name="LoraConfig.rank",
        type="int",
        default=None,
        meaning="columns of `A`, as in a*b",
        example="--gin.LoraConfig.rank=8",
    )
    owner = Owner(
        name="configs.LoraConfig",
        summary="Low-rank adapters.",
        bindings=(rank,),
        built={"model": "configs.ModelConfig"},
    )
    assert reference.configs_page([owner]).endswith(
        "## LoraConfig\n\nLow-rank adapters.\n\n"
        "Built from bindings of their own: `model` from `ModelConfig`.\n\n"
        "`LoraConfig.rank`\n: Columns of `A`, as in a\\*b.\n\n"
        "  `int`, must be bound. Example: `--gin.LoraConfig.rank=8`\n"
    )


def test_calls_from_python_stand_before_what_they_return(reference, monkeypatch):
    def ask(question: str) -> list[Binding] | None: ...

    monkeypatch.setattr(flantune, "ask", ask, raising=False)
    page = reference.python_page(["ask"], ["first_model"])
    assert "[First model](first_model.md)" in page
    assert page.endswith(
        "## ask\n\n```{eval-rst}\n.. autofunction:: flantune.ask\n```\n\n"
        "## Binding\n\n```{eval-rst}\n.. autoclass:: flantune.jobs.config_reference.Binding()\n   :members:\n```\n"
    )


def test_an_example_in_a_docstring_is_code_and_the_entries_of_a_section_are_not(reference):
    lines = ["Loads.", "", "    load(1)", "    load(2)", "", "More.", "", "Args:", "    path: a."]
    marked = ["Loads.", "", "::", "", *lines[2:]]
    assert reference.marked_code(lines) == marked


def test_a_notebook_is_a_page_of_its_cells(reference):
    notebook = {
        "cells": [
            {"cell_type": "markdown", "source": ["# A title\n", "\n", "Text."]},
            {"cell_type": "code", "source": ["x = 1\n", "print(x)"]},
        ]
    }
    assert reference.notebook_page(notebook) == (
        "# A title\n\nText.\n\n```python\nx = 1\nprint(x)\n```\n"
    )


def test_pages_that_are_there_are_left_alone(reference, tmp_path):
    reference.write(tmp_path)
    first = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "configs.md").write_text("old")
    reference.write(tmp_path)
    second = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {path.name for path in first if first[path] != second[path]} == {"configs.md"}
    assert "DataConfig.mixture" in (tmp_path / "configs.md").read_text()
