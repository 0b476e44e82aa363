import dataclasses
import fnmatch

import pytest

from flantune.audit import held_out
from flantune.audit.overlap import scan as overlap_scan
from flantune.data import Mixture, catalog as catalog_lib
from flantune.data.held_out_plan import HeldOutPlan, Waiver
from flantune.data.input import loading
from flantune.data.store import prepare as prepare_lib, reader as store_lib
from flantune.prompting import Template
from flantune.testing import make_task, prepare

LONG = "the old man who sold paper boats at the corner of our street had a parrot"
OTHER = "nobody in the village could say when the well behind the church had been dug"
SHORT = "what does a parrot eat"
PLAN = HeldOutPlan(name="plan", evaluation={"exam:qa": "test"})
ASK = (Template(inputs="Answer this: {text}"),)


def exam(*texts, **changes):
    rows = {"test": [{"text": text, "answer": "seeds"} for text in texts]}
    return make_task("exam:qa", rows, templates=ASK, **changes)


def trained(*rows, name="drill:x", split="train", **changes):
    return make_task(name, {split: list(rows)}, templates=changes.pop("templates", ASK), **changes)


def check(tmp_path, tasks, training, plan=PLAN, split="train", **options):
    store = prepare(tasks, tmp_path / "store")
    catalog = catalog_lib.Catalog(
        modules=("here",), tasks={task.name: task for task in tasks}, mixtures={}
    )
    bound = loading.bind_mixture(catalog, store, training, split=split)
    return held_out.check(catalog, store, bound, plan, num_processes=0, **options)


def test_nothing_in_common_is_no_violation(tmp_path):
    report = check(tmp_path, [exam(LONG), trained({"text": OTHER, "answer": "no"})], "drill:x")
    assert report.violations == ()
    assert (report.training_rows, [rows.rows for rows in report.evaluation]) == (1, [1])
    report.raise_if_violated()


def test_an_overlap_in_the_inputs_is_named_with_its_rows(tmp_path):
    rows = [{"text": OTHER, "answer": "a"}, {"text": f"Hear: {LONG}!", "answer": "b"}]
    report = check(tmp_path, [exam(OTHER[:20], LONG), trained(*rows)], "drill:x")
    (one,) = report.violations
    assert (one.kind, one.evaluation, one.training) == ("ngram", "exam:qa", "drill:x")
    assert (one.rows, one.by_ngram, one.of, one.training_rows) == (1, 1, 2, 1)
    words = "the old man who sold paper boats at the corner of our street"
    assert one.samples == (("exam:qa/test/1", "drill:x/train/1", "inputs", words),)
    with pytest.raises(ValueError, match=r"1 of 2 rows of exam:qa \(test\).*drill:x/train/1"):
        report.raise_if_violated()


def test_an_overlap_through_a_target_alone_is_found(tmp_path):
    row = {"text": "Tell a story.", "answer": f"Once {LONG}."}
    (one,) = check(tmp_path, [exam(LONG), trained(row)], "drill:x").violations
    assert one.samples[0][2] == "targets"


def test_an_overlap_through_a_short_text_alone_is_found(tmp_path):
    row = {"text": f"Zoo quiz: {SHORT}?", "answer": "no"}
    (one,) = check(tmp_path, [exam(SHORT, "yes"), trained(row)], "drill:x").violations
    assert (one.rows, one.by_ngram) == (1, 0)
    report = check(
        tmp_path, [exam(SHORT, "yes"), trained({"text": "yes", "answer": "a"})], "drill:x"
    )
    assert report.violations == ()
    assert report.evaluation[0].unchecked == 1


def test_an_overlap_through_a_constant_of_the_task_is_found(tmp_path):
    shows = (Template(inputs="Example: {example}\nNow: {text}"),)
    task = trained(
        {"text": OTHER, "answer": "a"}, templates=shows, constants={"example": f"{LONG} -> seeds"}
    )
    (one,) = check(tmp_path, [exam(LONG), task], "drill:x").violations
    assert one.samples[0][1:3] == ("drill:x", "task")


