"""Objects that several jobs build from their configs: network, evaluator, restored parameters. Used by `experiments.py`."""

import dataclasses

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree

from flantune import run_folder
from flantune.configs import (
    DataConfig,
    DecodingConfig,
    EvalConfig,
    InitConfig,
    MeshConfig,
    ModelConfig,
)
from flantune.data import catalog as catalog_lib
from flantune.data.input import packing, tokenize
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.evaluation import evaluator as evaluator_lib, result_files, suites
from flantune.evaluation.results import EvaluationReport, Results
from flantune.inference import predictor as predictor_lib, scoring
from flantune.inference.loaded_model import LoadedModel
from flantune.interop import load_params
from flantune.interop.param_source import ParamSource
from flantune.models import lora, stacking, t5
from flantune.run_folder import start_record
from flantune.runs import start as start_lib, vocabulary as run_vocabulary
from flantune.training import checkpoints, chips, flops, metrics, partial, sharding, state, trainer
from flantune.views import evaluation_text

_GREEDY = DecodingConfig()


def make_network(model: ModelConfig, vocabulary: vocabulary_lib.Vocabulary) -> t5.EncoderDecoder:
    if model.vocab_size < vocabulary.size:
        raise ValueError(
            f"ModelConfig.vocab_size ({model.vocab_size}) must be at least the vocabulary's size ({vocabulary.size})."
        )
    lora.check_targets(model)
    return t5.EncoderDecoder(model)


