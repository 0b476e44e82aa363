"""The jobs: `prepare`, `train`, `evaluate`, `infer`. Each turns configs into objects and calls them.

Gin binds these functions and `configs.py`; `cli.py` calls them. To see how a job works, follow its calls: data is in
`data/loading.py`, the loop in `training/trainer.py`, scoring in `evaluation/evaluator.py`.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import time

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree

from flantune import run_folder
from flantune.configs import (
    CheckpointConfig,
    DataConfig,
    EvalConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
)
from flantune.data import catalog as catalog_lib
from flantune.data import loading, prepare as prepare_lib, store as store_lib, tokenize
from flantune.data import vocabulary as vocabulary_lib
from flantune.evaluation import evaluator as evaluator_lib, report, suites
from flantune.evaluation.results import EvaluationReport
from flantune.inference import predictor as predictor_lib
from flantune.models import t5
from flantune.training import checkpoints, metrics, optimizers, sharding, state, trainer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """An evaluation and what to compare it with, by baseline name."""

    tuned: EvaluationReport
    baselines: Mapping[str, EvaluationReport]


def prepare(
    *, data: DataConfig, evaluation: EvalConfig | None = None, num_processes: int | None = None
) -> prepare_lib.PrepareReport:
    """Fills the prepared store with all that a run reads; what is there and unchanged is left alone."""
    store = loading.open_store(data)
    catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
    return _prepare(catalog, store, data, evaluation, num_processes)


def train(
    *,
    run_dir: str,
    num_steps: int,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    checkpoint: CheckpointConfig,
    evaluation: EvalConfig | None = None,
    seed: int = 0,
    log_every_steps: int = 20,
    config_text: str = "",
) -> Results | None:
    """Trains to step `num_steps`, evaluates and reports; continues where the run folder left off.

    Returns None without an `EvalConfig`.
    """
    start_s = time.monotonic()
    folder = epath.Path(run_dir)
    store = loading.open_store(data)
    catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
    _prepare(catalog, store, data, evaluation, None).raise_if_failed()
    bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
    _log_mixture(bound)
    if jax.process_index() == 0:
        run_folder.write_start(
            folder,
            config_text=config_text,
            devices=[str(device) for device in jax.devices()],
            mixture=bound.table(),
        )
    vocabulary = loading.load_vocabulary(
        data, bound, path=folder / run_folder.VOCABULARY, seed=seed
    )
    network = _network(model, vocabulary)
    device_mesh = sharding.make_mesh(mesh)
    evaluator = (
        None
        if evaluation is None
        else _evaluator(catalog, store, data, evaluation, network, vocabulary, device_mesh)
    )
    dataset = loading.train_dataset(
        bound,
        data,
        vocabulary,
        seed=seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    rules = sharding.axis_rules(mesh)
    final = trainer.train(
        model=network,
        optimizer=optimizers.make_optimizer(optimizer, num_steps, network.logical_axes()),
        optimizer_config=optimizer,
        batches=loading.prefetched(dataset),
        mesh=device_mesh,
        rules=rules,
        run_dir=folder,
        num_steps=num_steps,
        seed=seed,
        checkpoint_config=checkpoint,
        log_every_steps=log_every_steps,
        callbacks=_callbacks(folder, evaluator, evaluation, num_steps),
    )
    _log_counts(bound, dataset)
    if evaluator is None or evaluation is None:
        return None
    tuned = evaluator.evaluate(final.params, num_steps)
    untuned = None
    if evaluation.untuned_baseline:
        untuned = network.init(state.purpose_key(seed, state.INIT_PURPOSE))
    results = _with_baselines(evaluator, tuned, untuned)
    if jax.process_index() == 0:
        facts = {
            "mixture": data.mixture,
            "steps": num_steps,
            "seconds": round(time.monotonic() - start_s),
            "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        }
        report.write_report(folder, tuned, results.baselines, facts, _loss_curve(folder))
    return results


def evaluate(
    *,
    checkpoint: str,
    model: ModelConfig,
    data: DataConfig,
    mesh: MeshConfig,
    evaluation: EvalConfig,
    step: int | None = None,
) -> Results:
    """Scores a run folder's checkpoint, the last one unless `step` says which, beside the baselines.

    Predictions and report go to `eval/<step>/` of the run folder.
    """
    store = loading.open_store(data)
    catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
    _prepare(catalog, store, data, evaluation, None, train=False).raise_if_failed()
    params, found_step, network, vocabulary, device_mesh = _restore(
        checkpoint, model, data, mesh, step
    )
    evaluator = _evaluator(catalog, store, data, evaluation, network, vocabulary, device_mesh)
    tuned = evaluator.evaluate(params, found_step)
    if jax.process_index() == 0:
        report.write_evaluation(epath.Path(checkpoint), tuned)
    return _with_baselines(evaluator, tuned, None)


def infer(
    *,
    checkpoint: str,
    prompts: Sequence[str],
    model: ModelConfig,
    data: DataConfig,
    mesh: MeshConfig,
    step: int | None = None,
    batch_size: int = 32,
    max_decode_length: int | None = None,
) -> list[str]:
    """One greedy prediction for each prompt, by a run folder's checkpoint."""
    params, _, network, vocabulary, device_mesh = _restore(checkpoint, model, data, mesh, step)
    predictor = predictor_lib.Predictor(
        model=network,
        vocabulary=vocabulary,
        batch_size=min(batch_size, max(1, len(prompts))),
        inputs_length=data.inputs_length,
        max_decode_length=max_decode_length or data.targets_length,
        mesh=device_mesh,
    )
    return predictor.predict(params, prompts)


