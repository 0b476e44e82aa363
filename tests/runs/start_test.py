"""Runs that start from others: what they take, what they refuse, what they say; adapters from training to export."""

import json
import pathlib

from absl import logging
import jax
import numpy as np
from orbax.checkpoint import v1 as ocp
import pytest

from flantune import cli
from flantune.interop import run_checkpoint, safetensors_file, sources
from flantune.params import trees as param_trees
from flantune.run_folder import start_record

from . import small
from .small import (
    FROM_BASE,
    LORA,
    STANDING_STILL,
    answers,
    assert_same,
    error_of,
    params_of,
    read_lines,
    train,
)


@pytest.fixture(scope="module")
def adapted(workplace):
    """A run that trained adapters of `runs/base` in five steps of AdamW."""
    with pytest.MonkeyPatch.context() as patch:
        small.enter(workplace, patch)
        optimizer = ("--gin.OptimizerConfig.name=adamw", "--gin.OptimizerConfig.learning_rate=0.05")
        assert train("adapted", FROM_BASE, *LORA, *optimizer, file="with_suite.gin") == 0
    return workplace / "runs" / "adapted"


@pytest.mark.parametrize(
    "source", ["runs/base", "runs/base/checkpoints/checkpoint_5", "as_t5x", "as_hf"]
)
def test_a_run_starts_from_the_parameters_of_any_source(source):
    name = source.replace("/", "_")
    assert train(name, f"--gin.InitConfig.path={source}", STANDING_STILL) == 0
    assert_same(params_of(f"runs/{name}"), params_of("runs/base"))
    record = start_record.read(f"runs/{name}")
    kind = source.removeprefix("as_") if source.startswith("as_") else "flantune"
    assert (record.path, record.kind, record.what) == (source, kind, "params")
    assert record.step == (None if kind == "hf" else 5)
    assert not record.is_partial
    # The fingerprint is of what was read, whatever read it.
    assert record.fingerprint == start_record.read("runs/runs_base").fingerprint


@pytest.mark.slow
def test_layers_may_be_stacked_here_and_separate_there():
    flags = ("--gin.ModelConfig.scan_layers=True", STANDING_STILL)
    assert train("stacked", FROM_BASE, *flags) == 0
    saved = ocp.metadata(
        pathlib.Path("runs/stacked/checkpoints/checkpoint_5").absolute(),
        checkpointable_name="state",
    )
    assert "layers" in saved.metadata["params"]["encoder"]
    assert_same(params_of("runs/stacked"), params_of("runs/base"))


def test_everything_goes_on_with_step_and_optimizer_but_not_with_batches(capsys):
    whole = "--gin.InitConfig.what=everything"
    more = "--gin.experiments.train.num_steps=7"
    assert train("continued", FROM_BASE, whole, more) == 0
    lines = read_lines("runs/continued/metrics.jsonl")
    assert [line["step"] for line in lines] == [6, 7]
    first = read_lines("runs/base/metrics.jsonl")[0]
    assert lines[0]["train/num_input_tokens"] == first["train/num_input_tokens"]
    text = error_of(capsys, "train", "run.gin", "--run_dir", "runs/late", FROM_BASE, whole)
    assert "is at step 5" in text
    assert "num_steps (5) must be more" in text
    hf = error_of(
        capsys, "train", "run.gin", "--run_dir", "runs/late", "--gin.InitConfig.path=as_hf", whole
    )
    assert "has no optimizer state: InitConfig.what must be 'params'" in hf


def test_a_checkpoint_of_the_run_itself_wins(caplog):
    logging.set_verbosity(logging.INFO)
    assert train("own", STANDING_STILL) == 0
    before = params_of("runs/own")
    more = "--gin.experiments.train.num_steps=6"
    assert train("own", FROM_BASE, STANDING_STILL, more) == 0
    assert "runs/own has a checkpoint, which counts instead of InitConfig" in caplog.text
    assert_same(params_of("runs/own"), before)


