"""The jobs: `prepare`, `train`, `evaluate`, `infer`, `compile`, `describe`. Each turns configs into objects and calls them.

Gin binds these functions and `configs/`; `commands/` and `jobs/` call them. To see how a job works, follow its calls: data is in
`data/input/loading.py`, the loop in `training/trainer.py`, scoring in `evaluation/evaluator.py`. What a job needs is imported
where it is used: gin imports this module to look at signatures, and `prepare` starts without JAX.
"""

from collections.abc import Sequence
import dataclasses
from typing import TYPE_CHECKING

from flantune import configs
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

if TYPE_CHECKING:
    from flantune.audit import vocabulary_report
    from flantune.data.store import prepare as prepare_lib
    from flantune.evaluation.results import Results
    from flantune.training import feasibility

_GREEDY = DecodingConfig()


def prepare(
    *,
    data: DataConfig,
    evaluation: EvalConfig | None = None,
    init: InitConfig | None = None,
    num_processes: int | None = None,
) -> "prepare_lib.PrepareReport":
    """Fills the prepared store with all that a run reads; what is there and unchanged is left alone.

    Args:
        num_processes: worker processes; None: one for each core.
    """
    from flantune.audit import held_out
    from flantune.data.input import loading, mixture_vocabulary
    from flantune.data.vocabularies import vocabulary as vocabulary_lib
    from flantune.runs import preparation

    if data.vocabulary == vocabulary_lib.OF_START:
        from flantune.runs import vocabulary as run_vocabulary  # brings JAX

        data = run_vocabulary.named(data, init, None)
    store = loading.open_store(data)
    wanted = preparation.splits_read(data, evaluation)
    catalog = loading.load_catalog(data, store, [name for name, _ in wanted])
    if data.held_out is not None:
        wanted += held_out.wanted(catalog.plan(data.held_out))
    result = preparation.fill(catalog, store, data, wanted, num_processes)
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
    profile_steps: str | None = None,
    allow_other: Sequence[str] = (),
    config_text: str = "",
) -> "Results | None":
    """Trains to step `num_steps`, evaluates and reports; continues where the run folder left off.

    Args:
        run_dir, config_text: the run folder, and all bindings for its `config.gin`; the command line gives both.
        num_steps: counted from the start of the run folder, over all restarts.
        seed: of every random choice.
        log_every_steps, log_tasks_every_steps: metrics, and the loss of tasks and clusters, after so many or the last step.
        max_bad_steps: so many steps whose loss is not finite are skipped, their batches kept in `bad_steps/`; one more stops.
        notes, wandb_project: what the report must say; the project of Weights & Biases that metrics go to as well.
        profile_steps: "10:15" traces steps 10 to 15, both included, into `profile/` of the run folder.
        allow_other: what may differ from what the folder was trained with: "model", "mixture", "vocabulary".
    """
    from flantune.runs import build, job

    asked = job.Job(
        run_dir=run_dir,
        num_steps=num_steps,
        model=model,
        data=data,
        optimizer=optimizer,
        mesh=mesh,
        checkpoint=checkpoint,
        evaluation=evaluation,
        decoding=decoding,
        init=init,
        trainable=trainable,
        seed=seed,
        log_every_steps=log_every_steps,
        log_tasks_every_steps=log_tasks_every_steps,
        max_bad_steps=max_bad_steps,
        notes=notes,
        wandb_project=wandb_project,
        profile_steps=profile_steps,
        allow_other=allow_other,
        config_text=config_text,
    )
    return build.trained(asked)


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
) -> "Results":
    """Scores a run folder's checkpoint, the last one unless `step` says which, beside the baselines.

    Parameters that the run did not train come from `init`, or from where the run folder says.

    Predictions and report go to `eval/<step>/` of the run folder. Suites of other names that have results there keep them.

    Args:
        checkpoint: the run's folder; --checkpoint gives it.
        step: of the checkpoint; None: the last.

    Raises:
        ValueError: there are no suites.
        FileNotFoundError: there is no such checkpoint.
    """
    from etils import epath
    import jax

    from flantune.evaluation import result_files
    from flantune.runs import assembly, preparation, vocabulary as run_vocabulary

    data = run_vocabulary.named(data, init, epath.Path(checkpoint))
    catalog, store = preparation.opened(
        data, preparation.splits_read(data, evaluation, train=False)
    )
    loaded = assembly.restore(checkpoint, model, data, mesh, step, init)
    evaluator = assembly.make_evaluator(
        catalog,
        store,
        data,
        evaluation,
        loaded.network,
        loaded.vocabulary,
        loaded.mesh,
        decoding,
    )
    if evaluator is None:
        raise ValueError("EvalConfig.suites is empty: there is nothing to evaluate.")
    tuned = evaluator.evaluate(loaded.params, loaded.step)
    results = assembly.with_baselines(evaluator, tuned, None)
    if jax.process_index() != 0:
        return results
    written = result_files.write(checkpoint, results, keep_others=True)
    return dataclasses.replace(results, written=written)


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
    """One prediction for each prompt, by a run folder's checkpoint; `init` as for `evaluate`.

    Args:
        checkpoint: the run's folder; --checkpoint gives it.
        prompts: texts; the command line reads them.
        step: of the checkpoint; None: the last.
        batch_size: prompts decoded together.
        max_decode_length: tokens of a prediction at most; None: DataConfig.targets_length.
    """
    from flantune.runs import assembly

    configs.check_whole("experiments.infer.batch_size", batch_size)
    if max_decode_length is not None:
        configs.check_whole("experiments.infer.max_decode_length", max_decode_length)
    restored = assembly.restore(checkpoint, model, data, mesh, step, init, decoding)
    loaded = assembly.ready_to_answer(restored)
    return loaded.predict(prompts, batch_size=batch_size, max_decode_length=max_decode_length)


