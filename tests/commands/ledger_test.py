"""`flantune ledger`: the plan as table, JSON, CSV and page; the difference of two; counted against planned."""

import csv
import dataclasses
import json
import shutil

import pytest

from flantune import cli, testing
from flantune.data import Mixture, equal, proportional
from flantune.prompting import Template

RUN = testing.run_file(
    {
        "DataConfig.mixture": "planned",
        "DataConfig.modules": ("ledger_command_tasks",),
        "DataConfig.vocabulary": "bytes",
        "DataConfig.inputs_length": 32,
        "DataConfig.targets_length": 8,
        "DataConfig.batch_size": 4,
        "DataConfig.block_size": 32,
        "CheckpointConfig.save_every_steps": 2,
        "train.num_steps": 6,
        "train.log_every_steps": 4,
    }
)
TASKS = [
    testing.make_task(
        f"plan:{name}",
        {"train": [{"text": f"{row} [b]" * length, "answer": f"{row % 10}"} for row in range(20)]},
        templates=[Template(inputs="{text};")],
        cluster=f"{name} <i>",
    )
    for name, length in (("short", 1), ("long", 3))
]
LONG_ROWS = {"train": [{"text": "x" * (60 + row), "answer": "y"} for row in range(20)]}
TASKS += [
    testing.make_task("plan:huge", LONG_ROWS, templates=[Template(inputs="{text};")]),
    testing.make_task(
        "plan:cut", LONG_ROWS, templates=[Template(inputs="{text};")], may_cut=("text",)
    ),
]
MIXTURES = [
    Mixture(name="tokens", rates={"plan:long": 1, "plan:huge": 1}, unit="tokens"),
    Mixture(name="half", rates={"plan:[sl]*": equal()}),
    Mixture(name="planned", rates={"half": 3, "plan:short#2_shot": 1}),
]


@pytest.fixture(scope="module", autouse=True)
def module(tmp_path_factory):
    """A folder with run files, and a module with their tasks."""
    place = tmp_path_factory.mktemp("ledger_command")
    (place / "run.gin").write_text(RUN)
    with (
        pytest.MonkeyPatch.context() as patch,
        testing.task_module("ledger_command_tasks", TASKS, MIXTURES),
    ):
        patch.chdir(place)
        patch.setenv("FLANTUNE_PREPARED_DIR", str(place / "prepared"))
        yield place


def run(capsys, *arguments):
    """Standard output of a command that succeeds."""
    capsys.readouterr()
    assert cli.main(["ledger", *arguments, "--examples", "4"]) == 0
    return capsys.readouterr().out


def test_the_table_has_tasks_totals_and_facts(capsys):
    text = run(capsys, "run.gin")
    assert "planned (train), 3 tasks" in text
    for name in ("plan:short", "plan:long", "plan:short#2_shot", "half", "(direct)", "2_shot"):
        assert name in text
    assert "6 of 4 rows" in text


def test_a_plan_in_tokens_goes_on_without_what_never_fits_and_says_so(capsys, module):
    text = run(capsys, "run.gin", "--mixture", "tokens", "--html", "tokens.html")
    assert "tokens (train), 1 of 2 tasks" in text
    assert "NOT THE WHOLE MIXTURE: 1 of its tasks are left out of this plan." in text
    # 60 to 79 characters, a semicolon and the end.
    assert ["plan:huge", "20", "64", "62", "80"] in [line.split() for line in text.splitlines()]
    assert "NOT THE WHOLE MIXTURE" in (module / "tokens.html").read_text()
    value = json.loads(run(capsys, "run.gin", "--mixture", "tokens", "--json"))
    assert [one["task"] for one in value["unfit"]] == ["plan:huge"]
    assert [entry["task"] for entry in value["tasks"]] == ["plan:long"]


def test_the_table_says_what_is_lost(capsys, module):
    rows = [line.split() for line in run(capsys, "run.gin", "--mixture", "plan:cut").splitlines()]
    assert ["plan:cut", "part", "of", "'text'", "100.0"] in rows
    run(capsys, "run.gin", "--mixture", "plan:cut", "--html", "cut.html")
    assert "<h2>Shortened</h2>" in (module / "cut.html").read_text()