def describe_mixture(
    *, data: DataConfig, mixture: str | None = None, split: str | None = None
) -> list[dict[str, object]]:
    """Tasks of a mixture with their shares: what a run would train on. Prepares what is missing."""
    name, split = mixture or data.mixture, split or data.split
    catalog, store = _prepared(data, name, split)
    return loading.bind_mixture(catalog, store, name, split=split).table()


def describe_task(
    *, data: DataConfig, task: str, split: str | None = None, num_examples: int = 3
) -> dict[str, object]:
    """Facts, templates and some rendered examples of a task. Prepares its split where that is missing."""
    split = split or data.split
    catalog, store = _prepared(data, task, split)
    found = catalog.task(task)
    member = tokenize.make_member(task, found, split, "all")
    manifest = store.manifest(found.name, split)
    assert manifest is not None  # _prepared raised otherwise
    reader = store.reader(manifest)
    rows = range(min(num_examples, len(reader)))
    prompts = [
        (row, tokenize.render(member, fields, row, epoch=0, seed=0))
        for row, fields in zip(rows, reader.fetch(rows), strict=True)
    ]
    return {
        "task": task,
        "cluster": found.cluster,
        "source": found.source.describe(),
        "splits": list(found.source.splits),
        "rows": {split: len(reader)},
        "lineage": list(found.lineage),
        "licence": found.licence,
        "metrics": [metric.name for metric in found.metrics],
        "templates": [
            {"inputs": item.inputs, "targets": item.targets, "held_out": item.held_out}
            for item in found.templates
        ],
        "examples": [
            {"row": row, "template": item.template, "inputs": item.inputs, "targets": item.targets}
            for row, item in prompts
        ],
    }


def _prepared(
    data: DataConfig, mixture: str, split: str
) -> tuple[catalog_lib.Catalog, store_lib.Store]:
    """The catalog and store of a run, with a mixture's split prepared."""
    store = loading.open_store(data)
    catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
    wanted = loading.splits_needed(catalog, [(mixture, split)])
    tasks = [(catalog.tasks[name], splits) for name, splits in wanted]
    prepare_lib.prepare(tasks, store, loading.data_dir(data)).raise_if_failed()
    return catalog, store


def _prepare(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    evaluation: EvalConfig | None,
    num_processes: int | None,
    *,
    train: bool = True,
) -> prepare_lib.PrepareReport:
    wanted = [(data.mixture, data.split)] if train else []
    if evaluation is not None:
        wanted += [(suite.mixture or data.mixture, suite.split) for suite in evaluation.suites]
    tasks = [
        (catalog.tasks[name], splits) for name, splits in loading.splits_needed(catalog, wanted)
    ]
    return prepare_lib.prepare(tasks, store, loading.data_dir(data), num_processes=num_processes)


def _network(model: ModelConfig, vocabulary: vocabulary_lib.Vocabulary) -> t5.EncoderDecoder:
    if model.vocab_size < vocabulary.size:
        raise ValueError(
            f"ModelConfig.vocab_size ({model.vocab_size}) must be at least the vocabulary's size ({vocabulary.size})."
        )
    return t5.EncoderDecoder(model)


