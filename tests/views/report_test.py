"""The files of a report: their keys, their escaping, and that they repeat."""

import html.parser
import json
import re
from xml.etree import ElementTree

import pytest

from flantune import metrics
from flantune.evaluation import evaluator, generation, ranking
from flantune.evaluation.curves import EvaluationCurve, Point
from flantune.evaluation.statistics import Estimate
from flantune.inference.scoring import OptionScore
from flantune.run_folder.restarts import Change, Start
from flantune.views import report
from flantune.views.report_content import Content
from flantune.views.training_curves import TrainingCurves

ODD_NAME = "toy:<b>odd</b>|$x_1$&name"
ODD_TEXT = "</pre><script>alert('x')</script> & `code` | *star*\x00"
RUN = {
    "mixture": "toy",
    "steps": 1200,
    "seconds": 312.4,
    "device": "cpu",
    "notes": ["A smoke run."],
}


def _training(loss, clusters=None, tasks=None):
    return TrainingCurves(
        run_dir="runs/toy",
        overall={"loss": loss} if loss else {},
        clusters=clusters or {},
        tasks=tasks or {},
        cluster_of=dict.fromkeys(tasks or {}, "c<1>"),
        wall_time={},
    )


TRAINING = _training(
    ((0, 3.0), (10, 1.5), (20, 0.75)),
    clusters={"c<1>": ((10, 2.0), (20, 1.0))},
    tasks={ODD_NAME: ((10, 1.5), (20, 0.5)), "toy:rare": ((10, 2.5),)},
)


def _suites(num_tasks=2, own=(metrics.exact_match, metrics.rouge_l)):
    def task(name, cluster):
        examples = tuple(
            generation.GenerationExample(
                uid=f"{name}/{i}",
                template_id=i % 2,
                inputs=f"{ODD_TEXT} {i}",
                references=("a", "b") if i % 2 else ("c",),
                input_text="c",
            )
            for i in range(4)
        )
        return generation.GenerationTask(name=name, cluster=cluster, metrics=own, examples=examples)

    names = [ODD_NAME, *(f"toy:task{i}#few_shot" for i in range(1, num_tasks))]
    return {
        "unseen_examples": [task(name, f"cluster{i % 2}") for i, name in enumerate(names)],
        "unseen_cluster": [task("toy:other", "cluster2")],
    }


def _reports(metric="exact_match", **settings):
    def predict(params, prompts):
        return [params[i % len(params)] for i in range(len(prompts))]

    suites = {
        name: evaluator.Suite(tasks=tasks, answer=predict, metric=metric)
        for name, tasks in _suites(**settings).items()
    }
    subject = evaluator.Evaluator(suites, num_resamples=50)
    baselines = {"untuned": subject.evaluate([ODD_TEXT], 0), **subject.baselines()}
    return subject.evaluate(["c", "a", "a", ODD_TEXT], 1200), baselines


def _write(run_dir, *, run=RUN, training=TRAINING, **settings):
    tuned, baselines = _reports(**settings)
    content = Content(run=run, training=training, tuned=tuned, baselines=baselines)
    report.write_report(run_dir, content)
    return tuned, baselines


