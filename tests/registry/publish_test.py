"""The same tasks in SeqIO: the same text, ids and shares as the Grain pipeline."""

import collections
import dataclasses
import pathlib

import numpy as np
import pytest

from flantune import metrics, registry, testing
from flantune.data import Mixture, catalog as catalog_lib, proportional
from flantune.data.input import loading, measure, prompts, tokenize
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import Template

seqio = pytest.importorskip("seqio")

NLI = testing.make_task(
    "r:nli-two",
    {
        "train": [{"premise": f"Fact {row}.", "label": row % 2} for row in range(30)],
        "test": [{"premise": "Test.", "label": 0}],
    },
    templates=[
        Template(inputs="{premise}\nTrue?\n{options}"),
        Template(inputs="Is it so? {premise}"),
        Template(inputs="Held {premise}", held_out=True),
    ],
    answer_choices=("no", "yes"),
)
QA = testing.make_task(
    "r:qa",
    {"train": [{"text": f"Who {row}?", "answer": [f"a{row}", f"b{row}"]} for row in range(90)]},
    templates=[
        Template(inputs="{text}"),
        Template(inputs="Q: {text}", targets="Because. The answer is {answer}."),
    ],
    metrics=(metrics.exact_match, metrics.macro_f1),
)
MIXTURE = Mixture(name="r_all", rates={"r:*": proportional(cap=60)})
FEATURES = {name: seqio.Feature(seqio.ByteVocabulary()) for name in ("inputs", "targets")}
LENGTHS = {"inputs": 100, "targets": 30}
MODULE = "registry_tasks"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("registry")
    return {"data_dir": str(root), "prepared_dir": str(root / "prepared")}


@pytest.fixture(scope="module")
def published(places):
    with testing.task_module(MODULE, [NLI, QA], [MIXTURE]), testing.temporary_registries():
        yield registry.register(
            [MODULE], FEATURES, settings=("no_options", "fixed_options"), seed=3, **places
        )


@pytest.fixture(scope="module")
def bound(places, published):
    root = pathlib.Path(places["prepared_dir"])
    store = testing.prepare([NLI, QA], root)
    catalog = catalog_lib.load([MODULE], store, root)
    return loading.bind_mixture(catalog, store, "r_all", split="train")


def examples(name, **arguments):
    dataset = seqio.get_mixture_or_task(name).get_dataset(
        LENGTHS, "train", shuffle=False, **arguments
    )
    return list(dataset.as_numpy_iterator())


def test_it_publishes_each_task_in_each_setting_and_each_mixture(published):
    settings = ("", "#no_options", "#fixed_options")
    tasks = {task + setting for task in ("r:nli_two", "r:qa") for setting in settings}
    assert set(published) == {"r_all", *tasks}
    assert seqio.get_mixture_or_task("r_all").tasks


@pytest.mark.parametrize("name", ["r:nli-two", "r:qa", "r:nli-two#no_options"])
def test_text_and_ids_equal_those_of_training(bound, name):
    member = testing.make_member(NLI if "nli" in name else QA, name.partition("#")[2])
    found = examples(registry.seqio_name(name))
    assert [int(example["row"]) for example in found] == list(range(len(member.reader)))
    for row, example in enumerate(found):
        (prompt,) = prompts.render([prompts.Request(member, row, 0)], seed=3)
        assert example["inputs_pretokenized"].decode() == prompt.inputs
        assert example["targets_pretokenized"].decode() == prompt.targets
        assert example["inputs"].tolist() == [*(b + 3 for b in prompt.inputs.encode()), 1]
        assert example["template"] == prompt.template


def test_rates_equal_those_of_training(bound):
    mixture = seqio.get_mixture_or_task("r_all")
    ours = {
        registry.seqio_name(member.name): rate
        for member, rate in zip(bound.members, bound.rates, strict=True)
    }
    assert ours == pytest.approx({"r:nli_two": 30 / 90, "r:qa": 60 / 90})
    total = sum(mixture.get_rate(task) for task in mixture.tasks)
    assert {task.name: mixture.get_rate(task) / total for task in mixture.tasks} == pytest.approx(
        ours
    )


def test_proportions_of_drawn_examples_equal_those_of_the_schedule(bound):
    dataset = seqio.get_mixture_or_task("r_all").get_dataset(
        LENGTHS, "train", num_epochs=None, seed=5
    )
    drawn = collections.Counter(
        "Fact" in FEATURES["inputs"].vocabulary.decode(example["inputs"].tolist())
        for example in dataset.take(1200).as_numpy_iterator()
    )
    assert drawn[True] / 1200 == pytest.approx(1 / 3, abs=0.04)
    config = loading.DataConfig(
        mixture="r_all",
        modules=(),
        vocabulary="bytes",
        inputs_length=8,
        targets_length=8,
        batch_size=1,
        block_size=1200,
    )
    tasks = [visit.task for visit in loading.make_schedule(bound, config, 0).block(0)]
    names = [bound.members[task].name for task in tasks]
    assert names.count("r:nli-two") / len(names) == pytest.approx(1 / 3, abs=0.002)


