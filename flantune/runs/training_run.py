"""A training run: its parts made from configs and checked, then trained, evaluated and reported.

Here: `build` and what it returns; `experiments.train` calls it. Until `TrainingRun.train` nothing is written, so that a
run that is refused leaves its folder as it was. The loop itself is in `training/trainer.py`.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree

from flantune import configs, run_folder
from flantune.audit import leakage
from flantune.audit.ledger import counts as ledger_counts
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
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, mixture_vocabulary, pipeline
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.evaluation import evaluator as evaluator_lib
from flantune.evaluation.results import Results
from flantune.host import atomic
from flantune.run_folder import facts
from flantune.runs import assembly, start as start_lib
from flantune.training import (
    checkpoints,
    learner as learner_lib,
    metrics,
    optimizers,
    partial,
    profiling,
    sharding,
    state as state_lib,
    task_log,
    train_log,
    trainer,
    wall_time,
)
from flantune.views import batch_text, data_log, report, training_curves, training_page


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """The numbers of a run, as `experiments.train` gets them; wrong ones are refused.

    Attributes:
        num_steps: counted from the start of the run folder, over all restarts.
        seed: of every random choice.
        log_every_steps: a line of metrics after so many steps; a shorter run has one after its last.
        log_tasks_every_steps: the loss of tasks and clusters after so many; a shorter run as above.
        max_bad_steps: so many steps whose loss is not finite are skipped; one more stops the run. What was in their
            batches is written to `bad_steps/` of the run folder.
        wandb_project: metrics go to this project of Weights & Biases too.
        profile_steps: "10:15" traces steps 10 to 15, both included, into `profile/` of the run folder.
    """

    num_steps: int
    seed: int
    log_every_steps: int
    log_tasks_every_steps: int
    max_bad_steps: int
    wandb_project: str | None
    profile_steps: str | None

    def __post_init__(self) -> None:
        for name in ("num_steps", "log_every_steps", "log_tasks_every_steps"):
            configs.check_whole(f"experiments.train.{name}", getattr(self, name))
        for name in ("max_bad_steps", "seed"):
            configs.check_whole(f"experiments.train.{name}", getattr(self, name), 0)
        if self.wandb_project is not None:
            metrics.check_wandb()
        self.steps_to_profile()

    def steps_to_profile(self) -> profiling.StepRange | None:
        """The steps that `profile_steps` names, or None."""
        if self.profile_steps is None:
            return None
        return profiling.parse(self.profile_steps, self.num_steps)


def check_best_metric(checkpoint: CheckpointConfig, evaluation: EvalConfig | None) -> None:
    """Raises ValueError where the best checkpoint is to be kept, but nothing is evaluated before the end."""
    if checkpoint.best_metric is not None and (evaluation is None or not evaluation.every_steps):
        raise ValueError(
            f"CheckpointConfig.best_metric ({checkpoint.best_metric!r}) needs evaluations while the run trains: set "
            "EvalConfig.every_steps."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A run that can begin, or go on where its folder left off.

    Attributes:
        folder: the run folder.
        settings: the run's numbers.
        data: what it trains on, of which
        bound: is the mixture,
        vocabulary: how it is tokenised, and
        dataset: this process's part of the batches.
        start: its parameters before the first step.
        learner: model, optimizer and placement.
        evaluation: how often it is evaluated.
        evaluator: None: there is nothing to evaluate.
        clock: of this session's wall time.
    """

    folder: epath.Path
    settings: Settings
    data: DataConfig
    bound: loading.BoundMixture
    vocabulary: vocabulary_lib.Vocabulary
    dataset: pipeline.TrainDataset
    start: start_lib.Start
    learner: learner_lib.Learner
    evaluation: EvalConfig | None
    evaluator: evaluator_lib.Evaluator[PyTree] | None
    clock: wall_time.Clock

    def train(self, checkpoint: CheckpointConfig, config_text: str) -> state_lib.TrainState:
        """The state after the last step, saved; `config_text` is what the folder keeps as its config."""
        initial_state = self._initial_state()
        # Only now: a run that is refused leaves the folder as it was.
        if jax.process_index() == 0:
            facts.write_start(
                self.folder,
                config_text=config_text,
                devices=[str(device) for device in jax.devices()],
                mixture=self.bound.table(),
            )
        if initial_state is not None:
            self.start.write_record(initial_state, self.folder)
        names = [member.name for member in self.bound.members]
        final = trainer.train(
            self.learner,
            batches=_counted(self.bound, self.dataset),
            run_dir=self.folder,
            checkpoint_config=checkpoint,
            log=self._log_settings(),
            callbacks=assembly.callbacks(
                self.folder,
                self.evaluator,
                self.evaluation,
                self.learner.num_steps,
                self.learner.frozen,
            ),
            initial_state=initial_state,
            max_bad_steps=self.settings.max_bad_steps,
            describe_batch=lambda batch: batch_text.examples(batch, self.vocabulary, names),
            profile_steps=self.settings.steps_to_profile(),
            clock=self.clock,
        )
        data_log.log_counts(self.bound, self.dataset)
        _write_training_page(self.folder)
        return final

    def report(self, final: state_lib.TrainState, notes: Sequence[str]) -> Results | None:
        """Scores the last state and the baselines, and writes the reports; None: there is nothing to evaluate."""
        if self.evaluator is None or self.evaluation is None:
            return None
        self.clock.enter(wall_time.EVALUATION)
        num_steps = self.settings.num_steps
        params = partial.all_params(final.params, self.learner.frozen)
        tuned = self.evaluator.evaluate(params, num_steps)
        untuned = self.start.params() if self.evaluation.untuned_baseline else None
        results = assembly.with_baselines(self.evaluator, tuned, untuned)
        self.clock.enter(wall_time.SAVING)
        _write_report(
            self.folder, results, {"mixture": self.data.mixture, "steps": num_steps}, notes
        )
        return results

    def _initial_state(self) -> state_lib.TrainState | None:
        """What a new run begins with; None where the folder has a checkpoint."""
        if not _is_new(self.folder, self.settings.num_steps):
            if self.start.init is not None:
                logging.info(
                    "%s has a checkpoint, which counts instead of InitConfig.", self.folder
                )
            return None
        state = self.start.state(
            self.learner.optimizer, self.learner.abstract_state(), self.settings.num_steps
        )
        assembly.warn_of_other_vocabulary(self.start, self.vocabulary)
        return state

    def _log_settings(self) -> train_log.LogSettings:
        settings = self.settings
        members = self.bound.members
        return train_log.LogSettings(
            every_steps=min(settings.log_every_steps, settings.num_steps),
            tasks=[task_log.TaskLabel(one.name, one.task.cluster) for one in members],
            tasks_every_steps=min(settings.log_tasks_every_steps, settings.num_steps),
            wandb_project=settings.wandb_project,
            peak_share=assembly.peak_share(self.start, self.data),
        )