class _Balance(html.parser.HTMLParser):
    """Names of all tags; fails where one closes that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_summary_has_each_suite_and_each_baseline(tmp_path):
    _write(tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["summary"] == {
        "unseen_examples": 0.5,
        "unseen_cluster": 0.5,
        "untuned": {"unseen_examples": 0.0, "unseen_cluster": 0.0},
        "majority": {"unseen_examples": 0.5, "unseen_cluster": 0.5},
        "copy": {"unseen_examples": 0.5, "unseen_cluster": 0.5},
    }
    assert content["run"] == RUN
    assert content["loss"]["last"] == {"step": 20, "loss": 0.75}


def test_json_goes_down_to_the_template(tmp_path):
    _write(tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert list(content["results"]) == ["tuned", "untuned", "majority", "copy"]
    suite = content["results"]["tuned"]["suites"][0]
    assert [item["name"] for item in suite["clusters"]] == ["cluster0", "cluster1"]
    task = suite["tasks"][0]
    assert task["metrics"]["exact_match"]["value"] == 0.5
    assert task["metrics"]["rouge_l"]["value"] == 50.0
    # Template 0 asks examples 0 and 2 (answers c, a; reference c), template 1 the others (a, odd text; a or b).
    templates = [(item["template_id"], item["value"]) for item in task["by_template"]["templates"]]
    assert templates == [(0, 0.5), (1, 0.5)]
    assert {"mean", "median", "iqr", "minimum", "maximum"} <= task["by_template"].keys()
    assert task["metrics"]["exact_match"]["low"] <= 0.5 <= task["metrics"]["exact_match"]["high"]


def test_everything_repeats_to_the_byte_and_leaves_no_temporary_file(tmp_path):
    for name in ("first", "second"):
        _write(tmp_path / name)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (tmp_path / "first", tmp_path / "second")
    )
    assert first == second
    assert not [path for path in first if path.suffix == ".tmp"]


def test_html_escapes_what_models_and_tasks_say(tmp_path):
    _write(tmp_path, run={**RUN, "device": "<i>gpu</i>", "notes": "<u>note</u>"})
    page = (tmp_path / "report.html").read_text()
    tags = _Balance(page)
    assert tags.open == []
    assert tags.seen.isdisjoint({"script", "b", "u"})
    assert "<i>gpu" not in page
    assert "&lt;script&gt;alert(&#x27;x&#x27;)" in page
    assert "\x00" not in page


def test_html_is_one_file_that_fits_phones_and_dark_pages(tmp_path):
    _write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    addresses = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert all(address.startswith("#") for address in addresses)
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page
    assert "@import" not in page
    assert "A smoke run." in page
    assert "5 min 12 s" in page


def test_plots_are_valid_svg_in_the_colours_of_the_page(tmp_path):
    _write(tmp_path)
    page = (tmp_path / "report.html").read_text()
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) == 4  # the loss, its cluster and two suites
    texts = [text for plot in plots for text in ElementTree.fromstring(plot).itertext()]
    assert ODD_NAME in texts
    assert {"tuned", "untuned", "majority", "copy"} <= set(texts)
    colours = re.findall(r"(?:fill|stroke): ([^;\"]+)", "".join(plots))
    assert all(colour == "none" or colour.startswith("var(--") for colour in colours)
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_markdown_tables_have_equal_rows_whatever_the_names(tmp_path):
    _write(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "| unseen\\_examples | exact match (0 to 1) | 2 | 8 | 0.500 (" in text
    for block in text.split("\n\n"):
        if block.startswith("| "):
            cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            assert len(cells) == 1
    told = [line for line in text.splitlines() if "<script>" in line]
    assert told
    assert all(line.startswith("    ") for line in told)  # indented: shown as code


def test_summary_rows_are_the_table_of_the_terminal():
    header, rows = report.summary_rows(*_reports())
    header_of_values = ["tuned", "untuned", "majority", "copy"]
    assert header == ["suite", "metric", "tasks", "examples", *header_of_values]
    assert [row[:4] for row in rows] == [
        ["unseen_examples", "exact match (0 to 1)", "2", "8"],
        ["unseen_cluster", "exact match (0 to 1)", "1", "4"],
    ]
    assert re.fullmatch(r"0\.500 \(0\.\d{3} to \d\.\d{3}\)", rows[0][4])
    assert rows[0][5:] == ["0.000", "0.500", "0.500"]


def test_percent_metrics_are_shown_as_percent(tmp_path):
    tuned, baselines = _write(tmp_path, metric="rouge_l")
    _, rows = report.summary_rows(tuned, baselines)
    assert rows[0][4].startswith("50.0 (")
    assert "rouge l (0 to 100)" in (tmp_path / "report.html").read_text()


def test_metrics_of_all_examples_and_of_other_units_are_in_all_three(tmp_path):
    own = (metrics.macro_f1, metrics.pearson, metrics.edit_distance)
    tuned, _ = _write(tmp_path, own=own, metric="macro_f1")
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["unit"] == {"unseen_examples": "fraction", "unseen_cluster": "fraction"}
    task = content["results"]["tuned"]["suites"][0]["tasks"][0]
    assert set(task["metrics"]) == {"macro_f1", "pearson", "edit_distance"}
    assert len(task["by_template"]["templates"]) == 2
    for page in ("report.md", "report.html"):
        text = (tmp_path / page).read_text()
        assert "macro f1 (0 to 1)" in text
        assert "pearson (-1 to 1)" in text
        assert "edit distance (0 to 1, lower is better)" in text
    first = tuned.suites[0].tasks[0].predictions[0]
    assert list(first.scores) == ["edit_distance"]
    _Balance((tmp_path / "report.html").read_text())


@pytest.mark.parametrize("metric", ["pearson", "bleu", "edit_distance"])
def test_any_unit_can_be_that_of_the_summary(tmp_path, metric):
    _write(tmp_path, own=(getattr(metrics, metric),), metric=metric)
    page = (tmp_path / "report.html").read_text()
    _Balance(page)
    widths = [float(text) for text in re.findall(r"(?:left|width):(-?[\d.]+)%", page)]
    assert widths
    assert all(0 <= width <= 100 for width in widths)


def test_many_tasks_are_drawn_by_cluster(tmp_path):
    _write(tmp_path, num_tasks=70, own=(metrics.exact_match,))
    page = (tmp_path / "report.html").read_text()
    plot = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)[2]
    assert "cluster1" in plot
    assert "toy:task5#" not in plot
    assert "toy:task5#" in page


def test_training_losses_of_clusters_and_tasks_are_in_all_three(tmp_path):
    _write(tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())["loss"]
    first, last = {"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0}
    assert content["clusters"] == {"c<1>": {"first": first, "last": last}}
    assert content["tasks"]["toy:rare"]["last"] == {"step": 10, "loss": 2.5}
    assert content["tasks"][ODD_NAME]["cluster"] == "c<1>"
    text = (tmp_path / "report.md").read_text()
    assert r"| c\<1\> | 2 | 2.000 | 10 | 1.000 | 20 |" in text
    rare, odd = text.index("| toy:rare |"), text.index("| 1.500 | 10 | 0.500 | 20 |")
    assert rare < odd  # the highest last loss first
    page = (tmp_path / "report.html").read_text()
    assert "c&lt;1&gt;" in page
    assert "toy:rare" in page


@pytest.mark.parametrize(
    "loss", [(), ((0, float("nan")),), tuple((i, 1.0 / (i + 1)) for i in range(3000))]
)
def test_any_loss_curve_is_reported(tmp_path, loss):
    _write(tmp_path, training=_training(loss))
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["loss"]["num_points"] == len(loss)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<svg") == (3 if loss else 2)
    assert len(page) < 200_000


def test_baselines_of_other_suites_or_names_are_refused():
    tuned, baselines = _reports()
    other, _ = _reports(num_tasks=3)
    wrong = {"untuned": other}, {"unseen_cluster": baselines["copy"]}
    for found, said in zip(
        wrong, ("'untuned' does not fit", "named 'unseen_cluster'"), strict=True
    ):
        with pytest.raises(ValueError, match=said):
            Content(run=RUN, training=TRAINING, tuned=tuned, baselines=found)


def _write_ranked(run_dir):
    """A report with a generated suite, and a ranked one whose task has three options at -1, -1 and -2 nats."""

    def score(params, questions):
        return [
            [OptionScore(value, 2, 1) for value in ((-1.0, -1.0, -2.0) if first else (-3.0,) * 3)]
            for first, _ in zip([True, False] * 2, questions, strict=True)
        ]

    examples = tuple(
        ranking.RankingExample(
            uid=str(right),
            template_id=0,
            inputs=ODD_TEXT,
            references=("(A)",),
            options=("(A)", "(B)", "(C)"),
            choices=("ham", ODD_TEXT, "eggs"),
            right=(right,),
            same_as=(0, 1, 2),
            unconditional_inputs="?",
        )
        for right in (0, 2)
    )
    task = ranking.RankingTask(name="toy:ranked", cluster="toys", examples=examples)
    written = _suites(own=(metrics.exact_match,))["unseen_cluster"]
    subject = evaluator.Evaluator(
        {
            "written": evaluator.Suite(
                tasks=written, answer=lambda params, prompts: prompts, metric="exact_match"
            ),
            "ranked": evaluator.Suite(tasks=[task], answer=score, metric="rank_accuracy/per_token"),
        },
        num_resamples=50,
    )
    tuned, baselines = subject.evaluate(None, 5), subject.baselines()
    content = Content(run=RUN, training=TRAINING, tuned=tuned, baselines=baselines)
    report.write_report(run_dir, content)
    return tuned, baselines


def test_ranked_suites_are_reported_with_their_own_metric_and_baselines(tmp_path):
    tuned, baselines = _write_ranked(tmp_path)
    content = json.loads((tmp_path / "report.json").read_text())
    assert content["metric"] == {"written": "exact_match", "ranked": "rank_accuracy/per_token"}
    assert content["summary"]["ranked"] == 0.25  # half a point for a tie, and none
    assert content["summary"]["chance"] == {"ranked": pytest.approx(1 / 3)}
    assert content["summary"]["copy"] == {"written": 0.5}
    (suite,) = content["results"]["chance"]["suites"]
    assert suite["name"] == "ranked"
    task = content["results"]["tuned"]["suites"][1]["tasks"][0]
    assert task["counts"]["ties/per_token"] == 2
    assert set(task["metrics"]) == {
        f"rank_accuracy/{name}" for name in ("sum", "per_token", "per_byte", "pmi")
    }
    header, rows = report.summary_rows(tuned, baselines)
    assert header == ["suite", "metric", "tasks", "examples", "tuned", "majority", "copy", "chance"]
    assert [row[1] for row in rows] == ["exact match (0 to 1)", "rank accuracy/per token (0 to 1)"]
    assert [row[5:] for row in rows] == [["0.500", "0.500", ""], ["0.500", "", "0.333"]]


def test_pages_show_normalisations_and_ties_side_by_side(tmp_path):
    _write_ranked(tmp_path)
    text = (tmp_path / "report.md").read_text()
    page = (tmp_path / "report.html").read_text()
    assert _Balance(page).open == []
    assert "<script>" not in page
    for name in ("sum", "per token", "per byte", "pmi"):
        assert f"rank accuracy/{name} (0 to 1)" in page
        assert f"rank accuracy/{name} (0 to 1)" in text
    assert '<th class="">ties (sum / per token / per byte / pmi)</th>' in page
    assert '<td class="">2 / 2 / 2 / 2</td>' in page
    assert "-1.00  (A)  = ham" in page
    assert "-1.00  (A)  = ham" in text
    for block in text.split("\n\n"):
        if block.startswith("| "):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def _curve(suite="seen", metric="exact_match", unit="fraction", majority=0.5, values=(0.25, 0.75)):
    points = tuple(
        Point(
            step=10 * (i + 1),
            estimate=Estimate(value=value, low=value - 0.125, high=value + 0.125),
            majority=majority,
            is_below=majority is not None and value < majority,
        )
        for i, value in enumerate(values)
    )
    return EvaluationCurve(suite=suite, metric=metric, unit=unit, points=points)


STARTS = (
    Start(step=0, time=0.0, devices="1 x cpu", changed=()),
    Start(step=5, time=60.0, devices="1 x cpu", changed=()),
    Start(
        step=10,
        time=86400.0,
        devices="8 x TPU",
        changed=(Change(name="configs.A<b>.rate", before="0.1", after=None),),
    ),
)


def _write_by_step(run_dir, **changes):
    arguments = {"run": RUN, "training": TRAINING, "evaluations": (_curve(),), "starts": STARTS}
    content = Content(**{**arguments, **changes})
    report.write_report(run_dir, content)
    return content


def test_evaluations_by_step_are_in_all_three_with_marks_below_the_majority(tmp_path):
    _write_by_step(tmp_path, evaluations=(_curve(), _curve("cor", "pearson", "correlation", None)))
    first, second = json.loads((tmp_path / "report.json").read_text())["evaluation"]
    assert (first["suite"], first["metric"], first["unit"]) == ("seen", "exact_match", "fraction")
    assert [(one["step"], one["value"], one["is_below_majority"]) for one in first["points"]] == [
        (10, 0.25, True),
        (20, 0.75, False),
    ]
    assert [one["majority"] for one in second["points"]] == [None, None]
    text = (tmp_path / "report.md").read_text()
    assert "| step | seen, exact match (0 to 1) | cor, pearson (-1 to 1) |" in text
    assert "| 10 | 0.250 (0.125 to 0.375) ▼ | 0.250 (0.125 to 0.375) |" in text
    assert "| 20 | 0.750 (0.625 to 0.875) | 0.750 (0.625 to 0.875) |" in text
    assert "It has: seen 0.500." in text
    page = (tmp_path / "report.html").read_text()
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) == 4  # the loss, two suites, the cluster
    texts = [list(ElementTree.fromstring(plot).itertext()) for plot in plots]
    assert {"step", "exact match (0 to 1)", "majority", "below majority"} <= set(texts[1])
    assert {"step", "pearson (-1 to 1)"} <= set(texts[2])
    assert not {"majority", "below majority"} & set(texts[2])
    assert '0.250 (0.125 to 0.375) <span class="below">▼</span>' in page
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_only_restarts_that_changed_something_are_numbered_and_marked_in_every_curve(tmp_path):
    content = _write_by_step(tmp_path)
    (restart,) = content.restarts()
    assert (restart.number, restart.step) == (1, 10)
    assert [change.name for change in restart.changed] == ["devices", "configs.A<b>.rate"]
    found = json.loads((tmp_path / "report.json").read_text())["starts"]
    assert found[2]["changed"] == [{"name": "configs.A<b>.rate", "before": "0.1", "after": None}]
    text = (tmp_path / "report.md").read_text()
    assert r"| 1 | 10 | 1970-01-02 00:00 | configs.A\<b\>.rate | 0.1 | (not set) |" in text
    assert "| 1 | 10 | 1970-01-02 00:00 | devices | 1 x cpu | 8 x TPU |" in text
    page = (tmp_path / "report.html").read_text()
    assert "configs.A&lt;b&gt;.rate" in page
    for plot in re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL):
        assert "1" in list(ElementTree.fromstring(plot).itertext())


def test_a_run_without_an_evaluation_has_all_three_reports(tmp_path):
    _write_by_step(tmp_path, evaluations=(), starts=())
    content = json.loads((tmp_path / "report.json").read_text())
    assert (content["summary"], content["results"], content["evaluation"]) == ({}, {}, [])
    assert content["loss"]["last"] == {"step": 20, "loss": 0.75}
    page = (tmp_path / "report.html").read_text()
    assert _Balance(page).open == []
    assert "no evaluation yet" in page
    assert "no evaluation yet" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize("values", [(0.5,), (float("nan"), 0.25), (0.0, 0.0)])
def test_any_evaluation_curve_is_drawn(tmp_path, values):
    _write_by_step(tmp_path, evaluations=(_curve(values=values),), training=_training(()))
    page = (tmp_path / "report.html").read_text()
    assert _Balance(page).open == []
    assert page.count("<svg") == 1


def test_every_table_scrolls_inside_itself(tmp_path):
    _write_by_step(tmp_path, evaluations=(_curve(),))
    page = (tmp_path / "report.html").read_text()
    assert page.count("<table") == page.count('<div class="scroll" tabindex="0"><table') > 2
