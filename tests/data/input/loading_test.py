"""Mixtures whose rates count tokens, bound to a store and a vocabulary."""

import numpy as np
import pytest

from flantune import testing
from flantune.configs import DataConfig
from flantune.data import Mixture, catalog as catalog_lib
from flantune.data.input import loading
from flantune.data.vocabularies import vocabulary

TASKS = [
    testing.make_task(
        f"len:{name}",
        {"train": [{"text": "x" * length, "answer": "y"} for _ in range(20)]},
    )
    for name, length in (("short", 5), ("long", 200))
]
MIXTURE = Mixture(name="half", rates={"len:short": 1, "len:long": 1}, unit="tokens")
CONFIG = DataConfig(
    mixture="half",
    modules=("loading_tasks",),
    vocabulary="bytes",
    inputs_length=256,
    targets_length=16,
    batch_size=4,
    lanes=2,
    block_size=64,
)


def test_rates_in_tokens_give_tasks_equal_tokens_in_training(tmp_path):
    store = testing.prepare(TASKS, tmp_path)
    with testing.task_module("loading_tasks", TASKS, [MIXTURE]):
        catalog = catalog_lib.load(["loading_tasks"], store, tmp_path)
    words = vocabulary.ByteVocabulary()
    bound = loading.bind_mixture(catalog, store, "half", split="train")
    bound = loading.in_tokens(catalog, store, bound, CONFIG, words, seed=0)
    rates = {member.name: rate for member, rate in zip(bound.members, bound.rates, strict=True)}
    # "Echo: " and the end of sequence make 7 more, the target and its end 2.
    assert rates["len:short"] / rates["len:long"] == pytest.approx(209 / 14)
    dataset = loading.train_dataset(bound, CONFIG, words, seed=0)
    batches = iter(dataset)
    for _ in range(100):
        next(batches)
    counts = dataset.packer.counts
    tokens = counts.input_tokens + counts.target_tokens
    assert tokens / tokens.sum() == pytest.approx(np.array([0.5, 0.5]), abs=0.02)


def test_rates_in_examples_need_no_vocabulary(tmp_path):
    store = testing.prepare(TASKS, tmp_path)
    with testing.task_module("loading_tasks", TASKS, [MIXTURE]):
        catalog = catalog_lib.load(["loading_tasks"], store, tmp_path)
    bound = loading.bind_mixture(catalog, store, "len:*", split="train")
    again = loading.in_tokens(catalog, store, bound, CONFIG, vocabulary.ByteVocabulary(), seed=0)
    assert again is bound
    assert bound.rates == (0.5, 0.5)