def test_shuffling_takes_each_row_once_in_an_order_of_the_seed(published):
    def rows(seed):
        dataset = seqio.get_mixture_or_task("r:qa").get_dataset(
            LENGTHS, "train", shuffle=True, seed=seed
        )
        return [int(example["row"]) for example in dataset.as_numpy_iterator()]

    assert sorted(rows(1)) == list(range(90))
    assert rows(1) == rows(1) != rows(2)


def test_seqio_s_postprocessor_and_metrics_score_an_extracted_answer(published):
    task = seqio.get_mixture_or_task("r:qa")
    example = next(e for e in examples("r:qa") if e["template"] == 1)
    target = task.postprocess_fn("", is_target=True, example=example)
    row = int(example["row"])
    assert target == [f"a{row}", f"b{row}"]
    answer = task.postprocess_fn(
        f"Because. The answer is b{row}.", is_target=False, example=example
    )
    one_by_one, together = task.predict_metric_fns
    assert one_by_one([target], [answer]) == {"exact_match": 1.0}
    assert together([target], [answer]) == {"macro_f1": 1.0}
    silent = task.postprocess_fn(f"b{row}", is_target=False, example=example)
    assert one_by_one([target], [silent]) == {"exact_match": 0.0}


def test_registering_again_changes_nothing(published, places):
    assert set(
        registry.register(
            [MODULE], FEATURES, settings=("no_options", "fixed_options"), seed=3, **places
        )
    ) == set(published)


def test_a_mixture_of_unknown_tasks_is_left_out(places):
    other = Mixture(name="r_other", rates={"elsewhere:*": 1.0})
    with testing.task_module("partial", [QA], [other]), testing.temporary_registries():
        assert "r_other" not in registry.register(["partial"], FEATURES, **places)


def test_loss_weights_are_refused_unless_they_are_to_be_ignored(places):
    weighted = dataclasses.replace(QA, name="r:weighted", loss_weight=2)
    with testing.task_module("weighted", [weighted]), testing.temporary_registries():
        with pytest.raises(ValueError, match="SeqIO cannot carry the loss weight of 'r:weighted'"):
            registry.register(["weighted"], FEATURES, **places)
        assert "r:weighted" not in seqio.TaskRegistry.names()
        names = registry.register(["weighted"], FEATURES, ignore_loss_weights=True, **places)
        assert names == ("r:weighted",)


# ---- every setting, the same on both paths

GRADES = testing.make_task(
    "v:grades",
    {
        "train": [
            {"premise": f"Fact {row}" + " and more" * (row % 4), "label": row % 2, "why": f"w{row}"}
            for row in range(25)
        ],
        "test": [{"premise": f"Test {row}", "label": row % 2, "why": "t"} for row in range(5)],
    },
    templates=[
        Template(inputs="{premise}\nTrue?\n{options}"),
        Template(inputs="{premise} Reason:", targets="{why} So: {answer}", kind="cot"),
        Template(inputs="Write a fact that is {answer}.", targets="{premise}", kind="inversion"),
    ],
    answer_choices=("no", "yes"),
    may_cut=("premise",),
)
SETTINGS = ("", "few_shot", "2_shot.label_balanced", "chain_of_thought", "2_shot.chain_of_thought")
ALL_SETTINGS = (*SETTINGS, "inversion", "2_shot.inversion", "3_shot.no_options", "fixed_options")
VARIED = [f"v:grades#{setting}" if setting else "v:grades" for setting in ALL_SETTINGS]
VARIED_MIXTURES = [
    Mixture(name="v_examples", rates=dict(zip(VARIED, range(1, 10), strict=True))),
    Mixture(name="v_tokens", rates=dict.fromkeys(VARIED, 1), unit="tokens"),
    Mixture(name="v_nested", rates={"v_examples": 1, "v_tokens": 2, "v:grades": proportional()}),
]
FIT = {"inputs": 90, "targets": 14}


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """The catalog and store of a task in many settings, published for SeqIO with the run's lengths."""
    root = tmp_path_factory.mktemp("varied")
    places = {"data_dir": str(root), "prepared_dir": str(root / "prepared")}
    store = testing.prepare([GRADES], root / "prepared")
    with (
        testing.task_module("varied_tasks", [GRADES], VARIED_MIXTURES),
        testing.temporary_registries(),
    ):
        registry.register(["varied_tasks"], FEATURES, seed=5, lengths=FIT, **places)
        yield catalog_lib.load(["varied_tasks"], store, root), store


