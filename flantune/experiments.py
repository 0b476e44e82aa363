"""The jobs: `prepare`, `train`, `evaluate`, `infer`, `compile`, `describe`. Each turns configs into objects and calls them.

Gin binds these functions and `configs.py`; `cli.py` calls them. To see how a job works, follow its calls: data is in
`data/loading.py`, the loop in `training/trainer.py`, scoring in `evaluation/evaluator.py`. What needs a model is
imported where it is used, so that `prepare` starts without JAX.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import TYPE_CHECKING

from absl import logging
from etils import epath

from flantune import (
    atomic,
    batch_text,
    configs,
    data_log,
    describe as describe_lib,
    leakage,
    run_folder,
    training_curves,
    training_page,
)
from flantune.configs import (
    CheckpointConfig,
    DataConfig,
    DecodingConfig,
    EvalConfig,
    InitConfig,
    MeshConfig,
    ModelConfig,
    OptimizerConfig,
    TrainableConfig,
)
from flantune.data import (
    catalog as catalog_lib,
    held_out,
    ledger_counts,
    loading,
    mixture_vocabulary,
    prepare as prepare_lib,
    store as store_lib,
    vocabulary as vocabulary_lib,
    vocabulary_report,
)
from flantune.evaluation import report
from flantune.evaluation.results import Results

if TYPE_CHECKING:
    from flantune.data import pipeline
    from flantune.training import feasibility

_GREEDY = DecodingConfig()


def prepare(
    *, data: DataConfig, evaluation: EvalConfig | None = None, num_processes: int | None = None
) -> prepare_lib.PrepareReport:
    """Fills the prepared store with all that a run reads; what is there and unchanged is left alone."""
    store = loading.open_store(data)
    wanted = splits_read(data, evaluation)
    catalog = loading.load_catalog(data, store, [name for name, _ in wanted])
    if data.held_out is not None:
        wanted += held_out.wanted(catalog.plan(data.held_out))
    result = _prepare(catalog, store, data, wanted, num_processes)
    size = vocabulary_lib.size_to_train(data.vocabulary)
    if size is not None and not result.failed:
        bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
        mixture_vocabulary.trained(store, data, bound, size)
    return result


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
    decoding: DecodingConfig = _GREEDY,
    init: InitConfig | None = None,
    trainable: TrainableConfig | None = None,
    seed: int = 0,
    log_every_steps: int = 20,
    log_tasks_every_steps: int = 100,
    max_bad_steps: int = 0,
    notes: Sequence[str] = (),
    wandb_project: str | None = None,
    config_text: str = "",
) -> Results | None:
    """Trains to step `num_steps`, evaluates and reports; continues where the run folder left off.

    It starts from `init`, or from the seed, and trains the parameters that `trainable` and `model.lora` choose, or all.
    Up to `max_bad_steps` steps whose loss is not finite are skipped; one more stops the run. What was in their batches is
    written to `bad_steps/` of the run folder.

    A run that is shorter than `log_every_steps` or `log_tasks_every_steps` logs at its last step.

    `notes` stand in the report: what a reader must know of the run. With `wandb_project`, metrics go to Weights & Biases
    too. Returns None without an `EvalConfig` or its suites.
    """
    import jax

    from flantune import assembly, start as start_lib
    from flantune.training import (
        checkpoints,
        optimizers,
        partial,
        sharding,
        task_log,
        train_log,
        trainer,
    )

    _check_numbers(
        num_steps=num_steps,
        log_every_steps=log_every_steps,
        log_tasks_every_steps=log_tasks_every_steps,
        max_bad_steps=max_bad_steps,
        seed=seed,
    )
    if checkpoint.best_metric is not None and (evaluation is None or not evaluation.every_steps):
        raise ValueError(
            f"CheckpointConfig.best_metric ({checkpoint.best_metric!r}) needs evaluations while the run trains: set "
            "EvalConfig.every_steps."
        )
    folder = epath.Path(run_dir)
    catalog, store = _prepared(data, splits_read(data, evaluation))
    bound, vocabulary = _training_data(catalog, store, data, evaluation, folder, seed)
    network = assembly.make_network(model, vocabulary)
    device_mesh = sharding.make_mesh(mesh)
    evaluator = assembly.make_evaluator(
        catalog, store, data, evaluation, network, vocabulary, device_mesh, decoding
    )
    dataset = loading.train_dataset(
        bound,
        data,
        vocabulary,
        seed=seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        with_shortfall=True,
    )
    untuned = evaluator is not None and evaluation is not None and evaluation.untuned_baseline
    is_new = checkpoints.Checkpoints(folder).step_to_resume(num_steps) is None
    start = start_lib.of_run(
        network,
        mesh=device_mesh,
        rules=sharding.axis_rules(mesh),
        seed=seed,
        init=init,
        trainable=trainable,
        run_dir=folder,
        needs_all=is_new or untuned,
    )
    made_optimizer = optimizers.make_optimizer(optimizer, num_steps, start.model.logical_axes())
    initial_state = None
    if is_new:
        initial_state = start.state(made_optimizer, num_steps)
        assembly.warn_of_other_vocabulary(start, vocabulary)
    elif init is not None:
        logging.info("%s has a checkpoint, which counts instead of InitConfig.", folder)
    # Only now: a run that is refused leaves the folder as it was.
    if jax.process_index() == 0:
        run_folder.write_start(
            folder,
            config_text=config_text,
            devices=[str(device) for device in jax.devices()],
            mixture=bound.table(),
        )
    if initial_state is not None:
        start.write_record(initial_state, folder)
    final = trainer.train(
        model=start.model,
        optimizer=made_optimizer,
        optimizer_config=optimizer,
        batches=_counted(bound, dataset),
        mesh=device_mesh,
        rules=start.rules,
        run_dir=folder,
        num_steps=num_steps,
        seed=seed,
        checkpoint_config=checkpoint,
        log=train_log.LogSettings(
            every_steps=min(log_every_steps, num_steps),
            tasks=[task_log.TaskLabel(one.name, one.task.cluster) for one in bound.members],
            tasks_every_steps=min(log_tasks_every_steps, num_steps),
            wandb_project=wandb_project,
            peak_share=assembly.peak_share(model, data, device_mesh, start.frozen),
        ),
        callbacks=assembly.callbacks(folder, evaluator, evaluation, num_steps, start.frozen),
        initial_state=initial_state,
        frozen=start.frozen,
        max_bad_steps=max_bad_steps,
        describe_batch=lambda batch: batch_text.examples(
            batch, vocabulary, [member.name for member in bound.members]
        ),
    )
    data_log.log_counts(bound, dataset)
    _training_page(folder)
    if evaluator is None or evaluation is None:
        return None
    tuned = evaluator.evaluate(partial.all_params(final.params, start.frozen), num_steps)
    results = assembly.with_baselines(evaluator, tuned, start.params() if untuned else None)
    _report(folder, results, {"mixture": data.mixture, "steps": num_steps}, notes)
    return results


def _check_numbers(**values: int) -> None:
    """Raises ValueError where an argument of `train` is no whole number, or too small."""
    for name, value in values.items():
        may_be_zero = name in ("max_bad_steps", "seed")
        configs.check_whole(f"experiments.train.{name}", value, 0 if may_be_zero else 1)


def _training_data(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    evaluation: EvalConfig | None,
    folder: epath.Path,
    seed: int,
) -> tuple[loading.BoundMixture, vocabulary_lib.Vocabulary]:
    """A run's mixture, which its held-out plan allows, and its vocabulary, which its folder keeps."""
    if data.held_out is not None:
        leaks = leakage.check(catalog, store, data, evaluation, plan=data.held_out)
        leaks.raise_if_violated()
    bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
    vocabulary = mixture_vocabulary.of_run(
        data, folder / run_folder.VOCABULARY, store=store, bound=bound
    )
    bound = loading.in_tokens(catalog, store, bound, data, vocabulary, seed=seed)
    data_log.log_mixture(bound, len(catalog.left_out(data.mixture)))
    return bound, vocabulary


