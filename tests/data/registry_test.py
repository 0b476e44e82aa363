"""The same tasks in SeqIO: the same text, ids and shares as the Grain pipeline."""

import collections
import pathlib

import numpy as np
import pytest

from flantune import testing
from flantune.data import Mixture, catalog as catalog_lib, loading, proportional, registry, tokenize
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
        yield registry.register([MODULE], FEATURES, seed=3, **places)


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
    member = tokenize.make_member(name, NLI if "nli" in name else QA, "train", "training")
    reader = next(
        reader
        for other, reader in zip(bound.members, bound.readers, strict=True)
        if other.task is member.task or other.task.name == member.task.name
    )
    found = examples(registry.seqio_name(name))
    assert [int(example["row"]) for example in found] == list(range(len(reader)))
    for row, example in enumerate(found):
        prompt = tokenize.render(member, reader[row], row, epoch=0, seed=3)
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
    (metric,) = task.predict_metric_fns
    assert metric([target], [answer]) == {"exact_match": 1.0}
    silent = task.postprocess_fn(f"b{row}", is_target=False, example=example)
    assert metric([target], [silent]) == {"exact_match": 0.0}


def test_registering_again_changes_nothing(published, places):
    assert set(registry.register([MODULE], FEATURES, seed=3, **places)) == set(published)


def test_a_mixture_of_unknown_tasks_is_left_out(places):
    other = Mixture(name="r_other", rates={"elsewhere:*": 1.0})
    with testing.task_module("partial", [QA], [other]), testing.temporary_registries():
        assert "r_other" not in registry.register(["partial"], FEATURES, **places)


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