def compile(
    *,
    topology: str,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    trainable: TrainableConfig | None = None,
    num_slices: int = 1,
    optimization: str = "O1",
    num_steps: int = 1_000_000,
) -> "feasibility.Feasibility":
    """Whether a run's training step fits on a slice that need not exist, and how fast it can be at best.

    Of `data` only the shape of a batch counts. `trainable` and `model.lora` choose what is trained, as in `train`.

    Args:
        topology: a chip and the shape of a slice, "v5e:16x16", or a number of GPUs, "h100:8"; --topology gives it.
        num_slices: such slices, joined by the data centre's network; --num_slices gives it.
        optimization: of the compiler: "O1" is fast, "default" exact; --optimization gives it.
        num_steps: for schedules that decay over the whole run.

    Raises:
        ValueError: there is no such topology, or the mesh does not fit it.
    """
    from flantune.models import lora, t5
    from flantune.runs import assembly, start
    from flantune.training import ahead_of_time, optimizers, proof, state

    configs.check_whole("num_slices", num_slices)
    lora.check_targets(model)
    place = ahead_of_time.topology(topology, num_slices)
    if model.layer_loop == "auto":
        # "auto" goes by this machine's backend, which need not be the topology's: those are TPUs and GPUs.
        model = dataclasses.replace(model, layer_loop="scan")

    def trained(config: ModelConfig) -> state.Model:
        return start.trained_model(t5.EncoderDecoder(config), trainable)

    job = proof.Job(
        model=trained(model),
        plain_model=trained(dataclasses.replace(model, remat="none")),
        model_config=model,
        frozen_dtype=start.frozen_dtype(trainable),
        optimizer=optimizers.make_optimizer(optimizer, num_steps, trained(model).logical_axes()),
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
    template: int | None = None,
    init: InitConfig | None = None,
) -> dict[str, object]:
    """What a module ("tasks.sst2"), mixture or task (with its setting) holds; the run's mixture unless `name` says.

    Prepares what is missing. The value has one of the keys "module", "mixture" and "task", and "rows" of the first two;
    without a name and a mixture it has "modules", a row for each.

    Args:
        name: what to describe; None: the run's mixture. The command line gives it, as it does the others.
        split: of rows and examples; None: the run's.
        num_examples: rendered examples of a task.
        seed: of the choices that they show.
        template: the one wording of a task to show; None: all.
    """
    from flantune.audit import describe as describe_lib
    from flantune.data import catalog as catalog_lib, names as names_lib
    from flantune.data.input import loading
    from flantune.data.vocabularies import vocabulary as vocabulary_lib
    from flantune.runs import preparation

    if data.vocabulary == vocabulary_lib.OF_START and init is not None:
        from flantune.runs import vocabulary as run_vocabulary  # brings JAX

        data = run_vocabulary.named(data, init, None)
    name, split = name or data.mixture, split or data.split
    store = loading.open_store(data)
    if not name:
        catalog = catalog_lib.load(data.modules, store, loading.data_dir(data))
        return {"modules": describe_lib.modules(catalog)}
    if name in data.modules:
        catalog = catalog_lib.load([name], store, loading.data_dir(data))
        rows = describe_lib.module(catalog, name)
        return {"module": name, "rows": rows, "mixtures": describe_lib.mixtures(name)}
    catalog = loading.load_catalog(data, store, [name])
    preparation.fill(catalog, store, data, [(name, split)]).raise_if_failed()
    if name in catalog.mixtures or names_lib.is_pattern(name):
        bound = loading.bind_mixture(catalog, store, name, split=split)
        if catalog.counts_tokens(name):
            vocabulary = preparation.vocabulary(catalog, store, data, bound)
            bound = loading.in_tokens(catalog, store, bound, data, vocabulary, seed=seed)
        return {"mixture": name, "rows": bound.table()}
    bound = loading.bind_mixture(catalog, store, name, split=split, templates="all")
    vocabulary = preparation.vocabulary(catalog, store, data, bound)
    return describe_lib.task(
        bound, vocabulary, data, num_examples=num_examples, seed=seed, template=template
    )