def bind(varied, name, split="train"):
    catalog, store = varied
    vocabulary = vocabulary_lib.load("bytes")
    lengths = {"inputs_length": FIT["inputs"], "targets_length": FIT["targets"]}
    measurer = measure.Measurer(vocabulary, seed=5, store=store, **lengths)
    bound = loading.bind_mixture(
        catalog, store, name, split=split, mean_length=measurer.mean_tokens
    )
    return bound, tokenize.Tokenizer(vocabulary, seed=5, **lengths)


@pytest.mark.parametrize(
    ("name", "split"),
    [*((name, "train") for name in VARIED), ("v:grades#few_shot", "test")],
)
def test_every_setting_gives_the_same_ids(varied, name, split):
    bound, tokenizer = bind(varied, name, split)
    (member,) = bound.members
    requests = [prompts.Request(member, row, 0) for row in range(len(member.reader))]
    ours = [result for result in tokenizer.tokenize(requests) if result is not None]
    dataset = seqio.get_mixture_or_task(name).get_dataset(FIT, split, shuffle=False)
    theirs = list(dataset.as_numpy_iterator())
    assert len(theirs) == len(ours) > 0
    for example, result in zip(theirs, ours, strict=True):
        assert example["inputs_pretokenized"].decode() == result.prompt.inputs
        assert example["targets_pretokenized"].decode() == result.prompt.targets
        assert example["inputs"].tolist() == result.inputs
        assert example["targets"].tolist() == result.targets
        assert example["template"] == result.prompt.template


def test_some_of_those_prompts_were_shortened(varied):
    """Else the test above would not see whether both paths shorten alike."""
    bound, tokenizer = bind(varied, "v:grades#2_shot.label_balanced")
    requests = [prompts.Request(bound.members[0], row, 0) for row in range(25)]
    assert any(result is not None and result.cut for result in tokenizer.tokenize(requests))
    bound, tokenizer = bind(varied, "v:grades#inversion")
    requests = [prompts.Request(bound.members[0], row, 0) for row in range(25)]
    assert any(len(result.targets) == FIT["targets"] for result in tokenizer.tokenize(requests))


@pytest.mark.parametrize("name", ["v_examples", "v_tokens", "v_nested"])
def test_shares_of_every_setting_equal_those_of_training(varied, name):
    bound, _ = bind(varied, name)
    mixture = seqio.get_mixture_or_task(name)
    total = sum(mixture.get_rate(task) for task in mixture.tasks)
    theirs = {task.name: mixture.get_rate(task) / total for task in mixture.tasks}
    ours = dict(zip([member.name for member in bound.members], bound.rates, strict=True))
    assert theirs == pytest.approx(ours)
    assert len(set(ours.values())) > 3


def test_every_setting_packs_in_seqio(varied):
    dataset = seqio.get_dataset(
        mixture_or_task_name="v_nested",
        task_feature_lengths=FIT,
        dataset_split="train",
        shuffle=True,
        seed=1,
        feature_converter=seqio.EncDecFeatureConverter(pack=True),
    )
    batch = next(dataset.as_numpy_iterator())
    assert batch["encoder_input_tokens"].shape == (FIT["inputs"],)
    assert batch["decoder_segment_ids"].max() >= 1


def test_without_lengths_seqio_gets_whole_prompts(tmp_path):
    places = {"data_dir": str(tmp_path), "prepared_dir": str(tmp_path / "prepared")}
    task = dataclasses.replace(GRADES, name="v:whole")
    with testing.task_module("whole_tasks", [task]), testing.temporary_registries():
        registry.register(["whole_tasks"], FEATURES, settings=("2_shot",), seed=5, **places)
        dataset = seqio.get_mixture_or_task("v:whole#2_shot").get_dataset(
            FIT, "train", shuffle=False
        )
        found = list(dataset.as_numpy_iterator())
    assert len(found) == 25
    assert max(len(example["inputs_pretokenized"]) for example in found) > FIT["inputs"]


def test_names_that_fall_together_are_refused(places):
    twin = testing.make_task("r:nli_two", {"train": [{"text": "a", "answer": "b"}]})
    with (
        testing.task_module("twins", [NLI, twin]),
        pytest.raises(ValueError, match="both 'r:nli_two'"),
    ):
        registry.register(["twins"], FEATURES, **places)


def test_arrays_are_as_seqio_s_feature_converter_wants_them(published):
    dataset = seqio.get_dataset(
        mixture_or_task_name="r_all",
        task_feature_lengths=LENGTHS,
        dataset_split="train",
        shuffle=False,
        feature_converter=seqio.EncDecFeatureConverter(pack=True),
    )
    batch = next(dataset.as_numpy_iterator())
    assert batch["encoder_input_tokens"].shape == (100,)
    assert np.max(batch["encoder_segment_ids"]) > 1