def _evaluator(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    evaluation: EvalConfig,
    network: t5.EncoderDecoder,
    vocabulary: vocabulary_lib.Vocabulary,
    mesh: jax.sharding.Mesh,
) -> evaluator_lib.Evaluator[PyTree]:
    tokenizer = tokenize.Tokenizer(
        vocabulary,
        inputs_length=data.inputs_length,
        targets_length=data.targets_length,
        seed=evaluation.seed,
    )
    predictor = predictor_lib.Predictor(
        model=network,
        vocabulary=vocabulary,
        batch_size=evaluation.batch_size,
        inputs_length=data.inputs_length,
        max_decode_length=evaluation.max_decode_length,
        mesh=mesh,
    )
    return evaluator_lib.Evaluator(
        suites=suites.build(
            evaluation.suites, catalog, store, tokenizer, default_mixture=data.mixture
        ),
        predict=predictor.predict,
        metric=evaluation.metric,
        seed=evaluation.seed,
    )


def _callbacks(
    folder: epath.Path,
    evaluator: evaluator_lib.Evaluator[PyTree] | None,
    evaluation: EvalConfig | None,
    num_steps: int,
) -> list[trainer.Callback]:
    if evaluator is None or evaluation is None or not evaluation.every_steps:
        return []

    def on_step(step: int, current: state.TrainState, _: object) -> Mapping[str, float] | None:
        if step == num_steps:
            return None  # evaluated after the loop
        found = evaluator.evaluate(current.params, step)
        if jax.process_index() == 0:
            report.write_evaluation(folder, found)
        return found.scalars()

    return [trainer.Callback(every_steps=evaluation.every_steps, on_step=on_step)]


def _with_baselines(
    evaluator: evaluator_lib.Evaluator[PyTree], tuned: EvaluationReport, untuned: PyTree | None
) -> Results:
    baselines = {"majority": evaluator.majority(), "copy": evaluator.copy_input()}
    if untuned is not None:
        baselines = {"untuned": evaluator.evaluate(untuned, 0), **baselines}
    return Results(tuned=tuned, baselines=baselines)


def _restore(
    checkpoint: str, model: ModelConfig, data: DataConfig, mesh: MeshConfig, step: int | None
) -> tuple[PyTree, int, t5.EncoderDecoder, vocabulary_lib.Vocabulary, jax.sharding.Mesh]:
    folder = epath.Path(checkpoint)
    saved = checkpoints.Checkpoints(folder)
    found_step = saved.latest_step() if step is None else step
    vocabulary = loading.load_vocabulary(data, None, path=folder / run_folder.VOCABULARY, seed=0)
    network = _network(model, vocabulary)
    device_mesh = sharding.make_mesh(mesh)
    params = saved.restore_params(_abstract_params(network, device_mesh, mesh), found_step)
    assert found_step is not None  # restore_params raised otherwise
    return params, found_step, network, vocabulary, device_mesh


def _abstract_params(
    network: t5.EncoderDecoder, device_mesh: jax.sharding.Mesh, mesh: MeshConfig
) -> PyTree:
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    shardings = sharding.param_shardings(
        network.logical_axes(), shapes, device_mesh, sharding.axis_rules(mesh)
    )
    return jax.tree.map(
        lambda leaf, placed: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=placed),
        shapes,
        shardings,
    )


def _loss_curve(folder: epath.Path) -> list[tuple[int, float]]:
    lines = metrics.read_metrics(folder)
    return [(int(line["step"]), line["train/loss"]) for line in lines if line.get("train/loss")]


def _log_mixture(bound: loading.BoundMixture) -> None:
    rows = bound.table()
    logging.info("Mixture %s: %d tasks.", bound.name, len(rows))
    for row in sorted(rows, key=lambda row: -float(str(row["rate"])))[:40]:
        logging.info(
            "  %6.2f %%  %s (%s rows)", 100 * float(str(row["rate"])), row["task"], row["rows"]
        )


def _log_counts(bound: loading.BoundMixture, dataset: loading.pipeline.TrainDataset) -> None:
    counts = dataset.packer.counts
    logging.info(
        "Read %d examples: %d cut to fit, %d dropped because they cannot fit.",
        counts.examples.sum(),
        counts.cut.sum(),
        counts.dropped.sum(),
    )
    for position, member in enumerate(bound.members):
        if counts.dropped[position]:
            logging.warning("  %s: %d dropped", member.name, counts.dropped[position])