def test_a_source_that_does_not_fit_is_told_whole_before_anything_is_written(capsys, workplace):
    sizes = ("--gin.ModelConfig.mlp_dim=48", "--gin.ModelConfig.num_encoder_layers=2")
    text = error_of(capsys, "train", "run.gin", "--run_dir", "runs/misfit", FROM_BASE, *sizes)
    (first, header, *rows) = text.strip().split("\n")
    assert first.startswith("The checkpoint ")
    assert first.endswith("runs/base/checkpoints/checkpoint_5 does not fit the model.")
    assert header.split() == ["parameter", "there", "model"]
    assert [" ".join(row.split()) for row in rows] == [
        "missing encoder/layers_1/attention/key/kernel - 16 x 16",
        "missing encoder/layers_1/attention/out/kernel - 16 x 16",
        "missing encoder/layers_1/attention/query/kernel - 16 x 16",
        "missing encoder/layers_1/attention/value/kernel - 16 x 16",
        "missing encoder/layers_1/mlp/wi_0/kernel - 16 x 48",
        "missing encoder/layers_1/mlp/wi_1/kernel - 16 x 48",
        "missing encoder/layers_1/mlp/wo/kernel - 48 x 16",
        "missing encoder/layers_1/pre_attention_layer_norm/scale - 16",
        "missing encoder/layers_1/pre_mlp_layer_norm/scale - 16",
        "other shape decoder/layers_0/mlp/wi_0/kernel 16 x 32 16 x 48",
        "other shape decoder/layers_0/mlp/wi_1/kernel 16 x 32 16 x 48",
        "other shape decoder/layers_0/mlp/wo/kernel 32 x 16 48 x 16",
        "other shape encoder/layers_0/mlp/wi_0/kernel 16 x 32 16 x 48",
        "other shape encoder/layers_0/mlp/wi_1/kernel 16 x 32 16 x 48",
        "other shape encoder/layers_0/mlp/wo/kernel 32 x 16 48 x 16",
    ]
    assert not (workplace / "runs" / "misfit").exists()


def test_a_source_that_is_none_is_refused(capsys, workplace):
    (workplace / "nothing").mkdir(exist_ok=True)
    for path, message in (
        ("nowhere", "There is no folder nowhere"),
        ("nothing", "neither a Hugging Face folder (config.json) nor a flantune run"),
    ):
        text = error_of(
            capsys, "train", "run.gin", "--run_dir", "runs/x", f"--gin.InitConfig.path={path}"
        )
        assert message in text


def test_adapters_alone_are_saved(adapted):
    saved = ocp.metadata(adapted / "checkpoints" / "checkpoint_5", checkpointable_name="state")
    names = [name for name, _ in param_trees.leaves(saved.metadata["params"])]
    assert len(names) == 2 * 2 * 3
    assert {name.split("/")[-1] for name in names} == {"lora_a", "lora_b"}
    moments = saved.metadata["opt_state"]
    shapes = {tuple(leaf.shape) for leaf in jax.tree.leaves(moments)}
    assert shapes == {(), (16, 2), (2, 16)}
    record = start_record.read(adapted)
    assert record.is_partial
    assert record.trained_parameters == 6 * (16 * 2 + 2 * 16)
    table = (adapted / "parameters.txt").read_text()
    assert f"{record.trained_parameters:,} of {record.parameters:,} parameters" in table
    report = json.loads((adapted / "report.json").read_text())
    assert "params of runs/base (flantune, step 5)" in report["run"]["started_from"]


def test_adapters_evaluate_infer_and_merge_to_the_same_model(adapted, capsys):
    assert cli.main(["eval", "--checkpoint", "runs/adapted"]) == 0
    assert cli.main(["convert", "runs/adapted", "merged", "--to", "flantune"]) == 0
    assert answers("merged") == answers("runs/adapted")
    plain, base = params_of("merged"), params_of("runs/base")
    changed = {name for name in base if not np.array_equal(plain[name], base[name])}
    assert plain.keys() == base.keys()
    assert {name.split("/")[-2] for name in changed} == {"query", "value"}
    assert len(changed) == 6
    run = run_checkpoint.open_run("runs/adapted")
    query = "decoder/layers_0/self_attention/query"
    product = run.read(f"{query}/lora_a") @ run.read(f"{query}/lora_b") * (4.0 / 2)
    np.testing.assert_allclose(
        plain[f"{query}/kernel"], base[f"{query}/kernel"] + product, rtol=1e-6, atol=1e-7
    )


def test_adapters_are_written_as_peft_has_them(adapted, capsys):
    assert cli.main(["convert", "runs/adapted", "as_peft", "--to", "peft"]) == 0
    stored = safetensors_file.open_file("as_peft/adapter_model.safetensors")
    assert len(stored.arrays) == 12
    name = "base_model.model.decoder.block.0.layer.1.EncDecAttention.v.lora_B.weight"
    ours = run_checkpoint.open_run("runs/adapted").read(
        "decoder/layers_0/encoder_decoder_attention/value/lora_b"
    )
    np.testing.assert_array_equal(stored.read(name), ours.T)
    text = error_of(capsys, "convert", "runs/base", "no_peft", "--to", "peft")
    assert "has no adapters to write as PEFT's" in text


