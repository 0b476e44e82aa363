"""The whole program through its command line, on a task module and a run file that the test writes."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from flantune import cli, testing

ROOT = pathlib.Path(__file__).resolve().parent.parent
TASKS = """
from flantune import metrics
from flantune.data import InstructionTask, Mixture, equal, sources
from flantune.prompting import Template


def to_fields(row):
    return {"word": row["word"], "answer": row["word"]}


def task(name):
    return InstructionTask(
        name=f"cli:{name}", cluster=name, to_fields=to_fields, metrics=(metrics.exact_match,),
        source=sources.Jsonl(train=f"{name}.jsonl[4:]", test=f"{name}.jsonl[:4]"),
        templates=(Template(inputs="Copy: {word}"), Template(inputs="Again {word}", held_out=True)),
    )


def to_choice(row):
    return {"word": row["word"], "label": int(row["word"] > "b")}


CHOICE = InstructionTask(
    name="pick:late", cluster="late", to_fields=to_choice, metrics=(metrics.accuracy,),
    source=sources.Jsonl(train="short.jsonl[4:]", test="short.jsonl[:4]"),
    answer_choices=("no", "yes"), templates=(Template(inputs="Is {word} late?"),),
)
TASKS = (task("short"), task("long"), CHOICE)
MIXTURES = (Mixture(name="cli_all", rates={"cli:*": equal()}),)
"""
RUN = testing.run_file(
    {
        "DataConfig.mixture": "cli_all",
        "DataConfig.modules": ("cli_test_tasks",),
        "DataConfig.vocabulary": "bytes",
        "DataConfig.inputs_length": 48,
        "DataConfig.targets_length": 16,
        "DataConfig.batch_size": 4,
        "DataConfig.block_size": 16,
        "CheckpointConfig.save_every_steps": 3,
        "train.num_steps": 5,
        "train.log_every_steps": 2,
    }
)
RUN += """
configs.EvalSuite.name = "seen"
configs.EvalConfig.suites = (@configs.EvalSuite(),)
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 4
configs.EvalConfig.every_steps = 4
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a task module, its data and a run file; the working folder of the tests."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "cli_test_tasks.py").write_text(TASKS)
    (folder / "tiny_run.gin").write_text(RUN)
    for name, length in (("short", 2), ("long", 6)):
        rows = [{"word": chr(97 + row) * length} for row in range(20)]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@pytest.fixture(autouse=True)
def in_workplace(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(workplace / "prepared"))
    monkeypatch.syspath_prepend(str(workplace))


