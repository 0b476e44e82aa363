"""What `python -m t5x.train`, `eval` and `infer` get of flantune: gin files that parse, mixtures, batches. Without t5x."""

import importlib
import pathlib
import sys

import gin
from gin import config as gin_config
import numpy as np
import pytest

from flantune import testing
from flantune.data import Mixture, equal
from flantune.interop import t5x as flantune_t5x
from flantune.prompting import Template

seqio = pytest.importorskip("seqio")

ROOT = pathlib.Path(__file__).parents[2]
STAND_IN = pathlib.Path(__file__).parent / "stand_in"
MODULE = "t5x_test_tasks"
SPLITS = ("train", "validation", "test")
ADD = testing.make_task(
    "t5x-test:add",
    {
        split: [{"text": f"{split} {row} and 1", "answer": [str(row + 1)]} for row in range(40)]
        for split in SPLITS
    },
    templates=[Template(inputs="Add: {text}")],
)
COPY = testing.make_task(
    "t5x-test:copy",
    {
        split: [{"text": f"{split} {row}", "answer": [f"{split} {row}"]} for row in range(40)]
        for split in SPLITS
    },
    templates=[Template(inputs="Copy: {text}")],
)
MIXTURE = Mixture(name="t5x-mixture", rates={"t5x-test:*": equal()})


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("t5x")
    with (
        testing.task_module(MODULE, [ADD, COPY], [MIXTURE]),
        testing.temporary_registries(),
    ):
        yield {"data_dir": str(root), "prepared_dir": str(root / "prepared")}


def test_mixtures_and_tasks_are_published_by_the_names_that_seqio_has(places):
    arguments = {"modules": [MODULE], "vocabulary": "bytes", **places}
    names = flantune_t5x.register(**arguments)
    assert set(names) == {"t5x_mixture", "t5x_test:add", "t5x_test:copy"}
    assert flantune_t5x.mixture("t5x-mixture", **arguments) == "t5x_mixture"
    assert flantune_t5x.mixture("t5x-test:add", **arguments) == "t5x_test:add"
    assert len(seqio.get_mixture_or_task("t5x_mixture").tasks) == 2
    with pytest.raises(ValueError, match=r"'t5x-mixtur'.*Did you mean 't5x_mixture'"):
        flantune_t5x.mixture("t5x-mixtur", **arguments)


def test_the_vocabulary_of_the_model_is_that_of_the_tasks(places):
    flantune_t5x.register(modules=[MODULE], vocabulary="bytes", **places)
    task = seqio.get_mixture_or_task("t5x_test:add")
    assert flantune_t5x.vocabulary("bytes") == task.output_features["inputs"].vocabulary
    assert flantune_t5x.vocabulary("bytes+100") != task.output_features["inputs"].vocabulary


@pytest.fixture
def run(monkeypatch, places):
    """Parses gin files as t5x does and calls the program; returns what it was called with."""
    if importlib.util.find_spec("t5x") is None:
        monkeypatch.syspath_prepend(STAND_IN)
        importlib.invalidate_caches()
    gin.clear_config()  # a test before may have locked its own
    root = pathlib.Path(importlib.util.find_spec("t5x").origin).parents[1]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(gin_config, "_LOCATION_PREFIXES", ["", ".", str(root)])
    programs = importlib.import_module("t5x.programs")
    main = sys.modules["__main__"]

    def call(program, files, **macros):
        monkeypatch.setattr(main, program, getattr(programs, program), raising=False)
        macros = {"MODULES": (MODULE,), "MIXTURE": "t5x-mixture"} | macros
        macros |= {"DATA_DIR": places["data_dir"], "PREPARED_DIR": places["prepared_dir"]}
        bindings = [f"{name} = {value!r}" for name, value in macros.items()]
        gin.parse_config_files_and_bindings(files, bindings)
        return gin.get_configurable(getattr(main, program))()

    yield call
    gin.clear_config()
    for name in [name for name in sys.modules if name == "t5x" or name.startswith("t5x.")]:
        monkeypatch.delitem(sys.modules, name)


TINY = "gin/t5x/train_tiny.gin"
SMALL = "t5x/examples/t5/t5_1_1/small.gin"


def test_the_tiny_run_trains_a_tiny_model_from_scratch(run, tmp_path):
    called = run("train", [TINY], MODEL_DIR=str(tmp_path))
    assert called["model_dir"] == str(tmp_path)
    assert called["total_steps"] == 200
    config = called["model"].module.config
    assert (config.vocab_size, config.emb_dim, config.dtype) == (384, 8, "float32")
    assert called["model"].loss_normalizing_factor == "NUM_REAL_TARGET_TOKENS"
    restore = called["checkpoint_cfg"].restore
    assert (restore.path, restore.mode) == ([], "latest")
    configs = [called[f"{name}_dataset_cfg"] for name in ("train", "train_eval", "infer_eval")]
    assert [config.mixture_or_task_name for config in configs] == ["t5x_mixture"] * 3
    assert [config.split for config in configs] == ["train", "validation", "validation"]
    assert [config.pack for config in configs] == [True, True, False]
    assert not any(config.use_cached for config in configs)
    assert called["model"].input_vocabulary == seqio.ByteVocabulary()