def test_steps_and_mixture_can_be_chosen(capsys):
    value = json.loads(run(capsys, "run.gin", "--steps", "60", "--mixture", "plan:long", "--json"))
    assert (value["num_steps"], value["mixture"]) == (60, "plan:long")
    assert [entry["task"] for entry in value["tasks"]] == ["plan:long"]


def test_json_has_totals_and_warnings_too(capsys):
    value = json.loads(run(capsys, "run.gin", "--steps", "2000", "--json"))
    assert {one["name"]: one["rate"] for one in value["totals"]["setting"]} == {
        "": pytest.approx(0.75),
        "2_shot": pytest.approx(0.25),
    }
    assert "epochs" in {one["code"] for one in value["warnings"]}


def test_csv_has_a_line_for_each_task(capsys, module):
    run(capsys, "run.gin", "--csv", "plan.csv")
    with (module / "plan.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["task"] for row in rows] == ["plan:long", "plan:short", "plan:short#2_shot"]
    assert sum(float(row["rate"]) for row in rows) == pytest.approx(1)
    assert json.loads(rows[0]["submixtures"]) == {"half": pytest.approx(0.375)}
    assert json.loads(rows[2]["shots"]) == [2]


def test_the_page_is_complete_and_escapes_texts(capsys, module):
    run(capsys, "run.gin", "--html", "plan.html")
    page = (module / "plan.html").read_text()
    assert page.count("<svg") == 4  # submixtures, settings, clusters, epochs
    assert "<i>" not in page
    assert "short &lt;i&gt;" in page
    assert "plan:short#2_shot" in page
    assert "<script" not in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_diff_of_two_saved_ledgers_and_of_a_run_file(capsys, module):
    (module / "a.json").write_text(run(capsys, "run.gin", "--json"))
    (module / "b.json").write_text(run(capsys, "run.gin", "--steps", "12", "--json"))
    value = json.loads(run(capsys, "--diff", "a.json", "b.json", "--json"))
    assert value["facts"]["num_steps"] == [6, 12]
    assert [change["kind"] for change in value["changes"]] == ["changed"] * 3
    assert "epochs:" in run(capsys, "--diff", "a.json", "b.json")
    assert "3 tasks are the same." in run(capsys, "--diff", "a.json", "run.gin")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--diff", "run.gin", "run.gin", "--actual", "x"], "exclude each other"),
        (["--diff", "nothing.json", "run.gin"], "nothing.json"),
        (["--actual", "nothing"], "no run folder"),
        (["run.gin", "--by", "template"], "--by template needs --actual"),
        (["--diff", "run.gin", "run.gin", "--csv", "a.csv"], "--diff has --json"),
        (["run.gin", "--mixture", "plannd"], "Did you mean 'planned'"),
    ],
)
def test_wrong_input_is_one_sentence(capsys, arguments, message):
    assert cli.main(["ledger", *arguments]) == 2
    assert message in capsys.readouterr().err.strip().split("\n")[-1]


def test_a_run_file_without_steps_needs_them(capsys, module):
    (module / "no_steps.gin").write_text(RUN.replace("experiments.train.num_steps = 6", ""))
    assert cli.main(["ledger", "no_steps.gin"]) == 2
    assert "binds experiments.train.num_steps. Give --gin." in capsys.readouterr().err
    assert "5 of 4 rows" in run(capsys, "no_steps.gin", "--steps", "5")