def _counted(
    bound: loading.BoundMixture, dataset: "pipeline.TrainDataset"
) -> ledger_counts.Counted:
    """The batches of this process, counted as the trainer takes them."""
    import jax

    tasks = {member.name: len(member.task.templates) for member in bound.members}
    batches = loading.prefetched(dataset)
    return ledger_counts.Counted(batches, tasks, process_index=jax.process_index())


def _training_page(folder: epath.Path) -> None:
    """Writes the page of `flantune report`, where a loss is logged; process 0 alone does."""
    import jax

    from flantune.training import metrics

    if jax.process_index() != 0:
        return
    curves = training_curves.read(folder, metrics.read_metrics(folder))
    if "loss" in curves.overall:
        atomic.write_text(folder / run_folder.TRAINING_PAGE, training_page.render(curves))


def _report(
    folder: epath.Path, results: Results, run: Mapping[str, object], notes: Sequence[str]
) -> None:
    """Writes the three reports of a run; process 0 alone does."""
    import jax

    from flantune import assembly
    from flantune.training import metrics

    if jax.process_index() != 0:
        return
    facts = {
        **run,
        **assembly.start_facts(folder),
        "training_seconds": round(assembly.training_seconds(folder)),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "notes": list(notes),
    }
    curves = training_curves.read(folder, metrics.read_metrics(folder))
    report.write_report(folder, results.tuned, results.baselines, facts, curves.losses())


