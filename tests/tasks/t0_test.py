"""T0's lists against the published counts, and its tasks from a small folder of template files."""

import json

import pytest

from flantune.data import Mixture, catalog as catalog_lib
from flantune.data.input import loading
from flantune.data.store import prepare, reader as store_lib
from flantune.prompting import settings
from tasks import mixtures, t0, t0_prompts

MODULES = ("tasks.t0", "tasks.mixtures", "tasks.held_out")
TEMPLATE = """
  k{number}: !Template
    answer_choices: {choices}
    jinja: '{{{{premise}}}} {number} {{{{hypothesis}}}} ||| {{{{answer_choices[label]}}}}'
    metadata: !TemplateMetadata
      metrics: [Accuracy]
      original_task: {original}
    name: {name}
"""
ROWS = [{"premise": f"P{n}.", "hypothesis": f"H{n}.", "label": n % 2} for n in range(6)]


def write(data_dir, dataset, prompts, splits):
    listed = t0_prompts.DATASETS[dataset]
    folder = data_dir / "promptsource" / dataset
    folder.mkdir(parents=True)
    text = f"dataset: {dataset}\ntemplates:" + "".join(
        TEMPLATE.format(
            number=number,
            name=json.dumps(name),
            original=str(name in listed.prompts).lower(),
            choices=json.dumps("Yes ||| No"),
        )
        for number, name in enumerate(prompts)
    )
    (folder / "templates.yaml").write_text(text)
    rows = data_dir / "hf" / dataset
    rows.mkdir(parents=True)
    for split in splits:
        (rows / f"{split}.jsonl").write_text("\n".join(map(json.dumps, ROWS)))


@pytest.fixture
def data_dir(tmp_path):
    mrpc = t0_prompts.DATASETS["glue/mrpc"]
    write(tmp_path, "glue/mrpc", [*mrpc.prompts, *mrpc.other_prompts, "a later one"], ["train"])
    anli = t0_prompts.DATASETS["anli"]
    write(tmp_path, "anli", anli.prompts, ["train_r1", "dev_r1", "train_r2", "dev_r2", "dev_r3"])
    return tmp_path


# Published: README and datasets.csv of t-zero, as counted in its release.
@pytest.mark.parametrize(
    ("mixture", "datasets", "prompts", "own"),
    [("T0", 38, 313, 222), ("T0+", 48, 392, 271), ("T0++", 54, 464, 341)],
)
def test_lists_have_the_published_counts(mixture, datasets, prompts, own):
    found = t0_prompts.trained_by(mixture)
    assert len(found) == datasets
    assert sum(len(one.prompts) + len(one.other_prompts) for one in found) == prompts
    assert sum(len(one.prompts) for one in found) == own


def test_held_out_datasets_are_those_of_the_paper_and_t0_trains_on_none():
    held_out = {one.name for one in t0_prompts.evaluated("held_out")}
    assert held_out == {
        "super_glue/wsc.fixed", "winogrande/winogrande_xl", "super_glue/cb", "super_glue/rte", "anli", "super_glue/copa",
        "story_cloze/2016", "hellaswag", "super_glue/wic",
    }  # fmt: skip
    assert not held_out & {one.name for one in t0_prompts.trained_by("T0")}
    assert len(t0_prompts.evaluated("bias")) == 6


def test_rates_are_t0s(data_dir):
    (mixture,) = (one for one in mixtures.MIXTURES if one.name == "t0_train")
    rate = mixture.rates["t0:app_reviews#with_inversions"]
    # The published weights: 288,065 rows with 4 prompts, and amazon_polarity's 3,600,000 with 9.
    assert rate.of(288_065, 4) == 4 * 288_065
    assert rate.of(3_600_000, 9) == 500_000


def test_a_task_has_the_published_prompts_and_no_other(data_dir, tmp_path):
    catalog = catalog_lib.load(MODULES, store_lib.Store(tmp_path / "store"), data_dir)
    task = catalog.task("t0:glue_mrpc")
    listed = t0_prompts.DATASETS["glue/mrpc"]
    assert [template.name for template in task.templates] == [
        *listed.prompts,
        *listed.other_prompts,
    ]
    assert catalog.task("t0:anli_r2").source.splits == ("train", "validation", "test")
    rows = list(catalog.task("t0:anli_r3").source.read("validation", data_dir))
    assert len(rows) == len(ROWS)


def test_a_mixture_names_what_is_absent_and_does_without_it_where_asked(data_dir, tmp_path):
    store = store_lib.Store(tmp_path / "store")
    catalog = catalog_lib.load(MODULES, store, data_dir)
    with pytest.raises(KeyError, match="t0:glue_qqp"):
        catalog.members("t0_train")
    catalog = catalog_lib.load(MODULES, store, data_dir, skip_absent=True)
    assert catalog.members("t0_train") == ("t0:glue_mrpc#with_inversions",)
    assert len(catalog.absent("t0_train")) == 37
    task = catalog.task("t0:glue_mrpc")
    prepare.prepare([(task, ["train"])], store, data_dir, num_processes=0).raise_if_failed()
    bound = loading.bind_mixture(catalog, store, "t0_train", split="train")
    assert len(bound.members[0].usable) == 7


@pytest.mark.parametrize(
    ("setting", "expected"),
    [  # six of its own, of which three list the choices, and five that turn it around
        ("", 6),
        ("inversion", 5),
        ("with_inversions", 11),
        ("no_options", 3),
        ("with_inversions.no_options", 8),
    ],
)
def test_prompts_are_declared_by_kind_before_any_file_is_there(setting, expected):
    (family,) = t0.TASKS
    declared = family.declared["t0:wiki_qa"]
    assert declared.rows == {"train": 20_360}
    assert declared.num_templates(settings.parse(setting)) == expected


def test_a_file_of_another_version_is_refused(tmp_path):
    write(tmp_path, "glue/qqp", t0_prompts.DATASETS["glue/qqp"].prompts[1:], ["train"])
    (path,) = t0.files(tmp_path).values()
    with pytest.raises(ValueError, match=r"lacks 2 of T0's 6 prompts of glue/qqp: .*0\.1\.0"):
        t0.read_metadata(path)


def test_the_real_template_files_have_all_of_t0s_prompts(real_data):
    folder = real_data / "promptsource"
    found = [name for name in t0_prompts.DATASETS if (folder / name / "templates.yaml").is_file()]
    assert len(found) >= 9
    for name in found:
        metadata = t0.read_metadata(folder / name / "templates.yaml")
        listed = t0_prompts.DATASETS[name]
        kinds = {one["name"].strip(): one["kind"] for one in metadata["templates"]}
        assert len(kinds) + len(metadata["refused"]) == len(
            (*listed.prompts, *listed.other_prompts)
        )
        assert all((kinds[one] == "direct") == (one in listed.prompts) for one in kinds)
        with_choices = [one for one in metadata["templates"] if one["choices_in_prompt"]]
        assert {one["name"].strip() for one in with_choices} == listed.with_choices & set(kinds)


def test_mixtures_hold_each_name_once():
    assert all(isinstance(mixture, Mixture) for mixture in mixtures.MIXTURES)
    assert len({mixture.name for mixture in mixtures.MIXTURES}) == len(mixtures.MIXTURES)
