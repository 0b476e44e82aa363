"""`flantune report`: curves of a run folder, and the report that shows them while it trains or afterwards."""

import html.parser
import itertools
import json

import pytest

from flantune import cli
from flantune.run_folder import commit, restarts

LINES = [
    {"step": 10, "train/loss": 4.0, "train/accuracy": 0.1},
    {
        "step": 20,
        "train/loss": 3.0,
        "train/accuracy": 0.2,
        "train/tokens_per_second": 1234.5,
        "train/examples_per_second": 8.25,
        "train/seconds_per_step": 0.5,
        "train/data_wait_seconds_per_step": 0.125,
        "train/model_flops_utilisation": 0.4,
        "train/device_peak_bytes": 3 * 2**30,
        "train/goodput": 0.75,
        "train/task/qa:a/cross_entropy": 3.0,
        "train/task/qa:<b>/cross_entropy": 4.0,
        "train/cluster/qa/cross_entropy": 3.5,
    },
    {
        "step": 40,
        "train/loss": 2.0,
        "train/accuracy": None,
        "train/task/qa:a/cross_entropy": 1.5,
        "train/task/nli:c/cross_entropy": 0.5,
        "train/cluster/qa/cross_entropy": 1.5,
        "train/cluster/nli/cross_entropy": 0.5,
        "eval/seen": 0.5,
    },
]
MIXTURE = [
    {"task": "qa:a", "cluster": "qa"},
    {"task": "qa:<b>", "cluster": "qa"},
    {"task": "nli:c", "cluster": "nli"},
]


# 100 s, of which 60 in steps; half of the first session's steps were done again.
SESSIONS = [
    {
        "started": 0.0,
        "until": 60.0,
        "first_step": 1,
        "last_step": 20,
        "seconds": {"start": 20.0, "steps": 40.0},
    },
    {
        "started": 1000.0,
        "until": 1040.0,
        "first_step": 11,
        "last_step": 40,
        "seconds": {"start": 5.0, "steps": 20.0, "evaluation": 15.0},
    },
]


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "mixture.json").write_text(json.dumps(MIXTURE))
    text = "".join(json.dumps(line) + "\n" for line in LINES)
    (tmp_path / "metrics.jsonl").write_text(text + '{"step": 50, "tr')  # cut off by a kill
    return tmp_path


class _Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