def test_constants_that_no_training_template_shows_are_no_leak(tmp_path):
    templates = (*ASK, Template(inputs="{example} {text}", held_out=True))
    task = trained({"text": OTHER, "answer": "a"}, templates=templates, constants={"example": LONG})
    assert check(tmp_path, [exam(LONG), task], "drill:x").violations == ()


def test_what_another_training_wording_or_setting_shows_counts_as_trained_on(tmp_path):
    """A prompt shows some of a task's examples; the task holds them all."""
    templates = (
        Template(inputs="{first} Now: {text}"),
        Template(inputs="{first} {second} Now: {text}", group="both"),
        Template(inputs="{text}", targets="{reason} So, {answer}", kind="cot"),
    )
    task = trained(
        {"text": "Say something.", "answer": "a", "reason": OTHER},
        templates=templates,
        constants={"first": "Nothing at all.", "second": f"Example: {LONG}"},
    )
    (one,) = check(tmp_path, [exam(LONG, OTHER), task], "drill:x").violations
    assert (one.rows, one.by_ngram, one.of) == (2, 2, 2)
    assert [sample[:3] for sample in one.samples] == [
        ("exam:qa/test/0", "drill:x", "task"),
        ("exam:qa/test/1", "drill:x/train/0", "reason in another wording"),
    ]


def test_what_a_mixture_leaves_out_for_its_plan_is_in_the_report(tmp_path):
    tasks = [
        exam(LONG, lineage=("zoo",)),
        trained({"text": LONG, "answer": "a"}, lineage=("zoo",)),
        trained({"text": OTHER, "answer": "a"}, name="drill:y"),
    ]
    store = prepare(tasks, tmp_path / "store")
    catalog = dataclasses.replace(
        catalog_of(*tasks),
        mixtures={"m": Mixture(name="m", rates={"drill:*": 1}, held_out="plan")},
        plans={"plan": PLAN},
    )
    bound = loading.bind_mixture(catalog, store, "m", split="train")
    report = held_out.check(catalog, store, bound, PLAN, num_processes=0)
    assert (report.violations, report.left_out) == ((), ("drill:x",))
    assert report.as_json()["left_out"] == ["drill:x"]


def test_an_overlap_through_an_exemplar_alone_is_found(tmp_path):
    # Trained on "extra"; exemplars come from "train", and one row of it is an evaluation row.
    pool = [{"text": OTHER, "answer": "a"}, {"text": LONG, "answer": "b"}]
    rows = {"extra": [{"text": "Say something.", "answer": "c"}], "train": pool}
    task = make_task("drill:x", rows, templates=ASK)
    few = check(tmp_path, [exam(LONG), task], "drill:x#1_shot", split="extra")
    (one,) = few.violations
    assert one.samples[0][1:3] == ("drill:x/train/1", "exemplar inputs")
    assert check(tmp_path, [exam(LONG), task], "drill:x", split="extra").violations == ()


def test_every_wording_counts_not_only_the_one_drawn(tmp_path):
    templates = tuple(Template(inputs=f"{n}. {{text}}") for n in range(9))
    shows = Template(inputs="{text} {rationale}")
    row = {"text": "Go on.", "rationale": LONG, "answer": "a"}
    (one,) = check(
        tmp_path, [exam(LONG), trained(row, templates=(*templates, shows))], "drill:x"
    ).violations
    assert one.rows == 1


def test_every_reference_counts(tmp_path):
    row = {"text": "Tell a story.", "answer": ["one", "two", "three", LONG, "four"]}
    (one,) = check(tmp_path, [exam(LONG), trained(row)], "drill:x").violations
    assert one.rows == 1


def test_what_all_evaluation_rows_are_told_is_not_theirs(tmp_path):
    """A task's fixed question beside its own text takes no part; the same in both is no overlap."""
    ask = (Template(inputs="{text}\n{question}"),)
    fixed = "Who of the two people in this little story is the one who is right?"
    rows = [{"text": f"{SHORT} {n}", "question": fixed, "answer": "a"} for n in range(20)]
    task = make_task("exam:qa", {"test": rows}, templates=ask)
    training = trained({"text": fixed, "answer": "b"})
    assert check(tmp_path, [task, training], "drill:x").violations == ()


