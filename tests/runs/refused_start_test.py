"""A start that is refused or interrupted leaves its folder as it was; one that changes what was trained is refused."""

import contextlib
import json
import pathlib
import shutil
import tempfile

import hypothesis
from hypothesis import strategies as st
import pytest

from flantune.run_folder import commit, trained_with

from . import killed, small

MORE = "--gin.experiments.train.num_steps=7"
WARM_UP = "OptimizerConfig.schedule=('linear_warmup',)"
NAMES = st.sampled_from(["config.gin", "versions.json", "vocabulary.model"])
OTHER_TASKS = small.TASKS.replace("start:copy", "start:other")


def contents(folder):
    """Every file below a folder with its bytes; what a kill leaves of a file being written does not count."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(pathlib.Path(folder).rglob("*"))
        if path.is_file() and path.suffix != ".tmp"
    }


@pytest.fixture(scope="module")
def module_of_other_task(workplace):
    (workplace / "start_test_other.py").write_text(OTHER_TASKS)
    return "--gin.DataConfig.modules=('start_test_tasks', 'start_test_other')"


@pytest.fixture
def trained(workplace):
    """A copy of the finished run."""
    folder = workplace / "runs" / "trained"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(workplace / "runs" / "base", folder)
    return folder


def refusal(capsys, name, *flags):
    return small.error_of(capsys, "train", "run.gin", "--run_dir", f"runs/{name}", *flags)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("ModelConfig.emb_dim=64", "ModelConfig.emb_dim = 16, and now 64"),
        (
            "ModelConfig.mlp_activations=('relu', 'linear')",
            "ModelConfig.mlp_activations = ('gelu', 'linear'), and now ('relu', 'linear')",
        ),
        ("LoraConfig.rank=2", "ModelConfig.lora = None, and now LoraConfig("),
        ("DataConfig.vocabulary=sentencepiece:400", "'bytes' (259 ids), and now 'sentencepiece:400'"),
        (WARM_UP, "needs OptimizerConfig.warmup_steps"),
        ("DataConfig.lanes=2", "lanes"),
        ("experiments.train.num_steps=3", "is at step 5, beyond num_steps = 3"),
        ("DataConfig.mixture=start:other", "DataConfig.mixture = 'start:copy', and now 'start:other'"),
        ("experiments.train.allow_other=('mixtrue',)", "must hold only model, mixture, vocabulary"),
    ],
)  # fmt: skip
def test_a_refused_start_leaves_a_trained_folder_as_it_was(
    capsys, trained, module_of_other_task, flag, said
):
    before = contents(trained)
    flags = [MORE, module_of_other_task, f"--gin.{flag}"]
    if flag.startswith("LoraConfig"):
        flags.append("--gin.LoraConfig.alpha=4.0")
    assert said in refusal(capsys, "trained", *flags)
    assert contents(trained) == before
    assert small.answers("runs/trained") == small.answers("runs/base")


def test_sizes_cannot_be_allowed_to_change(capsys, trained):
    text = refusal(
        capsys, "trained", MORE, "--gin.ModelConfig.mlp_dim=64", "--allow_other", "model"
    )
    assert "ModelConfig.mlp_dim = 32, and now 64. Its parameters do not fit that model" in text
    relu = "--gin.ModelConfig.mlp_activations=('relu', 'linear')"
    assert "--allow_other model continues" in refusal(capsys, "trained", MORE, relu)
    assert small.train("trained", MORE, relu, "--allow_other", "model") == 0


def test_a_task_that_came_or_went_is_named(capsys, trained, module_of_other_task):
    task = json.loads((trained / "mixture.json").read_text())[0]
    rows = [{**task, "rate": 0.5}, {**task, "task": "start:gone", "rate": 0.5}]
    (trained / "mixture.json").write_text(json.dumps(rows))
    text = refusal(capsys, "trained", MORE)
    assert "rate of start:copy = 0.5, and now 1.0" in text
    assert "the task start:gone in the mixture, and now not in it" in text
    assert "--allow_other mixture continues this one all the same" in text


def test_a_folder_of_an_earlier_version_is_known_by_its_other_files(capsys, trained):
    (trained / trained_with.FILE).unlink()
    assert "emb_dim = 16, and now 64" in refusal(
        capsys, "trained", MORE, "--gin.ModelConfig.emb_dim=64"
    )
    assert small.train("trained", MORE) == 0


def test_another_mixture_and_vocabulary_on_request(capsys, trained, module_of_other_task, caplog):
    flags = [
        MORE,
        module_of_other_task,
        "--gin.DataConfig.mixture=start:other",
        "--gin.DataConfig.vocabulary=bytes+5",  # the same ids for text
    ]
    text = refusal(capsys, "trained", *flags, "--allow_other", "vocabulary")
    assert "now 'start:other'" in text
    assert "vocabulary" not in text.partition("To train from it")[0]
    assert small.train("trained", *flags, "--allow_other", "mixture") == 0
    kept = trained_with.read(trained)
    assert (kept.mixture, kept.vocabulary.name) == ("start:other", "bytes+5")
    assert "goes on with another mixture" in caplog.text
    # The next start is compared with what the run is trained with since.
    more = "--gin.experiments.train.num_steps=8"
    assert small.train("trained", *flags, more) == 0


@pytest.mark.parametrize("flag", [f"--gin.{WARM_UP}", "--gin.DataConfig.mixture=start:cpoy"])
def test_a_refused_first_start_leaves_no_folder(capsys, workplace, flag):
    refusal(capsys, "deep/never", flag)
    assert not (workplace / "runs" / "deep").exists()


def test_what_lies_in_a_folder_without_a_checkpoint_is_not_trusted(workplace):
    folder = workplace / "runs" / "left_behind"
    folder.mkdir(parents=True)
    (folder / "vocabulary.model").write_bytes(b"of a start that was refused")
    (folder / "start.json").write_text("{}")
    assert small.train("left_behind") == 0
    assert small.answers("runs/left_behind") == small.answers("runs/base")


@pytest.mark.parametrize("name", ["trained", "brand_new"])
def test_a_kill_while_the_start_is_written_leaves_the_folder_as_before_or_whole(
    monkeypatch, workplace, trained, name
):
    folder = workplace / "runs" / name
    flags = [MORE, "--gin.ModelConfig.dropout_rate=0.5"]
    before, seen = (contents(trained) if name == "trained" else {}), set()
    for number in (0, 1, 2, 6):
        shutil.rmtree(folder, ignore_errors=True)
        if before:
            shutil.copytree(workplace / "runs" / "base", folder)
        with killed.at(number, within=f"runs/{name}"), pytest.raises(killed.Killed):
            small.train(name, *flags)
        commit.finish(folder)  # as whoever opens the folder does
        after = contents(folder)
        is_whole = b"dropout_rate = 0.5" in after.get("config.gin", b"")
        seen.add(is_whole)
        if is_whole:
            assert trained_with.read(folder).model.dropout_rate == 0.5
            assert {"config.gin", "versions.json", "mixture.json"} < after.keys()
        else:
            assert after == before
    assert seen == {False, True}


@hypothesis.given(
    old=st.dictionaries(NAMES, st.text() | st.binary()),
    new=st.dictionaries(NAMES, st.text() | st.binary(), min_size=1),
    number=st.integers(0, 20),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_files_are_written_together_or_not_at_all(old, new, number):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name) / "run"
        commit.write(folder, old)
        before = contents(folder)
        with killed.at(number, within="run"), contextlib.suppress(killed.Killed):
            commit.write(folder, new)
        commit.finish(folder)
        after = contents(folder)
        wanted = {
            key: value.encode("utf-8") if isinstance(value, str) else value
            for key, value in {**old, **new}.items()
        }
        assert after in (before, wanted)
        commit.write(folder, new)
        assert contents(folder) == wanted