@pytest.fixture(scope="module")
def trained(workplace, request):
    """The run folder of a finished training run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workplace)
        patch.setenv("FLANTUNE_PREPARED_DIR", str(workplace / "prepared"))
        patch.syspath_prepend(str(workplace))
        assert cli.main(["train", "tiny_run.gin", "--profile_steps", "2:3"]) == 0
    return workplace / "runs" / "tiny_run"


def fails(capsys, *arguments):
    assert cli.main(list(arguments)) == 2
    error = capsys.readouterr().err.strip().split("\n")[-1]
    assert error.startswith("flantune: ")
    return error


def test_training_leaves_a_complete_run_folder(trained):
    for name in (
        "config.gin",
        "versions.json",
        "mixture.json",
        "parameters.txt",
        "log.txt",
        "metrics.jsonl",
        "wall_time.json",
        "profile/plugins/profile",
        "report.json",
        "report.md",
        "report.html",
        "starts.jsonl",
        "tensorboard",
        "checkpoints/checkpoint_5",
        "eval/4/report.json",
        "eval/4/baselines.json",
        "eval/5/predictions/seen/cli%3Ashort.jsonl",
    ):
        assert (trained / name).exists(), name
    summary = json.loads((trained / "report.json").read_text())["summary"]
    assert set(summary) == {"seen", "untuned", "majority", "copy"}
    assert summary["copy"] == {"seen": 1.0}
    assert summary["majority"] == {"seen": 0.25}
    (curve,) = json.loads((trained / "report.json").read_text())["evaluation"]
    points = [(point["step"], point["majority"]) for point in curve["points"]]
    assert points == [(0, 0.25), (4, 0.25), (5, 0.25)]  # the first is the untuned model
    assert not (trained / "training.html").exists()
    assert json.loads((trained / "mixture.json").read_text())[0]["rate"] == 0.5
    assert "num_steps = 5" in (trained / "config.gin").read_text()
    assert json.loads((trained / "versions.json").read_text())["packages"]["jax"]


def test_every_evaluation_is_a_line_of_the_log_and_in_the_metrics(trained):
    lines = [json.loads(line) for line in (trained / "metrics.jsonl").open()]
    found = {line["step"]: line.get("eval/seen/exact_match") for line in lines}
    assert list(found) == [2, 4, 5]  # none twice
    log = (trained / "log.txt").read_text()
    for step in (4, 5):
        suite = json.loads((trained / f"eval/{step}/report.json").read_text())["suites"][0]
        assert found[step] == suite["metrics"]["exact_match"]["value"]
        assert f"step {step}/5  evaluation: seen exact_match {found[step]:.3f}" in log


def test_the_log_names_the_stages_with_their_times(trained):
    stages = re.findall(
        r"INFO (\w+): done in [\d.]+ s$", (trained / "log.txt").read_text(), re.MULTILINE
    )
    assert stages == [
        "prepare", "vocabulary", "build", "start", "compile", "train", "save", "evaluate", "report"
    ]  # fmt: skip
    log = (trained / "log.txt").read_text()
    assert "Model FLOPs utilisation" not in log  # of a CPU nobody looks for it
    assert "0 more are left out" not in log


def test_the_report_has_the_training_loss_of_each_task_and_cluster(trained):
    loss = json.loads((trained / "report.json").read_text())["loss"]
    assert set(loss["clusters"]) == {"short", "long"}
    assert set(loss["tasks"]) == {"cli:short", "cli:long"}
    assert loss["tasks"]["cli:long"]["cluster"] == "long"
    assert loss["tasks"]["cli:long"]["last"]["step"] == 5  # the run's last, as it is a short one


def test_the_report_says_where_the_wall_time_went(trained):
    run = json.loads((trained / "report.json").read_text())["run"]
    assert (run["sessions"], run["lost_steps"]) == (1, 0)
    phases = [
        f"{phase}_seconds" for phase in ("start", "steps", "profiling", "evaluation", "saving")
    ]
    assert all(run[phase] > 0 for phase in phases)
    assert sum(run[phase] for phase in phases) == pytest.approx(run["wall_seconds"])
    assert run["goodput"] == pytest.approx(run["steps_seconds"] / run["wall_seconds"])
    assert run["median_tokens_per_second"] > 0
    assert run["host_peak_bytes"] > 2**24


def test_training_again_only_reports(trained, capsys):
    before = (trained / "checkpoints" / "checkpoint_5").stat().st_mtime_ns
    wall_time = (trained / "wall_time.json").read_text()
    assert cli.main(["train", "tiny_run.gin", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["summary"]["copy"] == {"seen": 1.0}
    assert (trained / "checkpoints" / "checkpoint_5").stat().st_mtime_ns == before
    steps = [json.loads(line)["step"] for line in (trained / "metrics.jsonl").open()]
    assert len(steps) == len(set(steps))
    assert (trained / "wall_time.json").read_text() == wall_time


def test_eval_uses_the_run_s_own_config(trained, capsys):
    assert cli.main(["eval", "--checkpoint", str(trained), "--json"]) == 0
    tuned = json.loads(capsys.readouterr().out)["summary"]["seen"]
    assert tuned == json.loads((trained / "report.json").read_text())["summary"]["seen"]


def _run_copy(trained, tmp_path):
    """The run folder again, for tests that write to it."""
    return pathlib.Path(shutil.copytree(trained, tmp_path / "run"))


def test_eval_adds_suites_to_the_step_s_report_and_says_where_and_by_which_metric(
    trained, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    run_dir = _run_copy(trained, tmp_path)
    suite = "configs.EvalSuite.name = '{}'\nconfigs.EvalSuite.templates = '{}'\n"
    header = RUN.partition("configs.")[0]
    (tmp_path / "first.gin").write_text(header + suite.format("first", "all"))
    (tmp_path / "second.gin").write_text(header + suite.format("second", "held_out"))
    before = json.loads((run_dir / "eval/5/report.json").read_text())["suites"]
    said = []
    for file in ("first.gin", "second.gin", "second.gin"):
        assert cli.main(["eval", str(tmp_path / file), "--checkpoint", str(run_dir)]) == 0
        said.append(capsys.readouterr().out)
    suites = json.loads((run_dir / "eval/5/report.json").read_text())["suites"]
    assert [suite["name"] for suite in suites] == ["seen", "first", "second"]
    assert suites[:1] == before
    assert {path.name for path in (run_dir / "eval/5/predictions").iterdir()} == {
        "seen",
        "first",
        "second",
    }
    assert all("exact match (0 to 1)" in text for text in said)
    place = f"Written to {run_dir}/eval/5: "
    assert f"{place}added first; kept seen.\n" in said[0]
    assert f"{place}added second; kept seen, first.\n" in said[1]
    assert f"{place}replaced second; kept seen, first.\n" in said[2]
    assert cli.main(["report", str(run_dir)]) == 0
    curves = json.loads((run_dir / "report.json").read_text())["evaluation"]
    assert [(curve["suite"], curve["points"][-1]["step"]) for curve in curves] == [
        ("seen", 5),
        ("first", 5),
        ("second", 5),
    ]


def test_a_run_that_only_reports_again_keeps_suites_that_were_added(trained, tmp_path, capsys):
    run_dir = _run_copy(trained, tmp_path)
    added = ["eval", "--checkpoint", str(run_dir), "--gin.EvalSuite.name=added"]
    assert cli.main(added) == 0
    assert cli.main(["train", "tiny_run.gin", "--run_dir", str(run_dir)]) == 0
    summary = json.loads((run_dir / "report.json").read_text())["summary"]
    assert summary["added"] == summary["seen"]


def test_a_restart_with_other_bindings_is_in_the_report(trained, tmp_path):
    run_dir = _run_copy(trained, tmp_path)
    again = ["train", "tiny_run.gin", "--run_dir", str(run_dir), "--gin.train.num_steps=6"]
    assert cli.main([*again, "--gin.OptimizerConfig.learning_rate=0.02"]) == 0
    report = json.loads((run_dir / "report.json").read_text())
    start = report["starts"][-1]
    assert start["step"] == 5
    changed = {one["name"]: (one["before"], one["after"]) for one in start["changed"]}
    assert changed["experiments.train.num_steps"] == ("5", "6")
    assert changed["configs.OptimizerConfig.learning_rate"] == ("0.01", "0.02")
    assert [point["step"] for point in report["evaluation"][0]["points"]] == [0, 4, 5, 6]
    assert "configs.OptimizerConfig.learning_rate" in (run_dir / "report.html").read_text()


RANKING = ["--gin.EvalSuite.answer_by=ranking", "--gin.EvalConfig.metric=rank_accuracy/pmi"]


def test_eval_ranks_answer_options(trained, capsys):
    arguments = ["eval", "--checkpoint", str(trained), "--json", *RANKING]
    assert cli.main([*arguments, "--gin.EvalSuite.mixture=pick:late"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == {"seen": "rank_accuracy/pmi"}
    assert found["summary"]["chance"] == {"seen": 0.5}
    assert found["summary"]["majority"] == {"seen": 0.75}  # "no" for aa, "yes" for bb, cc and dd
    assert found["summary"]["seen"] in (0.0, 0.25, 0.5, 0.75, 1.0)
    rows = (trained / "eval/5/predictions/seen/pick%3Alate.jsonl").read_text().splitlines()
    assert [option["text"] for option in json.loads(rows[0])["options"]] == ["no", "yes"]


def test_ranking_a_task_without_options_names_it(trained, capsys):
    message = fails(capsys, "eval", "--checkpoint", str(trained), *RANKING)
    assert "2 of its 2 tasks: 'cli:long' (it has no answer choices), 'cli:short'" in message


def test_eval_takes_other_suites_over_the_run_s(trained, capsys, workplace):
    suite = "'held_out'"
    arguments = ["eval", "--checkpoint", str(trained), "--json"]
    assert cli.main([*arguments, f"--gin.EvalSuite.templates={suite}"]) == 0
    result = json.loads(capsys.readouterr().out)["results"]["tuned"]["suites"][0]["tasks"][0]
    assert [template["template_id"] for template in result["by_template"]["templates"]] == [1]


def test_questions_may_be_longer_than_what_was_trained_on(trained, capsys):
    short = ["eval", "--checkpoint", str(trained), "--gin.DataConfig.inputs_length=8"]
    assert cli.main(short) == 2
    assert (
        "fits EvalConfig.inputs_length (by default that of DataConfig)" in capsys.readouterr().err
    )
    assert cli.main([*short, "--gin.EvalConfig.inputs_length=64"]) == 0


def test_infer_adds_predictions_to_a_file(trained, workplace, capsys):
    rows = [{"inputs": "Copy: aa", "id": 7}, {"inputs": "Again bb", "id": 8}]
    (workplace / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    arguments = ["infer", "--checkpoint", str(trained), "--input", "prompts.jsonl"]
    assert cli.main([*arguments, "--output", "answers.jsonl"]) == 0
    answers = [json.loads(line) for line in (workplace / "answers.jsonl").open()]
    assert [answer["id"] for answer in answers] == [7, 8]
    assert all(isinstance(answer["prediction"], str) for answer in answers)
    capsys.readouterr()
    assert cli.main(arguments) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == answers
    assert cli.main([*arguments, "--gin.DecodingConfig.temperature=50.0"]) == 0
    drawn = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["id"] for row in drawn] == [7, 8]
    assert drawn != answers


def test_show_lists_shares_and_renders_examples(capsys):
    assert cli.main(["show", "tiny_run.gin", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["task"]: (row["rate"], row["rows"]) for row in rows} == {
        "cli:short": (0.5, 16),
        "cli:long": (0.5, 16),
    }
    assert cli.main(["show", "tiny_run.gin", "cli:short", "--json"]) == 0
    task = json.loads(capsys.readouterr().out)
    assert task["examples"][0]["targets"] == "ee"
    assert task["examples"][0]["targets_tokens"] == 3
    assert cli.main(["show", "tiny_run.gin", "cli:short"]) == 0
    assert "Copy: {word}" in capsys.readouterr().out


def test_show_renders_a_setting_and_says_what_was_chosen(capsys):
    arguments = ["show", "tiny_run.gin", "cli:short", "--setting", "2_shot", "-n", "1"]
    assert cli.main([*arguments, "--json"]) == 0
    (example,) = json.loads(capsys.readouterr().out)["examples"]
    assert len(example["exemplars"]) == 2
    assert example["inputs"].count("Copy: ") == 3
    assert cli.main(arguments) == 0
    shown = capsys.readouterr().out
    assert f"exemplars {', '.join(map(str, example['exemplars']))}" in shown
    assert "Did you mean 'few_shot'" in fails(capsys, *arguments[:3], "--setting", "fewshot")


@pytest.mark.parametrize(
    "words",
    ["tiny_run.gin cli:short -n 1", "-n 1 tiny_run.gin cli:short", "tiny_run.gin -n 1 cli:short"],
)
def test_flags_stand_in_any_order(capsys, words):
    assert cli.main(["show", *words.split(), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["task"], len(value["examples"])) == ("cli:short", 1)


def test_a_source_that_is_not_there_is_told_once(capsys, tmp_path):
    arguments = ["--data_dir", str(tmp_path), "--prepared_dir", str(tmp_path / "store")]
    assert cli.main(["train", "tiny_run.gin", *arguments]) == 2
    said = capsys.readouterr().err
    assert said.count("[cli:long, train; cli:long, test]") == 1
    assert said.count("'long.jsonl'") == 1


def test_show_needs_no_run_file(capsys):
    assert cli.main(["show", "cli_test_tasks", "--modules", "cli_test_tasks", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["task"] for row in rows] == ["cli:short", "cli:long", "pick:late"]
    assert cli.main(["show", "cli:long", "--modules", "cli_test_tasks"]) == 0
    assert "Copy: {word}" in capsys.readouterr().out


def test_prepare_reports_what_it_did(capsys, tmp_path):
    arguments = ["prepare", "tiny_run.gin", "--json", "--prepared_dir", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["prepared"] == 4
    assert cli.main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["fresh"] == 4


def test_a_broken_source_fails_prepare_but_not_the_others(capsys, tmp_path, workplace):
    (tmp_path / "short.jsonl").write_text((workplace / "short.jsonl").read_text())
    arguments = ["--data_dir", str(tmp_path), "--prepared_dir", str(tmp_path / "store"), "--json"]
    assert cli.main(["prepare", "tiny_run.gin", *arguments]) == 1
    result = json.loads(capsys.readouterr().out)
    assert (result["prepared"], result["failed"]) == (2, 2)
    assert "long.jsonl" in result["failures"][0]


def test_wrong_names_end_in_one_sentence(capsys, trained):
    assert "'gin/runs/tiny.gin'" in fails(capsys, "train", "gin/runs/tinny.gin")
    error = fails(capsys, "show", "tiny_run.gin", "cli_al")
    assert "Did you mean 'cli_all'" in error
    assert "Did you mean 'cli:long'" in fails(capsys, "show", "tiny_run.gin", "cli:lang")
    assert "'test'" in fails(capsys, "show", "tiny_run.gin", "--split", "tests")
    error = fails(capsys, "train", "tiny_run.gin", "--gin.DataConfig.modules=('no_module',)")
    assert "'no_module', which cannot be imported" in error
    assert "Did you mean 'num_steps'" in fails(
        capsys, "train", "tiny_run.gin", "--gin.train.num_stesp=3"
    )
    assert "must be a whole number of at least 1, not 0" in fails(
        capsys, "train", "tiny_run.gin", "--gin.experiments.train.num_steps=0"
    )
    assert "no run folder" in fails(capsys, "eval", "--checkpoint", "nowhere")
    assert "step 77" in fails(capsys, "eval", "--checkpoint", str(trained), "--step", "77")
    assert "nothing.jsonl does not exist" in fails(
        capsys, "infer", "--checkpoint", str(trained), "--input", "nothing.jsonl"
    )


def test_a_prompt_file_without_inputs_names_line_and_field(capsys, trained, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"inputs": "a"}\n{"input": "b"}\n')
    error = fails(capsys, "infer", "--checkpoint", str(trained), "--input", str(path))
    assert "line 2" in error
    assert "'input'" in error


def test_a_template_with_an_unknown_field_is_refused(capsys, workplace, tmp_path, monkeypatch):
    (tmp_path / "wrong_tasks.py").write_text(TASKS.replace("Copy: {word}", "Copy: {wrd}"))
    monkeypatch.syspath_prepend(str(tmp_path))
    error = fails(
        capsys,
        "show",
        "tiny_run.gin",
        "--gin.DataConfig.modules=('wrong_tasks',)",
        "--prepared_dir",
        str(tmp_path / "store"),
    )
    assert "'wrd'" in error
    assert "'word'" in error


def test_debug_keeps_the_traceback():
    with pytest.raises(KeyError):
        cli.main(["show", "tiny_run.gin", "cli_al", "--debug"])


@pytest.mark.parametrize("command", ["prepare", "train", "eval", "infer", "show", "doctor"])
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([command, "--help"])
    assert stop.value.code == 0
    assert "--gin.NAME=VALUE" in capsys.readouterr().out


def run(*arguments, **keywords):
    command = [sys.executable, "-m", "flantune", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, **keywords)


def test_a_plain_line_on_standard_input_is_a_prompt(trained):
    done = run("infer", "--checkpoint", str(trained), input="Copy: aa\nCopy: bb\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_training_from_a_store_needs_neither_tensorflow_nor_sources(trained, workplace, tmp_path):
    """In a process where importing TensorFlow raises, from another folder, without the data files."""
    (tmp_path / "cli_test_tasks.py").write_text(TASKS)
    blocker = (
        "import sys\n"
        "for name in ('tensorflow', 'seqio', 'tensorflow_datasets'):\n"
        "    sys.modules[name] = None\n"
        "from flantune import cli\n"
        f"sys.exit(cli.main(['train', {str(workplace / 'tiny_run.gin')!r}, '--run_dir', 'run']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", blocker],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.json").exists()
    alike = [(folder / "metrics.jsonl").read_text() for folder in (trained, tmp_path / "run")]
    losses = [[json.loads(line).get("train/loss") for line in text.splitlines()] for text in alike]
    assert losses[0] == losses[1]


def test_a_violated_held_out_plan_stops_training(capsys, tmp_path, monkeypatch):
    plans = "from flantune.data.held_out_plan import HeldOutPlan\n"
    plans += (
        "PLANS = (HeldOutPlan(name='no_short', tasks=('cli:sh*',), lineage=False, ngram=None),)\n"
    )
    (tmp_path / "cli_test_plans.py").write_text(plans)
    monkeypatch.syspath_prepend(str(tmp_path))
    arguments = ["train", "tiny_run.gin", "--run_dir", str(tmp_path / "run")]
    arguments.append("--gin.DataConfig.modules=('cli_test_tasks','cli_test_plans')")
    error = fails(capsys, *arguments, "--gin.DataConfig.held_out='no_short'")
    assert "'no_short' is violated 1 times" in error
    assert "cli:short is held out and trained on" in error
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert "Did you mean 'no_short'" in fails(
        capsys, *arguments, "--gin.DataConfig.held_out='no_shirt'"
    )