def test_choices_of_equal_questions_are_part_of_the_content(tmp_path):
    ask = (Template(inputs="{text}\n{options}"),)
    rows = [
        {"text": "Which of these is true?", "choices": [f"iron number {n}", "it is so"], "label": 0}
        for n in range(3)
    ]
    task = make_task("exam:qa", {"test": rows}, templates=ask, answer_choices="choices")
    training = trained({**rows[1], "label": 1}, templates=ask, answer_choices="choices")
    (one,) = check(tmp_path, [task, training], "drill:x").violations
    assert [sample[0] for sample in one.samples] == ["exam:qa/test/1"]


def test_lineage_alone_is_a_violation(tmp_path):
    tasks = [
        exam(LONG, lineage=("Some_QA", "wikipedia")),
        trained({"text": OTHER, "answer": "a"}, lineage=("someqa",)),
    ]
    report = check(tmp_path, tasks, "drill:x")
    (one,) = report.violations
    assert (one.kind, one.evaluation, one.training, one.shared) == (
        "lineage",
        "exam:qa",
        "drill:x",
        ("someqa",),
    )
    without = dataclasses.replace(PLAN, lineage=False)
    assert check(tmp_path, tasks, "drill:x", without).violations == ()


def catalog_of(*tasks):
    return catalog_lib.Catalog(
        modules=("here",), tasks={task.name: task for task in tasks}, mixtures={}
    )


def test_clusters_and_tasks_are_held_out_without_any_rows():
    nli = trained(name="a:nli", cluster="nli")
    qa, other = trained(name="a:qa"), trained(name="b:qa")
    plan = HeldOutPlan(name="plan", clusters=("nli",), tasks=("a:*",))
    catalog = catalog_of(nli, qa, other)
    names = ["a:nli#few_shot", "a:qa", "b:qa"]
    report = held_out.check_names(catalog, names, plan)
    assert [(one.kind, one.evaluation, one.training) for one in report.violations] == [
        ("task", "a:qa", "a:qa"),
        ("cluster", "nli", "a:nli"),
    ]
    assert held_out.check_names(catalog, ["b:qa"], plan).violations == ()
    with pytest.raises(ValueError, match=r"'plan' is violated 2 times.*a:nli.*'nli'"):
        report.raise_if_violated()


def test_held_out_tasks_pass_their_lineage_on():
    held, relative = trained(name="a:x", lineage=("d",)), trained(name="b:x", lineage=("d",))
    plan = HeldOutPlan(name="plan", tasks=("a:x",))
    (one,) = held_out.check_names(catalog_of(held, relative), ["b:x"], plan).violations
    assert (one.kind, one.evaluation, one.training) == ("lineage", "a:x", "b:x")


def test_what_a_plan_names_and_no_module_has_is_reported():
    plan = HeldOutPlan(name="plan", clusters=("nil",), tasks=("b:*", "a:x"))
    report = held_out.check_names(catalog_of(trained(name="a:x", cluster="nli")), [], plan)
    assert report.unmatched == ("cluster 'nil'", "task 'b:*'")


def test_a_waiver_covers_its_pair_and_one_that_covers_nothing_is_reported(tmp_path):
    waivers = (
        Waiver(
            evaluation="exam:*", training="drill:x", reason="quoted", kinds=("ngram",), max_rows=1
        ),
        Waiver(evaluation="exam:*", training="drill:y", reason="never"),
    )
    plan = dataclasses.replace(PLAN, waivers=waivers)
    row = {"text": LONG, "answer": "a"}
    report = check(tmp_path, [exam(LONG, OTHER), trained(row)], "drill:x", plan)
    assert report.violations == ()
    assert [(one.training, waiver.reason) for one, waiver in report.waived] == [
        ("drill:x", "quoted")
    ]
    assert report.unused == waivers[1:]
    more = check(
        tmp_path, [exam(LONG, OTHER), trained(row, {"text": OTHER, "answer": "a"})], "drill:x", plan
    )
    assert [one.rows for one in more.violations] == [2]


