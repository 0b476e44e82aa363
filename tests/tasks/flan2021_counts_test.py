"""What FLAN 2021 is made of, counted: 70 keys in 12 clusters, 62 datasets, ten wordings a task.

The lists are those of the paper's figure 3 and of the paper's code. They are compared with the facts beside the checkout,
where these are there.
"""

import collections

import pytest
import yaml

from tasks import chain_of_thought, flan2021

# Figure 3 of the paper: the keys of each cluster that the code has under a name of its own.
FIGURE = {
    "natural_language_inference": "anli_r1 anli_r2 anli_r3 cb mnli_matched mnli_mismatched qnli rte snli wnli",
    "commonsense": "copa hellaswag piqa story_cloze",
    "sentiment": "imdb_reviews sentiment140 sst2 yelp_polarity_reviews",
    "paraphrase": "glue_mrpc glue_qqp paws_wiki stsb",
    "closed_book_qa": "arc_challenge arc_easy natural_questions trivia_qa",
    "struct_to_text": "common_gen dart e2e_nlg web_nlg_en",
    "reading_comprehension": "bool_q drop multirc openbookqa squad_v1 squad_v2",
    "reading_comprehension_with_commonsense": "cosmos_qa record",
    "coreference": "definite_pronoun_resolution winogrande wsc273",
    "misc": "coqa trec quac cola wic math_dataset fix_punct",
    "summarization": (
        "aeslc ag_news_subset cnn_dailymail gigaword multi_news newsroom opinion_abstracts_idebate "
        "opinion_abstracts_rotten_tomatoes samsum wiki_lingua_english_en xsum"
    ),
    "translation": (
        "para_crawl_enes wmt16_translate_csen wmt16_translate_deen wmt16_translate_fien wmt16_translate_roen "
        "wmt16_translate_ruen wmt16_translate_tren"
    ),
}
# Keys of the code that the figure does not name, and the cluster in which they are here.
CODE_ALONE = {
    "wsc": "coreference",
    "wmt14_enfr": "translation",
    "true_case": "misc",
    "word_segment": "misc",
}
# What the paper counts as one dataset.
COUNTED_ONCE = (
    ("anli_r1", "anli_r2", "anli_r3"),
    ("mnli_matched", "mnli_mismatched"),
    ("arc_challenge", "arc_easy"),
    ("squad_v1", "squad_v2"),
)
CHAIN_OF_THOUGHT = {
    "aqua", "creak", "ecqa", "esnli", "gsm8k", "qasc", "qed", "sensemaking", "strategyqa",
}  # fmt: skip

# Sources that the installed TFDS has in another version only, or not at all.
OTHER_SOURCES = {
    "cnn_dailymail": "cnn_dailymail:3.4.0",
    "multi_news": "multi_news:2.1.0",
    "winogrande": "winogrande:1.2.0",
    "xsum": None,  # a folder of Hugging Face's
}
METRICS = {
    "accuracy": {"accuracy"},
    "bleu": {"bleu"},
    "edit_distance": {"edit_distance"},
    "pearson_corrcoef": {"pearson"},
    "spearman_corrcoef": {"spearman"},
    "rouge": {"rouge_1", "rouge_2", "rouge_lsum"},
    "rouge_fn (max over references)": {"rouge_1", "rouge_2", "rouge_lsum"},
    "squad": {"squad_exact_match", "squad_f1"},
    "deduplicate_metric(squad)": {"squad_exact_match", "squad_f1"},
    "trivia_qa": {"squad_exact_match", "squad_f1"},
    "multirc_f1_over_all_answers": {"f1_of_yes"},
    # By all answers to a question, which metrics do not see together: accuracy instead.
    "mean_group_metric(all_match)": {"accuracy"},
    # Wordings have names of their own for the two or three classes.
    "f1_score_with_invalid": set(),
    "mean_multiclass_f1(num_classes=3)": set(),
}

TASKS = {task.name.removeprefix("flan2021:"): task for task in flan2021.TASKS}


@pytest.fixture(scope="module")
def facts(real_data):
    return yaml.safe_load((real_data.parent / "facts" / "flan2021.yaml").read_text())


def keys_by_cluster():
    found = collections.defaultdict(set)
    for key, task in TASKS.items():
        found[task.cluster].add(key)
    return dict(found)


def test_every_key_is_a_task_of_one_of_twelve_clusters():
    expected = {cluster: set(keys.split()) for cluster, keys in FIGURE.items()}
    for key, cluster in CODE_ALONE.items():
        expected[cluster].add(key)
    assert len(expected) == 12
    assert keys_by_cluster() == expected
    assert len(flan2021.TASKS) == len(TASKS) == 70


def test_the_paper_counts_62_datasets():
    """61 of them have keys; of the figure's 8 datasets of translation 7 do."""
    twice = {key for keys in COUNTED_ONCE for key in keys[1:]}
    counted = {cluster: len({*keys.split()} - twice) for cluster, keys in FIGURE.items()}
    assert sum(counted.values()) == 61
    assert sum((counted | {"translation": 8}).values()) == 62
    assert twice < set(TASKS)


def test_there_are_ten_wordings_a_task_and_610_in_all():
    """Counted once where tasks share theirs (the rounds of ANLI, the two MNLI, the two ARC, six pairs of WMT16)."""
    assert {len(task.templates) for task in TASKS.values()} == {10}
    shared = collections.defaultdict(list)
    for key, task in TASKS.items():
        shared[task.templates].append(key)
    assert len(shared) == 61
    assert max(shared.values(), key=len) == [
        f"wmt16_translate_{pair}en" for pair in ("cs", "de", "fi", "ro", "ru", "tr")
    ]
    different = {
        (template.inputs, template.targets)
        for task in TASKS.values()
        for template in task.templates
    }
    assert len(different) == 610


def test_the_sets_of_chain_of_thought_bring_the_wordings_above_620():
    """By themselves they have 18 each, but share most: 40 different ones."""
    tasks = {task.name.removeprefix("chain_of_thought:"): task for task in chain_of_thought.TASKS}
    assert set(tasks) == CHAIN_OF_THOUGHT
    assert {len(task.templates) for task in tasks.values()} == {18}
    wordings = {
        (template.inputs, template.targets)
        for task in (*TASKS.values(), *tasks.values())
        for template in task.templates
    }
    assert len(wordings) == 650 >= 620


def test_clusters_and_counts_are_those_of_the_facts(facts):
    assert set(TASKS) == {one["key"] for one in facts["tasks"]}
    assert {cluster: set(keys.split()) for cluster, keys in FIGURE.items()} == {
        cluster: set(keys) for cluster, keys in facts["paper_clusters"]["clusters"].items()
    }
    assert set(CODE_ALONE) == set(facts["paper_clusters"]["only_in_code"])
    counts = facts["counts"]
    assert (counts["task_configs"], counts["template_keys"], counts["templates"]) == (70, 61, 610)


def test_sources_and_splits_are_those_of_the_facts(facts):
    for one in facts["tasks"]:
        key = one["key"]
        name = OTHER_SOURCES.get(key, one["tfds"])
        found = TASKS[key].source.describe()
        if key == "wsc273":
            assert found["splits"] == {"test": "test"}
        else:
            assert found["splits"] == one["splits"], key
        if name is not None:
            assert found["name"].startswith(name), key  # CoLA without its version


def test_metrics_are_those_of_the_facts(facts):
    for one in facts["tasks"]:
        expected = set().union(*(METRICS[name] for name in one["metrics"]))
        assert {metric.name for metric in TASKS[one["key"]].metrics} == expected, one["key"]