def evaluate(
    *,
    checkpoint: str,
    model: ModelConfig,
    data: DataConfig,
    mesh: MeshConfig,
    evaluation: EvalConfig,
    decoding: DecodingConfig = _GREEDY,
    init: InitConfig | None = None,
    step: int | None = None,
) -> Results:
    """Scores a run folder's checkpoint, the last one unless `step` says which, beside the baselines.

    Parameters that the run did not train come from `init`, or from where the run folder says.

    Predictions and report go to `eval/<step>/` of the run folder.

    Raises:
        ValueError: there are no suites.
        FileNotFoundError: there is no such checkpoint.
    """
    import jax

    from flantune import assembly

    catalog, store = _prepared(data, splits_read(data, evaluation, train=False))
    params, found_step, network, vocabulary, device_mesh = assembly.restore(
        checkpoint, model, data, mesh, step, init
    )
    evaluator = assembly.make_evaluator(
        catalog, store, data, evaluation, network, vocabulary, device_mesh, decoding
    )
    if evaluator is None:
        raise ValueError("EvalConfig.suites is empty: there is nothing to evaluate.")
    tuned = evaluator.evaluate(params, found_step)
    if jax.process_index() == 0:
        report.write_evaluation(epath.Path(checkpoint), tuned)
    return assembly.with_baselines(evaluator, tuned, None)


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
    decoding: DecodingConfig = _GREEDY,
    init: InitConfig | None = None,
) -> list[str]:
    """One prediction for each prompt, by a run folder's checkpoint; `init` as for `evaluate`."""
    from flantune import assembly
    from flantune.inference import predictor as predictor_lib

    configs.check_whole("experiments.infer.batch_size", batch_size)
    if max_decode_length is not None:
        configs.check_whole("experiments.infer.max_decode_length", max_decode_length)
    params, _, network, vocabulary, device_mesh = assembly.restore(
        checkpoint, model, data, mesh, step, init
    )
    predictor = predictor_lib.Predictor(
        model=network,
        vocabulary=vocabulary,
        batch_size=min(batch_size, max(1, len(prompts))),
        inputs_length=data.inputs_length,
        max_decode_length=max_decode_length or data.targets_length,
        how=decoding,
        mesh=device_mesh,
    )
    return predictor.predict(params, prompts)


def compile(
    *,
    topology: str,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    num_slices: int = 1,
    optimization: str = "O1",
    num_steps: int = 1_000_000,
) -> "feasibility.Feasibility":
    """Whether a run's training step fits on a slice that need not exist, and how fast it can be at best.

    Of `data` only the shape of a batch counts. `num_steps` is for schedules that decay over the whole run.

    Raises:
        ValueError: there is no such topology, the mesh does not fit it, or the model has adapters.
    """
    from flantune import assembly
    from flantune.models import t5

    if model.lora is not None:
        raise ValueError(
            "compile proves steps that train all parameters; with ModelConfig.lora most are frozen, and the figures would be "
            "too high. Leave LoraConfig out for an upper bound."
        )
    from flantune.training import ahead_of_time, optimizers, proof

    configs.check_whole("num_slices", num_slices)
    place = ahead_of_time.topology(topology, num_slices)
    network = t5.EncoderDecoder(model)
    job = proof.Job(
        model=network,
        plain_model=t5.EncoderDecoder(dataclasses.replace(model, remat="none")),
        model_config=model,
        optimizer=optimizers.make_optimizer(optimizer, num_steps, network.logical_axes()),
        optimizer_config=optimizer,
        mesh_config=mesh,
        batch=assembly.abstract_batch(data),
        num_steps=num_steps,
    )
    return proof.prove(job, place, optimization=optimization)


