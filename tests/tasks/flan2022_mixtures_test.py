"""Flan 2022's mixtures: published counts, weight tables and shares, and what they do without data."""

import json

import pytest

from flantune.audit import published
from flantune.data import catalog as catalog_lib, mixture as mixture_lib
from flantune.data.input import loading
from flantune.data.store import prepare, reader as store
from flantune.jobs import task_search
from tasks import chain_of_thought, dialog, flan2022_mixtures, t0, t0_prompts

MIXTURES = {mixture.name: mixture for mixture in flan2022_mixtures.MIXTURES}
MODULES = (
    "tasks.flan2022",
    "tasks.t0",
    "tasks.natural_instructions",
    "tasks.chain_of_thought",
    "tasks.dialog",
    "tasks.flan2022_mixtures",
)
WEIGHTS = {
    "flan2022": (40, 32, 20, 5, 3),
    # 4, 3, 1, 1.3 and 1.3 of 10.6
    "flan2022_library_default": (37.736, 28.302, 9.434, 12.264, 12.264),
    "flan2022_paper_a": (52, 15, 30, 3, 0),
    # 46.0, 27.9, 24.2 and 1.8 of 99.9
    "flan2022_paper_b": (46.046, 27.928, 24.224, 1.802, 0),
}


@pytest.fixture(scope="module")
def plans():
    return {one.mixture: one for one in published.plan(MODULES, list(WEIGHTS))}


def percent(plan, *starts):
    """The share of the tasks whose names start with one of some texts."""
    return 100 * sum(one.share for one in plan.entries if one.task.startswith(starts))


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_submixtures_have_the_published_weights(plans, name):
    families = ("flan2022:", "t0:", "natural_instructions:", "chain_of_thought:", "dialog:")
    found = [percent(plans[name], family) for family in families]
    assert found == pytest.approx(WEIGHTS[name], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "flan", "reasoning"),
    [
        ("flan2022", 40, 5 / 1.3),
        ("flan2022_library_default", 100 * 4 / 10.6, 100 * 1 / 10.6),
        ("flan2022_paper_a", 52, 3),
        ("flan2022_paper_b", 100 * 46.0 / 99.9, 100 * 1.8 / 99.9),
    ],
)
def test_shares_of_tasks(plans, name, flan, reasoning):
    plan = plans[name]
    zero_shot = {one.task: 100 * one.share for one in plan.entries}
    cnn_dailymail = percent(plan, "flan2022:cnn_dailymail#")
    rte = percent(plan, "flan2022:rte#")
    gsm8k = zero_shot["chain_of_thought:gsm8k#chain_of_thought"]
    assert cnn_dailymail == pytest.approx(flan * 30_000 / 1_495_430)
    assert rte == pytest.approx(flan * 2_290 / 1_495_430)
    assert gsm8k == pytest.approx(reasoning / 2 * 7_470 / 74_730)
    if name == "flan2022":  # as others have worked it out from the collection's code
        assert [f"{share:.2g}" for share in (cnn_dailymail, rte, gsm8k)] == ["0.8", "0.061", "0.19"]


@pytest.mark.parametrize("name", list(WEIGHTS))
def test_settings_have_equal_shares(plans, name):
    shares = plans[name].by_submixture()
    for submixture, count in (("flan", 4), ("t0", 4), ("niv2", 2)):
        whole = f"flan2022_{submixture}"
        settings = [
            share
            for path, share in shares.items()
            if path.startswith(f"{whole}/") and path.count("/") == 1
        ]
        assert settings == pytest.approx([shares[whole] / count] * count)


def test_inversions_have_0_3_of_the_weight(plans):
    for name in ("flan2022", "flan2022_library_default"):
        for family in ("chain_of_thought:", "dialog:"):
            own = [one for one in plans[name].entries if one.task.startswith(family)]
            inverted = sum(one.share for one in own if "#inversion" in one.task)
            assert inverted / sum(one.share for one in own) == pytest.approx(0.3 / 1.3)
    assert not [one for one in plans["flan2022_paper_b"].entries if "#inversion" in one.task]


def test_chain_of_thought_and_dialog_have_the_published_rows():
    rows = [task.published_rows["train"] for task in chain_of_thought.TASKS]
    assert (len(rows), sum(rows)) == (9, 74_730)
    dialogs = [min(task.published_rows["train"], 200_000) for task in dialog.TASKS]
    assert sum(dialogs) == 210_170


def test_t0_has_193_prompts_of_26_datasets_and_the_published_capped_rows():
    datasets = [t0_prompts.DATASETS[name] for name in flan2022_mixtures.T0_SF]
    prompts = [len(one.prompts) + len(one.other_prompts) for one in datasets]
    assert (len(datasets), sum(prompts)) == (26, 193)
    rates = MIXTURES["flan2022_t0_zsopt"].rates
    total = 0.0
    for dataset, count in zip(datasets, prompts, strict=True):
        (task,) = t0.task_names(dataset.name)
        in_tens = dataset.train_rows // 10 * 10  # the published counts leave out a last batch
        total += rates[f"{task}#with_inversions"].of(in_tens, count)
    assert total == pytest.approx(2_724_840, abs=10)  # WikiQA's rows are a mean of its prompts