def abstract_batch(data: DataConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes of the global batches that a run trains on; it needs neither data nor vocabulary."""
    rows = packing.make_rows(
        [[]], inputs_length=data.inputs_length, targets_length=data.targets_length
    )
    return {
        name: jax.ShapeDtypeStruct((data.batch_size, *array.shape[1:]), array.dtype)
        for name, array in rows.items()
    }


def peak_share(start: start_lib.Start, data: DataConfig) -> float | None:
    """What share of all devices' peak the model FLOPs of a step are, if it takes a second; None, and said of an accelerator, if unknown."""
    kind = start.mesh.devices.flat[0].device_kind
    chip = chips.of_device_kind(kind)
    if chip is None:
        if start.mesh.devices.flat[0].platform == "cpu":  # nobody looks for a CPU's
            return None
        logging.info(
            "Model FLOPs utilisation is left out: the table of chips has no peak speed of %r.", kind
        )
        return None
    step = flops.step_flops(
        start.network.config,
        start.shapes,
        start.trained_names,
        rows=data.batch_size,
        inputs_length=data.inputs_length,
        targets_length=data.targets_length,
    )
    return step.model / (start.mesh.size * chip.peak_flops)


def make_evaluator(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    evaluation: EvalConfig | None,
    network: t5.EncoderDecoder,
    vocabulary: vocabulary_lib.Vocabulary,
    mesh: jax.sharding.Mesh,
    how: DecodingConfig,
) -> evaluator_lib.Evaluator[PyTree] | None:
    """What scores parameters on the suites; None where there are none."""
    if evaluation is None or not evaluation.suites:
        return None
    inputs_length = evaluation.inputs_length or data.inputs_length
    tokenizer = tokenize.Tokenizer(
        vocabulary,
        inputs_length=inputs_length,
        targets_length=data.targets_length,
        seed=evaluation.seed,
    )
    predictor = predictor_lib.Predictor(
        model=network,
        vocabulary=vocabulary,
        batch_size=evaluation.batch_size,
        inputs_length=inputs_length,
        max_decode_length=evaluation.max_decode_length,
        how=how,
        mesh=mesh,
    )
    scorer = scoring.Scorer(
        model=network,
        vocabulary=vocabulary,
        batch_size=evaluation.batch_size,
        inputs_length=inputs_length,
        mesh=mesh,
    )
    builder = suites.Builder(
        tokenizer, vocabulary, {"generation": predictor.predict, "ranking": scorer.score}
    )
    return evaluator_lib.Evaluator(
        suites=builder.build(evaluation, catalog, store, default_mixture=data.mixture),
        seed=evaluation.seed,
    )


def callbacks(
    folder: epath.Path,
    evaluator: evaluator_lib.Evaluator[PyTree] | None,
    evaluation: EvalConfig | None,
    num_steps: int,
    frozen: PyTree,
) -> list[trainer.Callback]:
    if evaluator is None or evaluation is None or not evaluation.every_steps:
        return []

    def on_step(step: int, current: state.TrainState, _: object) -> trainer.Found | None:
        if step == num_steps:
            return None  # evaluated after the loop
        found = evaluator.evaluate(partial.all_params(current.params, frozen), step)
        if jax.process_index() == 0:
            results = Results(tuned=found, baselines=evaluator.baselines())
            result_files.write(folder, results)
        return trainer.Found(values=found.scalars(), text=evaluation_text.line(found))

    return [trainer.Callback(every_steps=evaluation.every_steps, on_step=on_step)]


def with_baselines(
    evaluator: evaluator_lib.Evaluator[PyTree], tuned: EvaluationReport, untuned: PyTree | None
) -> Results:
    baselines = evaluator.baselines()
    if untuned is not None:
        baselines = {"untuned": evaluator.evaluate(untuned, 0), **baselines}
    return Results(tuned=tuned, baselines=baselines)


def restore(
    checkpoint: str,
    model: ModelConfig,
    data: DataConfig,
    mesh: MeshConfig,
    step: int | None = None,
    init: InitConfig | None = None,
    decoding: DecodingConfig = _GREEDY,
) -> LoadedModel:
    """The model that a run had after a step; None: the last. Lengths are those of its data.

    Raises:
        FileNotFoundError: there is no such checkpoint.
    """
    folder = epath.Path(checkpoint)
    run_folder.finish(folder)
    found_step = checkpoints.Checkpoints(folder).latest_step() if step is None else step
    vocabulary = run_vocabulary.of_checkpoint(folder, data)
    network = make_network(model, vocabulary)
    device_mesh = sharding.make_mesh(mesh)
    rules = sharding.axis_rules(mesh)
    start = start_lib.of_checkpoint(network, folder, mesh=device_mesh, rules=rules, init=init)
    params = start_lib.trained_params(start, folder, found_step)
    assert found_step is not None  # trained_params raised otherwise
    return LoadedModel(
        source=checkpoint,
        step=found_step,
        network=network,
        params=params,
        vocabulary=vocabulary,
        mesh=device_mesh,
        inputs_length=data.inputs_length,
        max_decode_length=data.targets_length,
        decoding=decoding,
    )


def read_model(
    params: ParamSource,
    model: ModelConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    mesh: MeshConfig,
    *,
    step: int,
    inputs_length: int,
    max_decode_length: int,
) -> LoadedModel:
    """A model whose parameters anyone wrote, read onto the devices in the form in which it answers fastest."""
    network = make_network(_for_answers(model), vocabulary)
    device_mesh = sharding.make_mesh(mesh)
    abstract = state.abstract_params(network, device_mesh, sharding.axis_rules(mesh))
    return LoadedModel(
        source=params.description,
        step=step,
        network=network,
        params=load_params.load_params(params, abstract),
        vocabulary=vocabulary,
        mesh=device_mesh,
        inputs_length=inputs_length,
        max_decode_length=max_decode_length,
    )


def devices() -> str:
    """Number and kind of all devices."""
    return f"{jax.device_count()} x {jax.devices()[0].device_kind}"


def ready_to_answer(loaded: LoadedModel) -> LoadedModel:
    """The model in the form in which it answers fastest; the answers are the same."""
    config = _for_answers(loaded.network.config)
    if config == loaded.network.config:
        return loaded
    params = jax.jit(stacking.unstack_layers)(loaded.params)
    return dataclasses.replace(loaded, network=t5.EncoderDecoder(config), params=params)


def _for_answers(model: ModelConfig) -> ModelConfig:
    """On a CPU each layer has parameters of its own: those of a stack are copied out of it for every token, half the time."""
    if jax.default_backend() != "cpu":
        return model
    return dataclasses.replace(model, scan_layers=False)


def start_facts(folder: epath.Path) -> dict[str, object]:
    """What a report says of a run's start."""
    record = start_record.read(folder)
    if record is None:
        return {}
    share = f"{record.trained_parameters:,} of {record.parameters:,}"
    return {"started_from": record.describe(), "trained_parameters": share}


def training_seconds(folder: epath.Path) -> float:
    """Time spent in training steps, over all restarts, without compilation and evaluation."""
    total, before = 0.0, 0.0
    for line in metrics.read_metrics(folder):
        step, seconds = line.get("step"), line.get("train/seconds_per_step")
        if step is not None and seconds is not None:
            total += seconds * (step - before)
            before = step
    return total