def test_a_waiver_of_rows_is_not_called_unused_before_rows_are_compared():
    waiver = Waiver(evaluation="*", training="*", reason="x", kinds=("ngram",))
    plan = HeldOutPlan(name="plan", waivers=(waiver,))
    assert held_out.check_names(catalog_of(trained()), ["drill:x"], plan).unused == ()


def test_a_waiver_needs_a_reason_and_a_known_kind():
    with pytest.raises(ValueError, match="must give a reason"):
        Waiver(evaluation="a", training="b", reason=" ")
    with pytest.raises(ValueError, match="'lineage'"):
        Waiver(evaluation="a", training="b", reason="x", kinds=("linage",))
    with pytest.raises(ValueError, match="ngram must be above 5"):
        HeldOutPlan(name="plan", ngram=5)


def test_the_worst_overlap_comes_first(tmp_path):
    tasks = [
        exam(LONG, OTHER),
        trained({"text": LONG, "answer": "a"}, name="drill:x"),
        trained({"text": LONG, "answer": "a"}, {"text": OTHER, "answer": "a"}, name="drill:y"),
    ]
    report = check(tmp_path, tasks, "drill:*")
    assert [(one.training, one.share) for one in report.violations] == [
        ("drill:y", 1.0),
        ("drill:x", 0.5),
    ]


def test_settings_of_one_task_count_together(tmp_path):
    templates = (
        *ASK,
        Template(inputs="{answer}: make a question of it", targets="{text}", kind="inversion"),
    )
    task = trained({"text": LONG, "answer": "a"}, templates=templates)
    tasks = [exam(LONG), task]
    store = prepare(tasks, tmp_path / "store")
    catalog = catalog_of(*tasks)
    bound = loading.bind_mixture(catalog, store, "drill:x", split="train")
    inverted = loading.bind_mixture(catalog, store, "drill:x#inversion", split="train")
    both = dataclasses.replace(bound, members=(*bound.members, *inverted.members), rates=(0.5, 0.5))
    (one,) = held_out.check(catalog, store, both, PLAN, num_processes=0).violations
    assert (one.rows, one.training_rows) == (1, 1)


def test_suites_are_checked_where_the_plan_holds_their_tasks_out_or_names_nothing(tmp_path):
    tasks = [exam(LONG), trained({"text": LONG, "answer": "a"})]
    store = prepare(tasks, tmp_path / "store")
    catalog = catalog_of(*tasks)
    suite = loading.bind_mixture(catalog, store, "exam:qa", split="test").members
    bound = loading.bind_mixture(catalog, store, "drill:x", split="train")

    def rows(plan):
        report = held_out.check(catalog, store, bound, plan, evaluation=suite, num_processes=0)
        return [one.rows for one in report.violations]

    assert rows(HeldOutPlan(name="all")) == [1]
    assert rows(HeldOutPlan(name="that", tasks=("exam:*",))) == [1]
    assert rows(HeldOutPlan(name="another", tasks=("other:*",))) == []
    assert rows(HeldOutPlan(name="names", tasks=("exam:*",), ngram=None)) == []


def test_results_are_kept_until_rows_or_wordings_change(tmp_path, monkeypatch):
    calls = []
    real = overlap_scan._scan_all

    def counted(index, jobs, num_processes):
        calls.append(len(jobs))
        return real(index, jobs, num_processes)

    monkeypatch.setattr(overlap_scan, "_scan_all", counted)
    tasks = [
        exam(LONG),
        trained({"text": LONG, "answer": "a"}),
        trained({"text": OTHER, "answer": "a"}, name="drill:y"),
    ]
    first = check(tmp_path, tasks, "drill:*")
    assert check(tmp_path, tasks, "drill:*") == first
    assert calls == [2]
    tasks[2] = trained(
        {"text": OTHER, "answer": "a"},
        name="drill:y",
        templates=(Template(inputs=LONG + " {text}"),),
    )
    assert len(check(tmp_path, tasks, "drill:*").violations) == 2
    tasks[1] = trained({"text": OTHER, "answer": "a"})
    assert len(check(tmp_path, tasks, "drill:*").violations) == 1
    assert calls == [2, 1, 1]
    check(tmp_path, [exam(OTHER), *tasks[1:]], "drill:*")
    assert calls == [2, 1, 1, 2]


