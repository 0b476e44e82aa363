"""Every command and Python block of the READMEs runs, shortened: fewer steps, small data, nothing remote."""

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

from flantune import configs, experiments
from flantune.interop import t5x_checkpoint, t5x_native
from flantune.interop.tree_source import TreeSource
from flantune.jobs import gin_files
from flantune.training import optimizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    for line in block.strip().split("\n")
]
# Where a command needs hours, a bucket or the whole installation: what stands for it here.
SHORT = "--gin.experiments.train.num_steps=2 --gin.OptimizerConfig.warmup_steps=1 --gin.EvalSuite.examples_per_task=2"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of what a user has, with the own-data example of the README and a small Natural Instructions folder."""
    place = tmp_path_factory.mktemp("readme")
    for folder in ("gin", "tasks", "launch"):
        shutil.copytree(ROOT / folder, place / folder)
    module = next(
        block
        for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        if "my:reviews" in block
    )
    (place / "my_tasks.py").write_text(module)
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


def run(place, command, **keywords):
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
    assert done.returncode == 0, f"{command}\n{done.stderr[-3000:]}"
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
    """A README command with flags that make it short."""
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
def test_every_command_of_the_readme_runs(place):
    natural_instructions(place)
    assert len(COMMANDS) >= 10
    for command in COMMANDS:
        output = run(place, shortened(command))
        if "infer" in command and "--output" not in command:
            assert len(output.splitlines()) == 1
        if "show" in command:
            assert "quickstart:" in output or "my:reviews" in output
    assert (place / "answers.jsonl").exists()
    for name in ("mine", "short", "reviews", "ni"):
        assert (place / "runs" / name / "report.html").exists()


@pytest.mark.slow
def test_the_seqio_example_of_the_readme_runs(place):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = next(block for block in blocks if "import seqio" in block)
    code += "\nexample = next(dataset.as_numpy_iterator())\nassert example['inputs'].size\n"
    run(place, f"{sys.executable} -c {shlex.quote(code)}")


def test_the_t5x_example_of_the_readme_runs(place):
    tree = {"encoder": {"encoder_norm": {"scale": np.ones(3, np.float32)}}}
    t5x_native.write(place / "runs" / "t5x", TreeSource("The example", tree), step=8)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    code = next(block for block in blocks if "t5x_checkpoint" in block)
    run(place, f"{sys.executable} -c {shlex.quote(code)}")
    assert t5x_checkpoint.open(place / "copies").arrays["encoder/encoder_norm/scale"].shape == (3,)


def test_the_readme_s_commands_name_files_that_exist():
    for command in COMMANDS:
        for word in command.split():
            if word.endswith(".gin") or word.startswith("launch/"):
                assert (ROOT / word).exists(), word


@pytest.mark.parametrize(
    "command", [one for one in COMMANDS if re.search(r" train |launch/\w+\.sh", one)]
)
def test_the_readme_s_runs_have_steps_enough_for_their_schedule(command):
    """What `shortened` hides: it gives every run its own number of steps."""
    words = shlex.split(command)
    files = [str(ROOT / word) for word in words if word.endswith(".gin")]
    gin_files.parse(
        files, [word.removeprefix("--gin.") for word in words if word.startswith("--gin.")]
    )
    num_steps = gin_files.binding(experiments.train, "num_steps")
    schedule = optimizers.make_schedule(gin_files.build(configs.OptimizerConfig), num_steps)
    assert schedule(num_steps // 2) > 0