def train_vocabulary(
    *, data: DataConfig, output: str, size: int | None = None, mixture: str | None = None
) -> "vocabulary_report.VocabularyReport":
    """Trains a SentencePiece model on a mixture, as "sentencepiece:SIZE" would, and writes it to a file.

    Prepares what is missing. Returns what the vocabulary does to prompts and targets of the mixture.

    Args:
        output: the file to write; --output gives it.
        size: pieces, sentinels among them; None: that of DataConfig.vocabulary, "sentencepiece:SIZE".
        mixture: whose training prompts it is trained on; None: the run's.

    Raises:
        ValueError: nothing says the size, or a member of the mixture is a plain SeqIO task, which has no text.
    """
    from flantune.audit import vocabulary_report
    from flantune.data.input import loading, mixture_vocabulary
    from flantune.data.vocabularies import vocabulary as vocabulary_lib
    from flantune.host import atomic
    from flantune.runs import preparation

    size = size or vocabulary_lib.size_to_train(data.vocabulary)
    if size is None:
        raise ValueError(
            f"Give --size: DataConfig.vocabulary is {data.vocabulary!r}, which says none."
        )
    data = dataclasses.replace(
        data, mixture=mixture or data.mixture, vocabulary=f"sentencepiece:{size}"
    )
    vocabulary_lib.size_to_train(data.vocabulary)  # raises before anything is prepared
    catalog, store = preparation.opened(data, [(data.mixture, data.split)])
    bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
    model = mixture_vocabulary.trained(store, data, bound, size)
    atomic.write_bytes(output, model)
    texts = mixture_vocabulary.rendered_texts(bound, data)
    return vocabulary_report.report(
        vocabulary_lib.SentencePieceVocabulary(model, output), list(texts)
    )