def test_workers_find_what_one_process_finds(tmp_path):
    tasks = [exam(LONG, SHORT)] + [
        trained({"text": text, "answer": "a"}, name=f"drill:{n}")
        for n, text in enumerate((LONG, OTHER, f"so {SHORT}", LONG))
    ]
    store = prepare(tasks, tmp_path / "store")
    catalog = catalog_of(*tasks)
    bound = loading.bind_mixture(catalog, store, "drill:*", split="train")
    one = held_out.check(catalog, store, bound, PLAN, num_processes=0)
    for file in (tmp_path / "store" / overlap_scan.FOLDER).iterdir():
        file.unlink()
    two = held_out.check(catalog, store, bound, PLAN, num_processes=2)
    assert len(one.violations) == 3
    assert two == one


def test_a_report_is_json(tmp_path):
    import json

    report = check(tmp_path, [exam(LONG), trained({"text": LONG, "answer": "a"})], "drill:x")
    value = json.loads(json.dumps(report.as_json()))
    assert value["violations"][0]["rows"] == 1
    assert value["evaluation"] == [{"task": "exam:qa", "split": "test", "rows": 1, "unchecked": 0}]


# What is known of the real files: evaluated, trained on, rows touched by 13-grams and in all, rows looked for. Of COPA's
# rows 97 more are short: premise, and one alternative, are held whole.
KNOWN_LEAKS = (
    ("commonsense_qa:commonsense_qa", "chain_of_thought:ecqa", 400, 791, 1_221),
    (
        "commonsense_qa:commonsense_qa",
        "natural_instructions:task073_commonsenseqa_answer_generation",
        111,
        254,
        1_221,
    ),
    ("mmlu:*", "natural_instructions:task722_mmmlu_answer_generation_random_topic", 68, 148, 2_831),
    ("copa:copa", "natural_instructions:task828_copa_commonsense_cause_effect", 22, 119, 500),
    ("gsm8k:gsm8k", "chain_of_thought:gsm8k", 3, 3, 1_319),
)
LEAK_MODULES = (
    "natural_instructions",
    "chain_of_thought",
    "commonsense_qa",
    "mmlu",
    "copa",
    "gsm8k",
)


@pytest.mark.slow  # reads 25,000 rows of real files
def test_the_known_leaks_of_the_real_files_are_named_with_their_counts(tmp_path, real_data):
    """In the settings of a plain run: direct answers, and the default encodings of Natural Instructions."""
    store = store_lib.Store(tmp_path)
    modules = [f"tasks.{name}" for name in LEAK_MODULES]
    catalog = catalog_lib.load(modules, store, real_data)
    # All rows of a task, those that its module keeps for evaluation too.
    training = [
        (task, split) for _, task, *_ in KNOWN_LEAKS for split in catalog.task(task).source.splits
    ]
    evaluation = {exams: "test" for exams, *_ in KNOWN_LEAKS}
    splits = loading.splits_needed(catalog, [*training, *evaluation.items()])
    tasks = [(catalog.tasks[name], own) for name, own in splits]
    prepare_lib.prepare(tasks, store, real_data).raise_if_failed()
    members = [
        loading.bind_mixture(catalog, store, task, split=split).members[0]
        for task, split in training
    ]
    bound = loading.bind_mixture(catalog, store, training[0][0], split="train")
    every = dataclasses.replace(bound, members=tuple(members), rates=(1.0,) * len(members))
    plan = HeldOutPlan(name="known", evaluation=evaluation, lineage=False)
    report = held_out.check(catalog, store, every, plan, num_processes=0)
    for exams, task, *expected in KNOWN_LEAKS:
        found = [
            one
            for one in report.violations
            if one.training == task and fnmatch.fnmatch(one.evaluation, exams)
        ]
        looked_for = [one.rows for one in report.evaluation if fnmatch.fnmatch(one.task, exams)]
        counts = [sum(one.by_ngram for one in found), sum(one.rows for one in found)]
        assert (exams, task, *counts, sum(looked_for)) == (exams, task, *expected)
        assert all(one.sentence().startswith(f"{one.rows:,} of") for one in found)