def test_caps():
    for name, mixture in MIXTURES.items():
        caps = {
            rate.cap
            for rate in mixture.rates.values()
            if isinstance(rate, mixture_lib.Proportional)
        }
        for part, cap in (
            ("flan_", 30_000),
            ("cot_", 100_000),
            ("niv2_", 5_000),
            ("dialog_", 200_000),
        ):
            if name.startswith(f"flan2022_{part}") and caps:
                assert caps == {cap}
        if name.startswith("flan2022_t0_"):
            assert 20_000 in caps
            assert all(rate.per_template for rate in mixture.rates.values())


def test_natural_instructions_are_without_mmlu(tmp_path):
    numbers = (1, 663, 664, 667, 668, 684, 685, 737, 738, 6640)
    write_natural_instructions(tmp_path, numbers)
    catalog = catalog_lib.load(MODULES, store.Store(tmp_path / "store"), tmp_path)
    for setting in ("zsopt", "fsopt"):
        members = catalog.members(f"flan2022_niv2_{setting}")
        numbers = [int(one.partition(":task")[2].partition("_")[0]) for one in members]
        assert sorted(numbers) == [1, 663, 668, 684, 738, 6640]
    assert len(flan2022_mixtures.MMLU_IDS) == 57


def test_a_mixture_without_its_files_is_an_error_or_does_without_them_where_asked(tmp_path):
    place = store.Store(tmp_path / "store")
    catalog = catalog_lib.load(MODULES, place, tmp_path)
    with pytest.raises(KeyError, match=r"flan2022_t0_zsopt.*t0:adversarial_qa_dbert"):
        catalog.members("flan2022")
    write_cot(tmp_path)
    catalog = catalog_lib.load(MODULES, place, tmp_path, skip_absent=True)
    assert {one.partition("#")[0] for one in catalog.members("flan2022")} == {
        "chain_of_thought:qasc"
    }
    assert "natural_instructions:*#definition" in catalog.absent("flan2022")


def test_every_member_has_wordings_for_its_setting(tmp_path):
    catalog = catalog_lib.load(task_search.modules_of("tasks"), store.Store(tmp_path), tmp_path)
    for mixture in MIXTURES.values():
        for member in mixture.rates:
            task, _, setting = member.partition("#")
            if task in catalog.tasks:
                assert catalog.supports(task, setting), member


def test_a_run_over_what_is_there_keeps_the_weights_of_the_submixtures(tmp_path):
    """Chain of thought, one task of Natural Instructions and one of T0's datasets: 5, 20 and 32 of 57."""
    write_cot(tmp_path)
    write_natural_instructions(tmp_path)
    write_web_questions(tmp_path)
    place = store.Store(tmp_path / "store")
    catalog = catalog_lib.load(MODULES, place, tmp_path, skip_absent=True)
    wanted = [
        (catalog.task(name), splits)
        for name, splits in loading.splits_needed(catalog, [("flan2022", "train")])
    ]
    prepare.prepare(wanted, place, tmp_path, num_processes=0).raise_if_failed()
    bound = loading.bind_mixture(catalog, place, "flan2022", split="train")
    shares = {member.name: rate for member, rate in zip(bound.members, bound.rates, strict=True)}
    cot, niv2, asked = 5 / 57, 20 / 57, 32 / 57
    assert shares == pytest.approx(
        {
            "chain_of_thought:qasc#chain_of_thought": cot / 2 / 1.3,
            "chain_of_thought:qasc#chain_of_thought.few_shot": cot / 2 / 1.3,
            "chain_of_thought:qasc#inversion": cot / 2 * 0.3 / 1.3,
            "chain_of_thought:qasc#inversion.few_shot": cot / 2 * 0.3 / 1.3,
            "natural_instructions:task001_some_name#definition": niv2 / 2,
            "natural_instructions:task001_some_name#definition_positive_2": niv2 / 2,
            "t0:web_questions#with_inversions": asked / 4,
            "t0:web_questions#with_inversions.few_shot": asked / 4,
            "t0:web_questions#with_inversions.no_options": asked / 4,
            "t0:web_questions#with_inversions.few_shot.no_options": asked / 4,
        }
    )


def write_cot(data_dir):
    file = data_dir / "flan_cot" / "qasc_train.tsv"
    file.parent.mkdir()
    file.write_text("".join(f"Why {row}?\tbecause\tso it is\n" for row in range(210)))


def write_natural_instructions(data_dir, numbers=(1, 664)):
    folder = data_dir / "natural_instructions"
    folder.mkdir()
    task = {
        "Definition": ["Do."],
        "Positive Examples": [{"input": "a", "output": "b"}],
        "Instances": [{"input": f"x{row}", "output": ["y"]} for row in range(4)],
    }
    for number in numbers:
        (folder / f"task{number:03}_some_name.json").write_text(json.dumps(task))


def write_web_questions(data_dir):
    listed = t0_prompts.DATASETS["web_questions"]
    templates = "".join(
        f"""
  k{number}: !Template
    answer_choices: null
    jinja: '{number} {{{{question}}}} ||| {{{{answers[0]}}}}'
    metadata: !TemplateMetadata
      choices_in_prompt: false
      original_task: true
    name: {json.dumps(name)}"""
        for number, name in enumerate(listed.prompts)
    )
    folder = data_dir / "promptsource" / "web_questions"
    folder.mkdir(parents=True)
    (folder / "templates.yaml").write_text(f"dataset: web_questions\ntemplates:{templates}\n")
    rows = data_dir / "hf" / "web_questions"
    rows.mkdir(parents=True)
    lines = [json.dumps({"question": f"Who {row}?", "answers": ["me"]}) for row in range(6)]
    (rows / "train.jsonl").write_text("\n".join(lines))
