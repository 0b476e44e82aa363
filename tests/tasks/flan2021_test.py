"""FLAN 2021's mixtures, what its held-out plans leave out, and its few-shot prompts."""

import dataclasses

import pytest
import yaml

from flantune import testing
from flantune.audit import held_out
from flantune.data import catalog as catalog_lib, members, sources
from flantune.data.input import prompts
from flantune.data.store import reader as store_lib
from tasks import flan2021

from . import collection

# Clusters that the paper's code has too: its name for it, and how many tasks it then trains on and tests.
CODE = {
    "summarization": ("summarization", 58, 11),
    "struct_to_text": ("structure_to_text", 65, 4),
    "reading_comprehension": ("reading_comprehension", 61, 6),
    "closed_book_qa": ("open_domain_qa", 65, 4),
    "paraphrase": ("paraphrase", 55, 4),
    "sentiment": ("sentiment", 65, 4),
    "commonsense": ("common_sense", 63, 4),
    "translation": ("translation", 61, 8),
    "coreference": ("coreference", 66, 3),
    "natural_language_inference": ("entailment", 55, 10),
    "reading_comprehension_with_commonsense": ("read_comp_and_common_sense", 57, 2),
}
# What the code makes of "misc".
MISC = {
    "math", "conversational_qa", "word_disambiguation", "linguistic_acceptability", "question_classification",
    "text_formatting",
}  # fmt: skip
WSC273 = "flan2021:wsc273"  # in no cluster of the code


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    root = tmp_path_factory.mktemp("flan2021")
    return catalog_lib.load(("tasks.flan2021",), store_lib.Store(root / "store"), root)


def trained(catalog, mixture):
    return {name.partition("#")[0] for name in catalog.members(mixture)}


def evaluated(catalog, cluster):
    """Tasks of a cluster's evaluation that the paper's code has."""
    return set(catalog.members(f"flan2021_{cluster}")) - {WSC273}


def test_all_tasks_with_training_rows_are_trained_on_with_inverted_wordings(catalog):
    members = catalog.members("flan2021")
    assert len(members) == 69
    assert {name.partition("#")[2] for name in members} == {"with_inversions"}
    assert {task.name for task in flan2021.TASKS} - trained(catalog, "flan2021") == {WSC273}


def test_rates_count_3000_rows_at_most(catalog):
    class Sizes:
        def rows(self, member):
            return {"flan2021:rte": 2_290, "flan2021:copa": 350}.get(
                member.partition("#")[0], 30_000
            )

        def num_templates(self, member):
            return 10

        def tokens(self, member):
            return 100.0

    whole = 67 * 3_000 + 2_290 + 350
    rates = catalog.rates("flan2021", Sizes())
    assert rates["flan2021:rte#with_inversions"] == pytest.approx(2_290 / whole)
    assert rates["flan2021:snli#with_inversions"] == pytest.approx(3_000 / whole)
    # Without a cluster the caps hold as before. NLI and paraphrase: 14 tasks.
    rates = catalog.rates("flan2021_without_natural_language_inference", Sizes())
    assert rates["flan2021:copa#with_inversions"] == pytest.approx(350 / (54 * 3_000 + 350))


@pytest.mark.parametrize("cluster", list(CODE))
def test_a_plan_leaves_out_as_many_tasks_as_the_papers_code(catalog, cluster):
    _, num_trained, num_tested = CODE[cluster]
    assert len(trained(catalog, f"flan2021_without_{cluster}")) == num_trained
    assert len(evaluated(catalog, cluster)) == num_tested


def test_a_plan_leaves_out_its_cluster_and_those_near_to_it_and_nothing_else(catalog):
    assert set(flan2021.CLUSTERS) == {*CODE, "misc"}
    for cluster in flan2021.CLUSTERS:
        gone = {cluster, *flan2021.NEAR.get(cluster, ())}
        mixture = f"flan2021_without_{cluster}"
        assert catalog.left_out(mixture) == {
            task.name for task in flan2021.TASKS if task.cluster in gone and task.name != WSC273
        }
        assert all(
            other in flan2021.NEAR and cluster in flan2021.NEAR[other] for other in gone - {cluster}
        )