def test_a_merged_run_reads_parts(adapted):
    source = sources.open_params("runs/adapted").params
    name = "encoder/layers_0/attention/value/kernel"
    part = source.read(name, (slice(3, 9), slice(0, 5)))
    np.testing.assert_allclose(part, source.read(name)[3:9, :5], rtol=1e-6)
    assert source.read(name).dtype == np.float32


def test_a_run_starts_from_the_merged_model_of_another(adapted):
    assert train("grandchild", "--gin.InitConfig.path=runs/adapted", STANDING_STILL) == 0
    source = sources.open_params("runs/adapted").params
    assert_same(params_of("runs/grandchild"), {name: source.read(name) for name in source.arrays})


@pytest.mark.slow
def test_another_base_is_refused(adapted, capsys):
    other = "--gin.InitConfig.path=runs/other"
    assert train("other", "--gin.experiments.train.seed=5") == 0
    text = error_of(capsys, "eval", "--checkpoint", "runs/adapted", other)
    assert "was trained beside frozen parameters with fingerprint" in text
    more = "--gin.experiments.train.num_steps=9"
    optimizer = "--gin.OptimizerConfig.name=adamw"
    text = error_of(
        capsys, "train", "run.gin", "--run_dir", "runs/adapted", other, *LORA, optimizer, more
    )
    assert "was trained beside frozen parameters with fingerprint" in text


@pytest.mark.slow
def test_adapters_of_a_model_from_the_seed_are_exported_too():
    seed = "--gin.experiments.train.seed=3"
    assert train("seeded", seed, *LORA, STANDING_STILL) == 0
    assert train("seeded_base", seed, STANDING_STILL) == 0
    source = sources.open_params("runs/seeded").params
    expected = params_of("runs/seeded_base")
    assert_same({name: source.read(name) for name in source.arrays}, expected)


def test_chosen_parameters_train_and_patterns_are_checked(capsys):
    patterns = "--gin.TrainableConfig.patterns=('decoder/*',)"
    assert train("chosen", FROM_BASE, patterns) == 0
    assert all(name.startswith("decoder/") for name in params_of("runs/chosen"))
    source = sources.open_params("runs/chosen").params
    base = params_of("runs/base")
    same = {name for name in base if np.array_equal(source.read(name), base[name])}
    assert same == {name for name in base if not name.startswith("decoder/")}
    wrong = "--gin.TrainableConfig.patterns=('decodr/*',)"
    text = error_of(capsys, "train", "run.gin", "--run_dir", "runs/wrong", wrong)
    assert "TrainableConfig.patterns holds 'decodr/*', which matches nothing" in text
    assert "The closest name is 'decoder/" in text
    half = "--gin.TrainableConfig.frozen_dtype=bfloat16"
    text = error_of(capsys, "train", "run.gin", "--run_dir", "runs/wrong", half)
    assert "freezes nothing" in text
    text = error_of(
        capsys,
        "train",
        "run.gin",
        "--run_dir",
        "runs/wrong",
        FROM_BASE,
        patterns,
        "--gin.InitConfig.what=everything",
    )
    assert "only some are trained here" in text


@pytest.mark.slow
def test_a_frozen_base_in_bfloat16_trains_and_is_found_again():
    flags = (FROM_BASE, *LORA, "--gin.TrainableConfig.frozen_dtype=bfloat16", STANDING_STILL)
    assert train("half", *flags) == 0
    assert train("half", *flags, "--gin.experiments.train.num_steps=6") == 0
    assert "bfloat16" in (start_record.read("runs/half").trainable.frozen_dtype)
    assert len(answers("runs/half")) == 2


def test_compile_names_a_wrong_target_of_adapters(capsys):
    text = error_of(
        capsys,
        "compile",
        "run.gin",
        "--topology",
        "h100:1",
        *LORA,
        "--gin.LoraConfig.targets=('qery',)",
    )
    assert "LoraConfig.targets holds 'qery'" in text
    assert "'query'" in text


def test_compile_proves_a_step_of_chosen_parameters(capsys):
    assert (
        cli.main(
            [
                "compile",
                "run.gin",
                "--topology",
                "h100:1",
                "--json",
                "--gin.TrainableConfig.patterns=('decoder/*',)",
            ]
        )
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert 0 < found["num_trained"] < found["num_params"]