@pytest.mark.slow
def test_counted_against_planned(capsys, module):
    assert cli.main(["train", "run.gin", "--run_dir", "run"]) == 0
    value = json.loads(run(capsys, "--actual", "run", "--json"))
    assert (value["step"], value["batches"]) == (6, 6)
    # The training steps count target tokens on the device, all tasks together.
    assert value["on_device"] == sum(task["counted_targets"] for task in value["tasks"]) > 0
    assert [task["task"] for task in value["tasks"]] == [
        entry["task"] for entry in value["planned"]["tasks"]
    ]
    for task in value["tasks"]:
        assert task["counted_examples"] == pytest.approx(task["planned_examples"], rel=0.3)
    text = run(capsys, "--actual", "run")
    assert "Counted over 6 batches, until step 6" in text
    assert "the same." in text
    assert "Cut examples: " in text

    templates = value["templates"]
    assert [(one["task"], one["template"]) for one in templates] == [
        (task["task"], 0) for task in value["tasks"]
    ]
    assert [one["examples"] for one in templates] == [
        task["counted_examples"] for task in value["tasks"]
    ]
    text = run(
        capsys, "--actual", "run", "--by", "template", "--csv", "by.csv", "--html", "by.html"
    )
    assert "{text};" in text
    with (module / "by.csv").open() as file:
        assert [row["wording"] for row in csv.DictReader(file)] == ["{text};"] * 3
    page = (module / "by.html").read_text()
    assert "Counted against planned" in page
    assert page.count("{text};") == 3
    run(capsys, "--actual", "run", "--csv", "tasks.csv")
    with (module / "tasks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["task"] for row in rows] == [task["task"] for task in value["tasks"]]
    assert {"counted_cut", "planned_dropped"} <= set(rows[0])

    # The last two steps of eight have other batches.
    shutil.copytree(module / "run", module / "larger")
    more = {"experiments.train.num_steps": 8, "DataConfig.batch_size": 8, "DataConfig.lanes": 4}
    flags = [f"--gin.{name}={number}" for name, number in more.items()]
    assert cli.main(["train", "run.gin", "--run_dir", "larger", *flags]) == 0
    value = json.loads(run(capsys, "--actual", "larger", "--json"))
    assert value["planned"]["batch_sizes"] == [[6, 4], [2, 8]]
    planned = sum(task["planned_examples"] for task in value["tasks"])
    counted = sum(task["counted_examples"] for task in value["tasks"])
    assert counted == pytest.approx(planned, rel=0.3)  # 64 rows for all steps would be 1.6 times
    assert "The batch size changed: planned are 6 of 4 rows, then 2 of 8 rows." in (
        run(capsys, "--actual", "larger")
    )

    shutil.copytree(module / "run", module / "changed")
    config = module / "changed" / "config.gin"
    config.write_text(config.read_text().replace("'planned'", "'half'"))
    assert cli.main(["ledger", "--actual", "changed"]) == 2
    assert "trained on other tasks" in capsys.readouterr().err


def test_published_shows_mixtures_side_by_side_without_data(capsys, tmp_path):
    mixtures = [
        Mixture(
            name="capped",
            rates={"public:a": proportional(cap=30), "public:b": proportional(cap=30)},
        ),
        Mixture(name="nested", rates={"capped": 1, "public:b#2_shot": 1}),
    ]
    tasks = [
        dataclasses.replace(task, name=f"public:{name}", published_rows={"train": rows})
        for task, name, rows in zip(TASKS[:2], "ab", (90, 10), strict=True)
    ]
    (tmp_path / "run.gin").write_text(
        RUN.replace("ledger_command_tasks", "published_command_tasks")
    )
    file = tmp_path / "published.csv"
    arguments = [
        "ledger",
        "--gin_file",
        str(tmp_path / "run.gin"),
        "--published",
        "capped",
        "nested",
    ]
    with testing.task_module("published_command_tasks", tasks, mixtures):
        assert cli.main([*arguments, "--by", "setting", "--csv", str(file)]) == 0
        table = [line.split() for line in capsys.readouterr().out.splitlines()]
        assert cli.main([*arguments, "--json"]) == 0
        value = json.loads(capsys.readouterr().out)
    assert ["public:a", "90", "75", "37.5"] in table
    assert ["public:b#2_shot", "10", "50"] in table
    assert ["capped", "50"] in table
    assert value[1]["totals"]["task"] == pytest.approx({"public:a": 0.375, "public:b": 0.625})
    with file.open() as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["mixture"], row["task"], row["caps"]) for row in rows] == [
        ("capped", "public:a", "[30]"),
        ("capped", "public:b", "[30]"),
        ("nested", "public:a", "[30]"),
        ("nested", "public:b", "[30]"),
        ("nested", "public:b#2_shot", "[]"),
    ]


def test_published_searches_all_task_modules_without_a_run_file(capsys):
    assert cli.main(["ledger", "--published", "flan2022_cot"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["chain_of_thought:gsm8k", "7,470", "10"] in lines


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--published", "x", "--actual", "y"], "--actual and --published exclude each other"),
        (["--published", "x", "--html", "page.html"], "--html is for a plan or --actual"),
        (["run.gin", "--by", "setting"], "--by setting needs --published"),
    ],
)
def test_published_goes_with_no_flag_of_another_kind(capsys, arguments, problem):
    assert cli.main(["ledger", *arguments]) == 2
    assert problem in capsys.readouterr().err