def build(
    run_dir: str,
    settings: Settings,
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    clock: wall_time.Clock,
    *,
    model: ModelConfig,
    data: DataConfig,
    optimizer: OptimizerConfig,
    mesh: MeshConfig,
    evaluation: EvalConfig | None,
    decoding: DecodingConfig,
    init: InitConfig | None,
    trainable: TrainableConfig | None,
) -> TrainingRun:
    """The parts of a run, from a store that holds all its splits.

    Raises:
        ValueError: parts do not fit each other, for example the source of the parameters and the model.
        FileNotFoundError: there is no such source.
    """
    folder = epath.Path(run_dir)
    bound, vocabulary = _training_data(catalog, store, data, evaluation, folder, settings.seed)
    network = assembly.make_network(model, vocabulary)
    device_mesh = sharding.make_mesh(mesh)
    evaluator = assembly.make_evaluator(
        catalog, store, data, evaluation, network, vocabulary, device_mesh, decoding
    )
    start = start_lib.of_run(
        network,
        mesh=device_mesh,
        rules=sharding.axis_rules(mesh),
        seed=settings.seed,
        init=init,
        trainable=trainable,
        run_dir=folder,
        needs_all=_is_new(folder, settings.num_steps)
        or (evaluator is not None and evaluation is not None and evaluation.untuned_baseline),
    )
    return TrainingRun(
        folder=folder,
        settings=settings,
        data=data,
        bound=bound,
        vocabulary=vocabulary,
        dataset=_dataset(bound, data, vocabulary, settings.seed),
        start=start,
        learner=_learner(start, optimizer, settings.num_steps),
        evaluation=evaluation,
        evaluator=evaluator,
        clock=clock,
    )


def _is_new(folder: epath.Path, num_steps: int) -> bool:
    return checkpoints.Checkpoints(folder).step_to_resume(num_steps) is None


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


def _dataset(
    bound: loading.BoundMixture,
    data: DataConfig,
    vocabulary: vocabulary_lib.Vocabulary,
    seed: int,
) -> pipeline.TrainDataset:
    return loading.train_dataset(
        bound,
        data,
        vocabulary,
        seed=seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        with_shortfall=True,
    )


def _learner(
    start: start_lib.Start, optimizer: OptimizerConfig, num_steps: int
) -> learner_lib.Learner:
    return learner_lib.Learner(
        model=start.model,
        optimizer=optimizers.make_optimizer(optimizer, num_steps, start.model.logical_axes()),
        optimizer_config=optimizer,
        mesh=start.mesh,
        rules=start.rules,
        num_steps=num_steps,
        seed=start.seed,
        frozen=start.frozen,
    )


def _counted(bound: loading.BoundMixture, dataset: pipeline.TrainDataset) -> ledger_counts.Counted:
    """The batches of this process, counted as the trainer takes them."""
    tasks = {member.name: len(member.task.templates) for member in bound.members}
    batches = loading.prefetched(dataset)
    return ledger_counts.Counted(batches, tasks, process_index=jax.process_index())


def _write_training_page(folder: epath.Path) -> None:
    """Writes the page of `flantune report`, where a loss is logged; process 0 alone does."""
    if jax.process_index() != 0:
        return
    curves = training_curves.read(folder, metrics.read_metrics(folder))
    if "loss" in curves.overall:
        atomic.write_text(folder / run_folder.TRAINING_PAGE, training_page.render(curves))


def _write_report(
    folder: epath.Path, results: Results, run: Mapping[str, object], notes: Sequence[str]
) -> None:
    """Writes the three reports of a run; process 0 alone does."""
    if jax.process_index() != 0:
        return
    curves = training_curves.read(folder, metrics.read_metrics(folder))
    facts = {
        **run,
        **assembly.start_facts(folder),
        "training_seconds": round(assembly.training_seconds(folder)),
        **curves.wall_time,
        **curves.figures(),
        "devices": f"{jax.device_count()} x {jax.devices()[0].device_kind}",
        "notes": list(notes),
    }
    report.write_report(folder, results.tuned, results.baselines, facts, curves.losses())
