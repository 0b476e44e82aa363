"""Wrong words of a command line: one sentence with the closest right one; flags and names in any order."""

import os
import pathlib
import subprocess
import sys

import pytest

from flantune import __version__, cli
from flantune.run_folder import trained_with

ROOT = pathlib.Path(cli.__file__).parent.parent
HEADER = (
    "from __gin__ import dynamic_registration\n"
    "from flantune import configs\n"
    "from flantune import experiments\n"
)


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    (tmp_path / "mine.gin").write_text(HEADER + "experiments.train.num_steps = 3\n")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "elsewhere.gin").write_text(HEADER)
    monkeypatch.chdir(tmp_path)


def said(capsys, command):
    """What the one line on standard error says."""
    try:
        status = cli.main(command.split())
    except SystemExit as stop:
        status = stop.code
    printed = capsys.readouterr()
    (line,) = printed.err.strip().split("\n")
    assert (status, printed.out, line[:10]) == (2, "", "flantune: ")
    return line


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("trian mine.gin", "command 'trian', which does not exist. Did you mean 'train'?"),
        ("train mine.gin --rundir x", "no flag --rundir. Did you mean --run_dir?"),
        ("eval --checkpont x", "no flag --checkpont. Did you mean --checkpoint?"),
        (
            "train mine.gin --num_steps=7",
            "no flag --num_steps. Did you mean --gin.experiments.train.num_steps=7?",
        ),
        (
            "train mine.gin --DataConfig.mixtur=all",
            "Did you mean --gin.DataConfig.mixture=all?",
        ),
        ("convert a b c --to hf", "convert takes no 'c'. See flantune convert --help."),
        (
            "prepare mine.gin --gin.DatConfig.x=1",
            "binds 'DatConfig', which does not exist. Did you mean 'DataConfig'?",
        ),
        ("prepare mine.gin --gin.DataConfg.split=dev", "Did you mean 'DataConfig'?"),
        ("prepare mine.gin --gin.configs.DataConfg.split=dev", "Did you mean 'DataConfig'?"),
        (
            "prepare mine.gin --gin.DataConfig.mixtur=all",
            "binds DataConfig to the parameter 'mixtur', which does not exist. Did you mean 'mixture'?",
        ),
        (
            "prepare mine.gin --gin.DataConfig.num_steps=7",
            "Did you mean 'experiments.train.num_steps'?",
        ),
        (
            "prepare mine.gin --gin.num_steps=7",
            "binds 'num_steps' without saying of what it is a parameter. Did you mean "
            "--gin.experiments.train.num_steps?",
        ),
        (
            "prepare mine.gin --gin.MeshConfig=7",
            "binds 'MeshConfig' without a parameter. Give --gin.MeshConfig.NAME=VALUE; NAME is one of ",
        ),
        ("prepare mine.gin --gin.zzz=7", "for example --gin.experiments.train.num_steps=100."),
        ("prepare mien.gin", "'mien.gin', which does not exist. Did you mean 'mine.gin'?"),
        ("prepare other/elswhere.gin", "Did you mean 'other/elsewhere.gin'?"),
        ("prepare elswhere.gin --gin_search_paths other", "Did you mean 'elsewhere.gin'?"),
        ("prepare gin/runs/quikstart.gin", "Did you mean 'gin/runs/quickstart.gin'?"),
        (
            "prepare mine.gin",
            "DataConfig.targets_length and DataConfig.batch_size. Give --gin.DataConfig.mixture=VALUE or bind them in the "
            "run file.",
        ),
    ],
)
def test_a_wrong_word_names_the_right_one(capsys, command, expected):
    assert expected in said(capsys, command)


def test_a_file_that_names_what_does_not_exist_is_located(capsys, tmp_path):
    (tmp_path / "wrong.gin").write_text(HEADER + "configs.DataConfg.split = 'dev'\n")
    sentence = said(capsys, "prepare wrong.gin")
    assert "wrong.gin, line 4, binds 'configs.DataConfg'" in sentence
    assert "Did you mean 'configs.DataConfig'?" in sentence


def test_the_version_looks_for_no_device():
    program = (
        "import sys\nfrom flantune import cli\n"
        "try:\n    cli.main(['--version'])\n"
        "finally:\n    print('jax' in sys.modules, 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    first, second = done.stdout.splitlines()
    assert (done.returncode, second) == (0, "False False")
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    assert first.startswith(f"flantune {__version__} (jax 0.")
    assert f", Python {python}, " in first


def test_what_a_start_may_allow_is_what_a_run_folder_knows(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "run.gin", "--allow_other", "nothing"])
    assert f"choose from {', '.join(map(repr, trained_with.KINDS))}" in capsys.readouterr().err