def test_batches_for_t5x_are_packed_rows_of_the_mixture(run, tmp_path):
    macros = {"BATCH_SIZE": 2, "TASK_FEATURE_LENGTHS": {"inputs": 64, "targets": 32}}
    config = run("train", [TINY], MODEL_DIR=str(tmp_path), **macros)["train_dataset_cfg"]
    # As t5x's utils.get_dataset makes them.
    dataset = seqio.get_dataset(
        config.mixture_or_task_name,
        config.task_feature_lengths,
        feature_converter=seqio.EncDecFeatureConverter(pack=config.pack),
        dataset_split=config.split,
        use_cached=config.use_cached,
        shuffle=config.shuffle,
        num_epochs=None,
        seed=0,
    )
    batch = next(iter(dataset.batch(config.batch_size).as_numpy_iterator()))
    shapes = {name: array.shape for name, array in batch.items()}
    encoder = ("encoder_input_tokens", "encoder_segment_ids", "encoder_positions")
    decoder = (
        *("decoder_input_tokens", "decoder_target_tokens", "decoder_loss_weights"),
        *("decoder_segment_ids", "decoder_positions"),
    )
    assert shapes == dict.fromkeys(encoder, (2, 64)) | dict.fromkeys(decoder, (2, 32))
    vocabulary = seqio.ByteVocabulary()
    packed = np.asarray(batch["encoder_segment_ids"][0])
    assert packed.max() > 1
    first = batch["encoder_input_tokens"][0][packed == 1]
    assert vocabulary.decode(first.tolist()).startswith(("Add: train ", "Copy: train "))


def test_the_finetuning_run_starts_from_a_checkpoint(run, tmp_path):
    called = run(
        "train",
        ["gin/t5x/finetune_super_ni_small.gin"],
        MODEL_DIR=str(tmp_path),
        INITIAL_CHECKPOINT_PATH="there/checkpoint_1100000",
        VOCABULARY_NAME="bytes",
    )
    restore = called["checkpoint_cfg"].restore
    assert (restore.path, restore.mode) == ("there/checkpoint_1100000", "specific")
    assert called["total_steps"] == 1_110_000
    rate = called["trainer_cls"]().learning_rate_fn
    assert (rate.factors, rate.base_learning_rate) == ("constant", 5e-4)
    assert called["model"].module.config.emb_dim == 512
    assert called["model"].module.config.dropout_rate == 0.05
    assert called["infer_eval_dataset_cfg"].split == "test"
    assert called["infer_eval_dataset_cfg"].task_feature_lengths == {"inputs": 1024, "targets": 256}


@pytest.mark.parametrize(
    ("program", "file", "output"),
    [("evaluate", "eval", "EVAL_OUTPUT_DIR"), ("infer", "infer", "INFER_OUTPUT_DIR")],
)
def test_evaluation_and_inference_read_the_test_split(program, file, output, run, tmp_path):
    macros = {output: str(tmp_path), "CHECKPOINT_PATH": "there", "VOCABULARY_NAME": "bytes"}
    called = run(program, [SMALL, f"gin/t5x/{file}.gin"], **macros)
    config = called["dataset_cfg"]
    assert (config.mixture_or_task_name, config.split) == ("t5x_mixture", "test")
    assert config.task_feature_lengths == {"inputs": 1024, "targets": 256}
    assert called["output_dir"] == str(tmp_path)
    assert called["restore_checkpoint_cfg"].path == "there"
    assert called["model"].module.config.dropout_rate == 0.0
    assert called["model"].output_vocabulary == seqio.ByteVocabulary()
    if program == "infer":
        assert called["checkpoint_ds_iter"] is False


def test_a_name_that_t5x_lacks_is_refused(run, tmp_path):
    file = tmp_path / "wrong.gin"
    file.write_text((ROOT / TINY).read_text() + "\nutils.SaveCheckpointConfig.perod = 3\n")
    with pytest.raises(ValueError, match="perod"):
        run("train", [str(file)], MODEL_DIR=str(tmp_path))


def test_t5x_evaluates_the_tasks_with_their_own_metrics(run, tmp_path):
    macros = {"EVAL_OUTPUT_DIR": str(tmp_path), "CHECKPOINT_PATH": "there"}
    config = run("evaluate", [SMALL, "gin/t5x/eval.gin"], VOCABULARY_NAME="bytes", **macros)[
        "dataset_cfg"
    ]
    evaluator = seqio.Evaluator(
        config.mixture_or_task_name,
        feature_converter=seqio.EncDecFeatureConverter(pack=False),
        eval_split=config.split,
        use_cached=config.use_cached,
        sequence_length=config.task_feature_lengths,
        num_examples=3,
    )
    vocabulary = seqio.ByteVocabulary()

    def answers(dataset):
        return [
            (int(index), [*vocabulary.encode("2"), 1]) for index, _ in dataset.as_numpy_iterator()
        ]

    metrics, _ = evaluator.evaluate(compute_metrics=True, step=0, predict_fn=answers)
    found = {task: {k: float(v) for k, v in m.items()} for task, m in metrics.result().items()}
    assert found["t5x_test:add"]["exact_match"] == pytest.approx(1 / 3)
    assert found["t5x_test:copy"]["exact_match"] == 0
