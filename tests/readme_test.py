"""Every command and Python block of README.md and of the pages in docs/ runs, shortened: fewer steps, small data, nothing remote.

The pages are read as a newcomer reads them: README.md first, then in the order of docs/index.md, all in one place. A command that
an earlier page has runs once.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest

from flantune import cli, configs, experiments
from flantune.interop import t5x_checkpoint, t5x_native
from flantune.interop.tree_source import TreeSource
from flantune.jobs import gin_files
from flantune.training import optimizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
INDEX = (DOCS / "index.md").read_text(encoding="utf-8")
PAGES = [
    ROOT / "README.md",
    *(DOCS / f"{name}.md" for name in re.findall(r"^(\w+)$", INDEX, re.MULTILINE)),
]
TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in PAGES}


def blocks(language: str, text: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


# Each command with the first page that has it.
COMMANDS: dict[str, str] = {}
for name, text in TEXTS.items():
    for block in blocks("bash", text):
        for line in block.strip().split("\n"):
            COMMANDS.setdefault(line, name)
PYTHON = list(dict.fromkeys(block for text in TEXTS.values() for block in blocks("python", text)))
# Where a command needs hours, a bucket or the whole installation: what stands for it here.
SHORT = "--gin.experiments.train.num_steps=2 --gin.OptimizerConfig.warmup_steps=1 --gin.EvalSuite.examples_per_task=2"


def python_block(mark: str) -> str:
    """The one Python block that has `mark` in it; pages that show it twice must show the same."""
    (block,) = [block for block in PYTHON if mark in block]
    return block


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of what a user has, with the own-data example of the pages and a small Natural Instructions folder."""
    place = tmp_path_factory.mktemp("readme")
    for folder in ("gin", "tasks", "launch"):
        shutil.copytree(ROOT / folder, place / folder)
    (place / "my_tasks.py").write_text(python_block("InstructionTask("))
    rows = [
        {"text": f"Thing {row} is {'fine' if row % 2 else 'bad'}.", "stars": row % 2 * 5}
        for row in range(60)
    ]
    (place / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (place / "prompts.jsonl").write_text('{"inputs": "Reverse this list: cat dog"}\n')
    (place / "bin").mkdir()
    flantune = place / "bin" / "flantune"
    flantune.write_text(f'#!/bin/sh\nexec {sys.executable} -m flantune "$@"\n')
    flantune.chmod(0o755)
    return place


def run(place, command, page="", **keywords):
    environment = os.environ | {
        "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FLANTUNE_PREPARED_DIR": str(place / "prepared"),
    }
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        **keywords,
    )
    assert done.returncode == 0, f"{page}: {command}\n{done.stderr[-3000:]}"
    return done.stdout


def natural_instructions(place):
    """A few task files in the upstream schema, named as the run's mixtures name them."""
    sys.path.insert(0, str(ROOT))
    from tasks import mixtures

    folder = place / "DATA" / "natural_instructions"
    folder.mkdir(parents=True, exist_ok=True)
    held_out = next(m for m in mixtures.MIXTURES if m.name == "super_ni_eval20").rates
    names = [name.split(":")[1] for name in held_out] + ["task9001_train_me", "task9002_and_me"]
    for name in names:
        task = {
            "Definition": ["Write the last word of the sentence."],
            "Categories": ["Text Completion"],
            "Positive Examples": [
                {"input": "A cat sat.", "output": "sat", "explanation": "It is last."}
            ],
            "Negative Examples": [],
            "Source": [
                name
            ],  # a source that training and test tasks share would rule the former out
            "Instance License": ["Unknown"],
            "Instances": [
                {"id": str(row), "input": f"Number {row} of {name} ran.", "output": ["ran"]}
                for row in range(20)
            ],
        }
        (folder / f"{name}.json").write_text(json.dumps(task))