def test_curves_by_task_and_cluster_as_json(run_dir, capsys):
    assert cli.main(["report", str(run_dir), "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)
    assert curves["overall"]["loss"] == [[10, 4.0], [20, 3.0], [40, 2.0]]
    assert curves["overall"]["accuracy"] == [
        [10, 0.1],
        [20, 0.2],
    ]  # a value that is not finite is left out
    assert curves["clusters"] == {"nli": [[40, 0.5]], "qa": [[20, 3.5], [40, 1.5]]}
    assert curves["tasks"]["qa:a"] == [[20, 3.0], [40, 1.5]]
    assert curves["cluster_of"]["nli:c"] == "nli"


def test_the_page_has_a_plot_for_the_loss_and_for_each_cluster_and_a_row_for_each_task(
    run_dir, capsys
):
    assert cli.main(["report", str(run_dir)]) == 0
    assert "2 clusters, 3 tasks; loss 2.0000 at step 40" in " ".join(
        capsys.readouterr().out.split()
    )
    page = _Page((run_dir / "report.html").read_text())
    assert page.tags.count("svg") == 3
    assert page.tags.count("tr") == (1 + 2) + (1 + 3)  # tables of clusters and of tasks
    assert "script" not in page.tags
    assert "b" not in page.tags  # the name of a task is text
    assert "qa:<b>" in page.words
    assert "3.500 at step 20, 1.500 at step 40" in "".join(page.words)


def test_speed_memory_and_wall_time_are_shown(run_dir, capsys):
    (run_dir / "wall_time.json").write_text(json.dumps({"sessions": SESSIONS}))
    assert cli.main(["report", str(run_dir), "--json"]) == 0
    curves = json.loads(capsys.readouterr().out)
    assert curves["overall"]["data_wait_share"] == [[20, 0.25]]
    assert curves["wall_time"] == {
        "goodput": 0.4,
        "sessions": 2,
        "lost_steps": 10,
        "wall_seconds": 100,
        "start_seconds": 25,
        "steps_seconds": 60,
        "evaluation_seconds": 15,
    }
    assert cli.main(["report", str(run_dir)]) == 0
    words = _Page((run_dir / "report.html").read_text()).words
    for shown in ("1,234", "8.250", "0.500", "25.0 %", "40.0 %", "3.00 GiB", "75.0 %"):
        assert shown in words
    facts = dict(itertools.pairwise(words))
    assert (facts["goodput"], facts["wall time"]) == ("40.0 %", "1 min 40 s")
    assert (facts["lost steps"], facts["evaluation time"]) == ("10", "15 s")


def test_the_page_goes_where_it_is_asked_to(run_dir, tmp_path):
    assert cli.main(["report", str(run_dir), "--html", str(tmp_path / "new" / "page.html")]) == 0
    assert (tmp_path / "new" / "page.html").exists()
    assert not list(run_dir.glob("report.*"))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("mixture.json", "is no run folder: it has neither mixture.json nor eval/"),
        ("metrics.jsonl", "no training loss and no evaluation yet"),
    ],
)
def test_what_is_missing_is_said(run_dir, capsys, missing, message):
    (run_dir / missing).unlink()
    assert cli.main(["report", str(run_dir)]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not list(run_dir.glob("report.*"))


CONFIG = """configs.DataConfig.mixture = 'toy_mixture'
configs.OptimizerConfig.learning_rate = 0.1
experiments.train.notes = \\
    ('A smoke run.',
     'No result.')
experiments.train.num_steps = 100
"""


@pytest.fixture
def running(run_dir, write_step):
    """A run that is at step 40 of 100: evaluated at 20 and 40, restarted at 10 with another learning rate."""
    text = json.dumps({"sessions": [{**SESSIONS[0], "last_step": 45}, SESSIONS[1]]})
    (run_dir / "wall_time.json").write_text(text)
    for step, text in ((0, CONFIG), (10, CONFIG.replace("0.1", "0.2"))):
        kept = restarts.files(
            run_dir, is_new=step == 0, step=step, devices="1 x cpu", config_text=text
        )
        commit.write(run_dir, {**kept, "config.gin": text})
    for step, answers in ((20, "zzzz"), (40, "aabz"), (45, "zzzz")):
        write_step(run_dir, step, answers)
    return run_dir


def test_a_run_that_trains_has_curves_restarts_and_its_last_results_on_one_page(running, capsys):
    assert cli.main(["report", str(running)]) == 0
    said = capsys.readouterr().out
    assert "loss 2.0000 at step 40; at step 40 evaluation: seen exact_match 0.750." in said
    report = json.loads((running / "report.json").read_text())
    assert report["run"]["mixture"] == "toy_mixture"
    assert report["run"]["steps"] == "40 of 100"
    assert report["run"]["notes"] == ["A smoke run.", "No result."]
    (curve,) = report["evaluation"]
    # What was found at step 45 is of steps that the restart undid.
    points = [(one["step"], one["value"], one["is_below_majority"]) for one in curve["points"]]
    assert points == [(20, 0.0, True), (40, 0.75, False)]
    assert report["summary"] == {"seen": 0.75, "majority": {"seen": 0.5}, "copy": {"seen": 0.0}}
    changed = report["starts"][1]["changed"]
    assert changed == [
        {"name": "configs.OptimizerConfig.learning_rate", "before": "0.1", "after": "0.2"}
    ]
    page = _Page((running / "report.html").read_text())
    assert "configs.OptimizerConfig.learning_rate" in page.words
    assert page.tags.count("svg") == 5  # loss, suite by step, two clusters, tasks of the suite
    assert "0.750 (" in (running / "report.md").read_text()


def test_a_folder_of_an_earlier_version_has_a_report_that_loses_nothing(running, capsys):
    """Its baselines and facts are in report.json only, and a page of the training stands beside."""
    assert cli.main(["report", str(running)]) == 0
    before = json.loads((running / "report.json").read_text())
    before["run"] = {"mixture": "old", "devices": "4 x v3", "notes": ["Kept."]}
    del before["evaluation"], before["starts"]
    (running / "report.json").write_text(json.dumps(before))
    (running / "training.html").write_text("as it was")
    for path in ("starts.jsonl", "config.gin", "eval/20/baselines.json", "eval/40/baselines.json"):
        (running / path).unlink()
    for _ in range(2):
        assert cli.main(["report", str(running)]) == 0
        report = json.loads((running / "report.json").read_text())
        assert report["summary"] == before["summary"]
        for name in ("mixture", "devices", "notes"):
            assert report["run"][name] == before["run"][name]
    assert [point["majority"] for point in report["evaluation"][0]["points"]] == [None, 0.5]
    assert (running / "training.html").read_text() == "as it was"


def test_a_run_that_was_only_evaluated_has_a_report(tmp_path, capsys, write_step):
    write_step(tmp_path, 7, "aabc")
    assert cli.main(["report", str(tmp_path)]) == 0
    assert "at step 7 evaluation: seen exact_match 1.000." in capsys.readouterr().out
    assert "No training loss was recorded." in (tmp_path / "report.md").read_text()