def test_a_plan_allows_its_mixture_and_refuses_the_whole(catalog):
    plan = catalog.plan("flan2021_without_paraphrase")
    report = held_out.check_names(catalog, catalog.members(plan.name), plan)
    report.raise_if_violated()
    assert report.unmatched == ()
    with pytest.raises(ValueError, match="held-out cluster"):
        held_out.check_names(catalog, catalog.members("flan2021"), plan).raise_if_violated()


def test_what_clusters_share_is_reported_and_left_in(catalog):
    plan = catalog.plan("flan2021_without_coreference")
    report = held_out.check_names(catalog, catalog.members(plan.name), plan)
    shared = {(one.evaluation, one.training) for one, _ in report.waived}
    assert ("flan2021:wsc", "flan2021:wnli") in shared


def test_every_evaluation_mixture_has_a_test_split_of_its_tasks_uncapped(catalog):
    for cluster in flan2021.CLUSTERS:
        mixture = catalog.mixtures[f"flan2021_{cluster}"]
        assert all("test" in catalog.task(name).source.splits for name in mixture.rates)
        assert all(rate.cap is None for rate in mixture.rates.values())


def few_shot_prompt(catalog, store, task, setting):
    """The prompt of the first row in the first wording."""
    readers = {"train": store.reader(store.manifest(task, "train"))}
    member = members.make_member(task.name, task, setting, readers, split="train", templates="all")
    (prompt,) = prompts.render(
        [prompts.Request(dataclasses.replace(member, usable=(0,)), 0, 0)], seed=0
    )
    return prompt


def test_few_shot_prompts_have_the_published_separators(catalog, tmp_path):
    rows = collection.example_rows()["flan2021:math_dataset"]
    task = dataclasses.replace(
        catalog.task("flan2021:math_dataset"), source=sources.InMemory(train=rows)
    )
    store = testing.prepare([task], tmp_path)
    setting = catalog.setting("flan2021:math_dataset#flan2021_few_shot.2_shot")
    prompt = few_shot_prompt(catalog, store, task, setting)
    first, second, third = (
        f"0 {row['question']}\nWrite only the number. X 1 {row['answer']} X " for row in rows
    )
    query = f"0 {rows[0]['question']}\nWrite only the number. X 1 FLAN"
    assert first not in prompt.inputs
    assert prompt.inputs in (second + third + query, third + second + query)
    assert prompt.targets == rows[0]["answer"]


def test_the_few_shot_setting_takes_up_to_16_exemplars_and_may_be_trained_with_inversions(catalog):
    setting = catalog.setting("flan2021:rte#flan2021_few_shot.with_inversions")
    assert setting.shot_counts == (16,)
    assert "inversion" in setting.kinds


def test_splits_are_those_of_the_papers_code(catalog, real_data):
    facts = yaml.safe_load((real_data.parent / "facts" / "flan2021.yaml").read_text())
    splits = {one["held_out"]: one for one in facts["splits"]["inter_cluster"]}
    code = {
        name: {f"flan2021:{key}" for key in keys} for name, keys in facts["code_clusters"].items()
    }
    assert set(code) == {name for name, *_ in CODE.values()} | MISC
    for cluster, (name, num_trained, num_tested) in CODE.items():
        split = splits[name]
        assert (split["n_train"], split["n_test"]) == (num_trained, num_tested)
        assert evaluated(catalog, cluster) == code[name]
        gone = code[name].union(*(code[other] for other in split["also_excluded"]))
        assert catalog.left_out(f"flan2021_without_{cluster}") == gone
    assert evaluated(catalog, "misc") == set().union(*(code[name] for name in MISC))