def describe(
    *,
    data: DataConfig,
    name: str | None = None,
    split: str | None = None,
    num_examples: int = 3,
    seed: int = 0,
) -> dict[str, object]:
    """What a module ("tasks.sst2"), mixture or task (with its setting) holds; the run's mixture unless `name` says.

    Prepares what is missing. The value has one of the keys "module", "mixture" and "task", and "rows" of the first two.
    """
    name, split = name or data.mixture, split or data.split
    store = loading.open_store(data)
    if name in data.modules:
        catalog = catalog_lib.load([name], store, loading.data_dir(data))
        return {"module": name, "rows": describe_lib.module(catalog, name)}
    catalog = loading.load_catalog(data, store, [name])
    _prepare(catalog, store, data, [(name, split)]).raise_if_failed()
    if name in catalog.mixtures or any(mark in name for mark in "*?["):
        bound = loading.bind_mixture(catalog, store, name, split=split)
        if catalog.counts_tokens(name):
            vocabulary = _vocabulary(catalog, store, data, bound)
            bound = loading.in_tokens(catalog, store, bound, data, vocabulary, seed=seed)
        return {"mixture": name, "rows": bound.table()}
    bound = loading.bind_mixture(catalog, store, name, split=split, templates="all")
    vocabulary = _vocabulary(catalog, store, data, bound)
    return describe_lib.task(bound, vocabulary, data, num_examples=num_examples, seed=seed)


def train_vocabulary(
    *, data: DataConfig, output: str, size: int | None = None, mixture: str | None = None
) -> vocabulary_report.VocabularyReport:
    """Trains a SentencePiece model on a mixture, as "sentencepiece:SIZE" would, and writes it to a file.

    Prepares what is missing. Returns what the vocabulary does to prompts and targets of the mixture.

    Raises:
        ValueError: nothing says the size, or a member of the mixture is a plain SeqIO task, which has no text.
    """
    size = size or vocabulary_lib.size_to_train(data.vocabulary)
    if size is None:
        raise ValueError(
            f"Give --size: DataConfig.vocabulary is {data.vocabulary!r}, which says none."
        )
    data = dataclasses.replace(
        data, mixture=mixture or data.mixture, vocabulary=f"sentencepiece:{size}"
    )
    vocabulary_lib.size_to_train(data.vocabulary)  # raises before anything is prepared
    catalog, store = _prepared(data, [(data.mixture, data.split)])
    bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
    model = mixture_vocabulary.trained(store, data, bound, size)
    atomic.write_bytes(output, model)
    texts = mixture_vocabulary.rendered_texts(bound, data)
    return vocabulary_report.report(
        vocabulary_lib.SentencePieceVocabulary(model, output), list(texts)
    )


def _vocabulary(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    bound: loading.BoundMixture,
) -> vocabulary_lib.Vocabulary:
    """The vocabulary of a config; one that is trained is the run's, or of `bound` where there is no run's mixture."""

    def bind() -> loading.BoundMixture:
        if not data.mixture:
            return bound
        _prepare(catalog, store, data, [(data.mixture, data.split)]).raise_if_failed()
        return loading.bind_mixture(catalog, store, data.mixture, split=data.split)

    return mixture_vocabulary.of_config(data, store, bind)


def splits_read(
    data: DataConfig, evaluation: EvalConfig | None, *, train: bool = True
) -> list[tuple[str, str]]:
    """(mixture, split) pairs that a job reads."""
    wanted = [(data.mixture, data.split)] if train else []
    if evaluation is not None:
        wanted += [(suite.mixture or data.mixture, suite.split) for suite in evaluation.suites]
    return wanted


def _prepared(
    data: DataConfig, wanted: Sequence[tuple[str, str]]
) -> tuple[catalog_lib.Catalog, store_lib.Store]:
    """The catalog and store of a run, with the splits of some mixtures prepared."""
    store = loading.open_store(data)
    catalog = loading.load_catalog(data, store, [name for name, _ in wanted])
    _prepare(catalog, store, data, wanted).raise_if_failed()
    return catalog, store


def _prepare(
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    data: DataConfig,
    wanted: Sequence[tuple[str, str]],
    num_processes: int | None = None,
) -> prepare_lib.PrepareReport:
    tasks = [
        (catalog.tasks[name], splits) for name, splits in loading.splits_needed(catalog, wanted)
    ]
    return prepare_lib.prepare(
        tasks,
        store,
        loading.data_dir(data),
        num_processes=num_processes,
        on_progress=data_log.PrepareProgress(),
        max_malformed_fraction=data.max_malformed_fraction,
    )
