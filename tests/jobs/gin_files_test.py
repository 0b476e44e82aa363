import pathlib
import re

import pytest

from flantune import configs, experiments
from flantune.host import atomic
from flantune.jobs import gin_files

ROOT = pathlib.Path(__file__).resolve().parents[2]
QUICKSTART = "gin/runs/quickstart.gin"
RUNS = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "gin" / "runs").glob("*.gin"))
FRAGMENTS = sorted(
    path for path in (ROOT / "gin").rglob("*.gin") if path.parent.name not in ("runs", "t5x", "gin")
)
T5X_RUNS = sorted(
    path.relative_to(ROOT).as_posix() for path in (ROOT / "gin" / "t5x").glob("*.gin")
)
HEADER = (
    "from __gin__ import dynamic_registration\n"
    "from flantune import configs\n"
    "from flantune import experiments\n"
)


def parse(tmp_path, text, *bindings):
    path = tmp_path / "run.gin"
    path.write_text(text)
    gin_files.parse([str(path)], bindings)


def message(*arguments, **keywords):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the tests look at the text
        gin_files.parse(*arguments, **keywords)
    return str(error.value)


def test_files_and_bindings_make_configs():
    gin_files.parse([QUICKSTART], ["experiments.train.num_steps=7", "DataConfig.vocabulary=bytes"])
    data = gin_files.build(configs.DataConfig)
    assert data.vocabulary == "bytes"
    assert data.mixture == "quickstart_train"
    assert gin_files.binding(experiments.train, "num_steps") == 7


def test_the_resolved_text_parses_to_the_same(tmp_path):
    gin_files.parse([QUICKSTART], ["OptimizerConfig.learning_rate=0.125"])
    resolved = gin_files.resolved()
    evaluation = gin_files.build(configs.EvalConfig)
    parse(tmp_path, resolved)
    assert gin_files.resolved() == resolved
    assert gin_files.build(configs.EvalConfig) == evaluation
    assert gin_files.build(configs.OptimizerConfig).learning_rate == 0.125


def test_a_value_that_only_begins_as_a_literal_is_a_text():
    gin_files.parse([QUICKSTART], ["experiments.train.profile_steps=10:15"])
    assert gin_files.binding(experiments.train, "profile_steps") == "10:15"


def test_a_value_that_is_no_literal_is_a_text():
    gin_files.parse(
        [QUICKSTART], ["DataConfig.data_dir=/some/where", "DataConfig.mixture=qa:boolq"]
    )
    data = gin_files.build(configs.DataConfig)
    assert (data.data_dir, data.mixture) == ("/some/where", "qa:boolq")


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("experiments.train.num_step=3", "'num_step'.*Did you mean 'num_steps'"),
        ("configs.DataConfg.split=dev", "'DataConfg'.*'DataConfig'"),
        ("DataConfg.split=dev", "'DataConfg'.*'DataConfig'"),
        ("DataConfig.splt=dev", "'splt'.*Did you mean 'split'"),
        ("trian.num_steps=3", "'trian'.*'train'"),
        ("experiments.train.num_steps", "must be NAME=VALUE"),
    ],
)
def test_a_wrong_binding_names_the_closest(binding, expected):
    assert re.search(expected, message([QUICKSTART], [binding]))


def test_a_wrong_file_names_the_closest():
    assert "'gin/runs/quickstart.gin'" in message(["gin/runs/quikstart.gin"], [])


def test_a_wrong_include_names_the_file_and_the_closest(tmp_path):
    path = tmp_path / "run.gin"
    path.write_text(HEADER + 'include "gin/models/tinny.gin"\n')
    text = message([str(path)], [])
    assert "run.gin includes" in text
    assert "'gin/models/tiny.gin'" in text


def test_a_line_that_does_not_parse_is_located(tmp_path):
    path = tmp_path / "run.gin"
    path.write_text(HEADER + "configs.DataConfig.split = = 3\n")
    assert re.search(r"run\.gin, line 4: ", message([str(path)], []))


def test_a_missing_binding_is_named(tmp_path):
    parse(tmp_path, HEADER + 'configs.DataConfig.mixture = "m"\n')
    with pytest.raises(ValueError, match=r"binds DataConfig\.modules, DataConfig"):
        gin_files.build(configs.DataConfig)
    with pytest.raises(ValueError, match=r"binds experiments\.train\.num_steps"):
        gin_files.bind(
            experiments.train, run_dir="x", model=None, data=None, optimizer=None, checkpoint=None
        )


def test_a_value_that_is_not_allowed_is_one_sentence(tmp_path):
    parse(tmp_path, HEADER + "configs.MeshConfig.data = 0\n")
    with pytest.raises(ValueError, match=r"^MeshConfig\.data must be .* not 0\.$"):
        gin_files.build(configs.MeshConfig)


def test_search_paths_come_before_the_checkout(tmp_path):
    (tmp_path / "mine.gin").write_text(HEADER + "configs.MeshConfig.tensor = 2\n")
    gin_files.parse(["mine.gin"], [], paths=[str(tmp_path)])
    assert gin_files.build(configs.MeshConfig).tensor == 2


def test_later_files_win(tmp_path):
    (tmp_path / "mine.gin").write_text(HEADER + "experiments.train.num_steps = 5\n")
    gin_files.parse([QUICKSTART, str(tmp_path / "mine.gin")], [])
    assert gin_files.binding(experiments.train, "num_steps") == 5


@pytest.mark.parametrize("run", T5X_RUNS)  # `recipes_test.py` reads the others
def test_every_run_file_says_what_to_expect_of_it(run):
    header = (ROOT / run).read_text().split("from __gin__")[0]
    for word in ("Source", "Expected", "Hardware", "Command"):
        assert word in header


def test_fragments_of_different_kinds_bind_disjoint_parameters():
    bound: dict[str, str] = {}
    for path in FRAGMENTS:
        for name in re.findall(r"^([\w./]+) = ", path.read_text(), re.MULTILINE):
            assert bound.setdefault(name, path.parent.name) == path.parent.name, name
    assert bound


def test_only_runs_include():
    for path in FRAGMENTS:
        assert "include " not in path.read_text()
    for run in RUNS:
        assert "gin/runs/" not in "".join(re.findall(r"^include.*", (ROOT / run).read_text(), re.M))


def test_search_paths_without_the_file_are_no_errors(tmp_path, monkeypatch, caplog):
    """gin-config 0.5.0 logs "Path not found" for each (findings/gin_search_path_errors.sh)."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "run.gin").write_text(
        "from __gin__ import dynamic_registration\nfrom flantune import configs\n"
        'include "gin/models/tiny.gin"\n'
    )
    monkeypatch.chdir(tmp_path / "empty")
    gin_files.parse(["run.gin"], ["ModelConfig.vocab_size=256"], paths=[str(tmp_path)])
    assert gin_files.build(configs.ModelConfig).vocab_size == 256
    assert not caplog.records


@pytest.mark.usefixtures("memory_bucket")
def test_a_file_in_a_bucket():
    atomic.write_text("gs://b/run/config.gin", HEADER + "configs.DataConfig.batch_size = 7\n")
    gin_files.parse(["gs://b/run/config.gin"], [])
    assert gin_files.bound_value("configs.DataConfig.batch_size") == "7"
    assert "You asked for the gin file 'gs://b/run/mine.gin', which" in message(
        ["gs://b/run/mine.gin"], []
    )
