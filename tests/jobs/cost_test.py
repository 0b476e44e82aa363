"""What evaluations cost, on a model of ones whose operations can be counted by hand."""

import pytest

from flantune import testing
from flantune.configs import DataConfig, DecodingConfig, EvalConfig, EvalSuite, ModelConfig
from flantune.data import catalog as catalog_lib
from flantune.data.store import reader as store_lib
from flantune.jobs import cost
from flantune.training import ahead_of_time

ONES = ModelConfig(
    vocab_size=1,
    emb_dim=1,
    num_heads=1,
    head_dim=1,
    mlp_dim=1,
    num_encoder_layers=1,
    num_decoder_layers=1,
    mlp_activations=("relu",),
)
DATA = DataConfig(
    mixture="own:a",
    modules=("cost_tasks",),
    vocabulary="bytes",
    inputs_length=2,
    targets_length=3,
    batch_size=1,
)
# training/flops.py with n = 2, m = 3: 24 and 16 of an encoder layer, 8 for what the decoder reads of it;
# 48 and 60 of a decoder layer, 6 for logits.
ENCODER, DECODER = 24 + 16 + 8, 48 + 60 + 6


def of(tmp_path, *suites, beams=1, topology=None, every_steps=0, untuned=False):
    tasks = [
        testing.make_task("own:a", {"test": []}, published_rows={"test": 7}),
        testing.make_task("own:b", {"test": []}),
    ]
    store = store_lib.Store(tmp_path)
    with testing.task_module("cost_tasks", tasks):
        catalog = catalog_lib.load(["cost_tasks"], store, tmp_path)
    evaluation = EvalConfig(
        suites=suites,
        metric="exact_match",
        batch_size=4,
        max_decode_length=3,
        every_steps=every_steps,
        untuned_baseline=untuned,
    )
    return cost.of_evaluation(
        ONES,
        DATA,
        evaluation,
        DecodingConfig(num_beams=beams),
        num_steps=10,
        catalog=catalog,
        store=store,
        place=None if topology is None else ahead_of_time.topology(topology),
    )


@pytest.mark.parametrize("beams", [1, 2])
def test_each_question_takes_the_encoder_once_and_the_decoder_for_each_beam(tmp_path, beams):
    found = of(tmp_path, EvalSuite(name="all"), beams=beams)
    assert (found.generated, found.tokens) == (7, 21)
    assert found.flops == 7 * (ENCODER + beams * DECODER)


def test_ranked_questions_take_the_encoder_with_and_without_their_fields(tmp_path):
    found = of(tmp_path, EvalSuite(name="ranked", answer_by="ranking", examples_per_task=5))
    assert (found.generated, found.ranked, found.flops) == (0, 5, 5 * 2 * ENCODER)


def test_a_task_of_unknown_rows_counts_only_where_the_suite_says_how_many(tmp_path):
    found = of(tmp_path, EvalSuite(name="b", mixture="own:b"))
    assert (found.generated, found.unknown) == (0, ("own:b",))
    assert "nobody knows their rows yet: 'own:b'" in found.sentence()
    assert of(tmp_path, EvalSuite(name="b", mixture="own:b", examples_per_task=3)).generated == 3


@pytest.mark.parametrize(
    ("every_steps", "untuned", "times"), [(0, False, 1), (0, True, 2), (5, True, 3), (3, False, 4)]
)
def test_the_last_step_is_evaluated_once(tmp_path, every_steps, untuned, times):
    found = of(tmp_path, EvalSuite(name="all"), every_steps=every_steps, untuned=untuned)
    assert found.times == times


def test_the_least_time_is_that_of_reading_the_decoder_for_each_token_of_a_batch(tmp_path):
    found = of(tmp_path, EvalSuite(name="all"), topology="h100:2")
    chip = ahead_of_time.topology("h100:2").chip
    # A token passes (48 + 6) / 3 operations of the decoder's kernels, two for each of 9 numbers of four bytes.
    reading = 2 * 3 * 9 * 4 / (2 * chip.hbm_bytes_per_s)  # two batches of three tokens
    assert found.seconds == pytest.approx(reading, rel=1e-12)
    assert "at best on h100:2" in found.sentence()


def test_durations_have_the_unit_that_a_person_would_take():
    assert [cost.duration(s) for s in (0.5, 90.0, 5400.0)] == ["0.5 s", "1.5 minutes", "1.5 hours"]