def shortened(command):
    """A command of a page with flags that make it short."""
    if command.startswith("make "):
        # The tests run inside `make test`, and .ci/run runs it; here only that the target resolves to our commands.
        return f"make --dry-run --directory {ROOT} {command.split()[1]}"
    if "launch/tpu_pod.sh" in command:
        return command.replace("tpu_pod.sh", "tpu_pod.sh --dry_run")
    # Compiled in tests/commands/compile_test.py, where libtpu is installed.
    command = command.replace("v5e:16x16", "h200:64")
    command = command.replace("launch/local.sh", "flantune train")
    if " train " in f" {command} ":
        command = command.replace("10:15", "1:2") + f" {SHORT}"
    if "super_ni_tiny" in command:
        command += " --gin.DataConfig.vocabulary=bytes --gin.DataConfig.inputs_length=256"
    return command


@pytest.mark.slow
def test_every_command_of_the_pages_runs(place):
    natural_instructions(place)
    assert len(COMMANDS) >= 10
    for command, page in COMMANDS.items():
        output = run(place, shortened(command), page)
        if "infer" in command and "--output" not in command:
            assert len(output.splitlines()) == 1
        if "show" in command:
            assert "quickstart:" in output or "my:reviews" in output
    assert (place / "answers.jsonl").exists()
    for name in ("mine", "short", "reviews", "ni"):
        assert (place / "runs" / name / "report.html").exists()


@pytest.mark.slow
def test_the_seqio_example_runs(place):
    code = python_block("import seqio")
    code += "\nexample = next(dataset.as_numpy_iterator())\nassert example['inputs'].size\n"
    run(place, f"{sys.executable} -c {shlex.quote(code)}")


def test_the_t5x_example_runs(place):
    tree = {"encoder": {"encoder_norm": {"scale": np.ones(3, np.float32)}}}
    t5x_native.write(place / "runs" / "t5x", TreeSource("The example", tree), step=8)
    run(place, f"{sys.executable} -c {shlex.quote(python_block('t5x_checkpoint'))}")
    assert t5x_checkpoint.open(place / "copies").arrays["encoder/encoder_norm/scale"].shape == (3,)


def test_the_mixtures_example_is_one_of_mixtures():
    names: dict[str, object] = {}
    exec(python_block("MIXTURES = ("), names)
    assert [mixture.name for mixture in names["MIXTURES"]] == ["direct", "shots", "both"]


def test_no_python_example_is_left_out():
    marks = ("InstructionTask(", "import seqio", "t5x_checkpoint", "MIXTURES = (")
    assert sorted(map(python_block, marks)) == sorted(PYTHON)


def test_every_page_is_in_the_index():
    assert {path.name for path in PAGES[1:]} | {"index.md"} == {p.name for p in DOCS.glob("*.md")}
    assert TEXTS["README.md"].count("\n") <= 150
    for path in PAGES[1:]:
        assert f"]({path.name})" in INDEX
        assert f"](docs/{path.name})" in TEXTS["README.md"]


def test_commands_name_files_that_exist():
    for command in COMMANDS:
        for word in command.split():
            if word.endswith(".gin") or word.startswith("launch/"):
                assert (ROOT / word).exists(), word


def test_commands_have_no_wrong_word():
    """Those of text blocks too, which do not run here."""
    shown = [block for text in TEXTS.values() for block in blocks("text", text)]
    lines = [*COMMANDS, *(line for block in shown for line in block.strip().split("\n"))]
    commands = [words for line in lines if "flantune" in (words := shlex.split(line))]
    assert len(commands) > len(COMMANDS) / 2
    for words in commands:
        cli._parse(words[words.index("flantune") + 1 :])  # ends the program where a flag is wrong


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if re.search(r" train |launch/\w+\.sh", one)]
)
def test_the_runs_have_steps_enough_for_their_schedule(command):
    """What `shortened` hides: it gives every run its own number of steps."""
    words = shlex.split(command)
    files = [str(ROOT / word) for word in words if word.endswith(".gin")]
    gin_files.parse(
        files, [word.removeprefix("--gin.") for word in words if word.startswith("--gin.")]
    )
    num_steps = gin_files.binding(experiments.train, "num_steps")
    schedule = optimizers.make_schedule(gin_files.build(configs.OptimizerConfig), num_steps)
    assert schedule(num_steps // 2) > 0
