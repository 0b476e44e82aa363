"""A training run from its configs: what can be refused at once, then its parts, made and checked against its folder."""

import dataclasses

from absl import logging
from etils import epath
import jax

from flantune import run_folder
from flantune.audit import leakage
from flantune.configs import DataConfig, OptimizerConfig
from flantune.data import catalog as catalog_lib
from flantune.data.input import loading, pipeline
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabularies
from flantune.evaluation.results import Results
from flantune.host import interrupts, stages
from flantune.run_folder import trained_with
from flantune.runs import (
    assembly,
    preparation,
    run_log,
    start as start_lib,
    vocabulary as vocabulary_lib,
)
from flantune.runs.job import Job
from flantune.runs.training_run import TrainingRun
from flantune.training import (
    checkpoints,
    learner as learner_lib,
    optimizers,
    sharding,
    wall_time,
)
from flantune.views import data_log


def trained(job: Job) -> Results | None:
    """Trains a run to its end and reports, as `experiments.train` says."""
    clock = wall_time.Clock()
    with run_log.kept(job.run_dir) as log:
        job = checked(job)
        wanted = preparation.splits_read(job.data, job.evaluation)
        with interrupts.during("the preparation of the data"):
            catalog, store = preparation.opened(job.data, wanted)
        with interrupts.during("the set-up of the run"):
            run = build(job, catalog, store, clock)
        with interrupts.during("training"):
            final = run.train(log)
        with interrupts.during("the last evaluation"):
            return run.report(final)


def checked(job: Job) -> Job:
    """The job, its vocabulary named, after all that can be refused before any data is prepared.

    Raises:
        ValueError: the folder's run was another one, or is done.
    """
    folder = epath.Path(job.run_dir)
    run_folder.finish(folder)
    is_new = _is_new(folder, job.num_steps)
    if not is_new:
        now = trained_with.TrainedWith(
            model=job.model, mixture=job.data.mixture, tasks=None, vocabulary=None
        )
        found = trained_with.changes(trained_with.read(folder), now)
        trained_with.check(folder, found, job.allow_other)
    data = vocabulary_lib.named(job.data, job.init, None if is_new else folder)
    return dataclasses.replace(job, data=data)


def build(
    job: Job, catalog: catalog_lib.Catalog, store: store_lib.Store, clock: wall_time.Clock
) -> TrainingRun:
    """The parts of a run, from a store that holds all its splits.

    Raises:
        ValueError: parts do not fit each other, for example the source of the parameters and the model.
        FileNotFoundError: there is no such source.
    """
    folder, data, evaluation = epath.Path(job.run_dir), job.data, job.evaluation
    is_new = _is_new(folder, job.num_steps)
    with stages.stage("vocabulary"):
        bound, vocabulary, identity = _training_data(
            job, catalog, store, trained_folder=None if is_new else folder
        )
    building = stages.Stage("build")
    network = assembly.make_network(job.model, vocabulary)
    mesh = sharding.make_mesh(job.mesh)
    evaluator = assembly.make_evaluator(
        catalog, store, data, evaluation, network, vocabulary, mesh, job.decoding
    )
    start = start_lib.of_run(
        network,
        mesh=mesh,
        rules=sharding.axis_rules(job.mesh),
        seed=job.seed,
        init=job.init,
        trainable=job.trainable,
        run_dir=folder,
        is_new=is_new,
        needs_all=is_new
        or (evaluator is not None and evaluation is not None and evaluation.untuned_baseline),
    )
    run = TrainingRun(
        job=job,
        folder=folder,
        is_new=is_new,
        bound=bound,
        vocabulary=vocabulary,
        identity=identity,
        dataset=_dataset(bound, data, vocabulary, job.seed),
        start=start,
        learner=_learner(start, job.optimizer, job.num_steps),
        evaluator=evaluator,
        clock=clock,
    )
    building.end()
    return run


def _is_new(folder: epath.Path, num_steps: int) -> bool:
    return checkpoints.Checkpoints(folder).step_to_resume(num_steps) is None


def _training_data(
    job: Job,
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    *,
    trained_folder: epath.Path | None,
) -> tuple[loading.BoundMixture, vocabularies.Vocabulary, trained_with.TrainedWith]:
    """A run's mixture, which its held-out plan allows, its vocabulary, and what of them its folder keeps.

    Args:
        trained_folder: of the run, where it has a checkpoint.

    Raises:
        ValueError: the folder was trained with others.
    """
    data = job.data
    if data.held_out is not None:
        with stages.stage("leakage"):
            leaks = leakage.check(catalog, store, data, job.evaluation, plan=data.held_out)
            leaks.raise_if_violated()
    bound = loading.bind_mixture(catalog, store, data.mixture, split=data.split)
    before, name, changed = None, data.vocabulary, list[trained_with.Change]()
    if trained_folder is None:
        vocabulary = vocabulary_lib.of_new_run(data, job.init, store, lambda: bound)
    else:
        before = trained_with.read(trained_folder)
        name, vocabulary, changed = vocabulary_lib.of_trained_run(
            trained_folder,
            before.vocabulary,
            data,
            store,
            lambda: bound,
            allow_other=trained_with.VOCABULARY in job.allow_other,
        )
    bound = loading.in_tokens(catalog, store, bound, data, vocabulary, seed=job.seed)
    identity = trained_with.TrainedWith(
        model=job.model,
        mixture=data.mixture,
        tasks=bound.table(),
        vocabulary=vocabulary_lib.facts(vocabulary, name),
    )
    if before is not None and trained_folder is not None:
        found = [*changed, *trained_with.changes(before, identity)]
        for one in trained_with.check(trained_folder, found, job.allow_other):
            logging.warning("The run goes on with another %s: %s.", one.kind, one.text())
    data_log.log_mixture(bound, len(catalog.left_out(data.mixture)))
    return bound, vocabulary, identity


def _dataset(
    bound: loading.BoundMixture,
    data: DataConfig,
    vocabulary: vocabularies.Vocabulary,
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
