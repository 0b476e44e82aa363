"""A training run whose parts are made (`build.py`): trained, evaluated and reported.

Nothing is written until the last check is passed and the last checkpoint restored, so that a start that is refused or
interrupted leaves its folder as it was. The loop itself is in `training/trainer.py`.
"""

from collections.abc import Mapping
import dataclasses

from absl import logging
from etils import epath
import jax
from jaxtyping import PyTree

from flantune.audit.ledger import counts as ledger_counts
from flantune.data.input import loading, pipeline
from flantune.data.vocabularies import vocabulary as vocabularies
from flantune.evaluation import evaluator as evaluator_lib, result_files
from flantune.evaluation.results import Results
from flantune.host import stages
from flantune.run_folder import commit, facts, restarts, trained_with
from flantune.runs import (
    assembly,
    run_log,
    run_report,
    start as start_lib,
    vocabulary as vocabulary_lib,
)
from flantune.runs.job import Job
from flantune.training import (
    checkpoints,
    learner as learner_lib,
    metrics,
    partial,
    state as state_lib,
    task_log,
    train_log,
    trainer,
    wall_time,
)
from flantune.views import batch_text, data_log, evaluation_text


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """A run that can begin, or go on where its folder left off.

    Attributes:
        job: what was asked for.
        folder: the run folder.
        is_new: whether it has no checkpoint.
        bound: the mixture.
        vocabulary: how it is tokenised.
        identity: model, mixture and vocabulary, as the folder keeps them.
        dataset: this process's part of the batches.
        start: its parameters before the first step.
        learner: model, optimizer and placement.
        evaluator: None: there is nothing to evaluate.
        clock: of this session's wall time.
    """

    job: Job
    folder: epath.Path
    is_new: bool
    bound: loading.BoundMixture
    vocabulary: vocabularies.Vocabulary
    identity: trained_with.TrainedWith
    dataset: pipeline.TrainDataset
    start: start_lib.Start
    learner: learner_lib.Learner
    evaluator: evaluator_lib.Evaluator[PyTree] | None
    clock: wall_time.Clock

    def train(self, log: run_log.RunLog) -> state_lib.TrainState:
        """The state after the last step, saved; `log` is opened when the run begins."""
        with stages.stage("start"):
            initial_state = self._initial_state()
        names = [member.name for member in self.bound.members]
        final = trainer.train(
            self.learner,
            batches=_counted(self.bound, self.dataset),
            run_dir=self.folder,
            checkpoint_config=self.job.checkpoint,
            log=self._log_settings(),
            callbacks=assembly.callbacks(
                self.folder,
                self.evaluator,
                self.job.evaluation,
                self.learner.num_steps,
                self.learner.frozen,
            ),
            initial_state=initial_state,
            on_start=lambda: self._begin(initial_state, log),
            max_bad_steps=self.job.max_bad_steps,
            describe_batch=lambda batch: batch_text.examples(batch, self.vocabulary, names),
            profile_steps=self.job.steps_to_profile(),
            clock=self.clock,
        )
        data_log.log_counts(self.bound, self.dataset)
        return final

    def report(self, final: state_lib.TrainState) -> Results | None:
        """Scores the last state and the baselines, and writes the reports; None: there is nothing to evaluate."""
        num_steps = self.job.num_steps
        known = {
            "mixture": self.job.data.mixture,
            "steps": num_steps,
            "devices": assembly.devices(),
            "notes": list(self.job.notes),
        }
        # Before the evaluation too, which may take long, or fail.
        _write_report(self.folder, known)
        if self.evaluator is None or self.job.evaluation is None:
            return None
        self.clock.enter(wall_time.EVALUATION)
        with stages.stage("evaluate"):
            params = partial.all_params(final.params, self.learner.frozen)
            tuned = self.evaluator.evaluate(params, num_steps)
            logging.info("step %d/%d  %s", num_steps, num_steps, evaluation_text.line(tuned))
            metrics.amend(self.folder, num_steps, tuned.scalars())
            untuned = self.start.params() if self.job.evaluation.untuned_baseline else None
            results = assembly.with_baselines(self.evaluator, tuned, untuned)
        self.clock.enter(wall_time.SAVING)
        with stages.stage("report"):
            if jax.process_index() == 0:
                # Where no step was taken, what is there is of these parameters.
                keep_others = not self.clock.has_steps()
                result_files.write(self.folder, results, keep_others=keep_others)
            _write_report(self.folder, known)
        return results

    def _begin(self, initial_state: state_lib.TrainState | None, log: run_log.RunLog) -> None:
        """Writes all that the folder keeps of this start, as one; nothing was written before."""
        record = None if initial_state is None else self.start.record(initial_state)
        if jax.process_index() != 0:
            return
        starts = restarts.files(
            self.folder,
            is_new=self.is_new,
            step=0 if self.is_new else checkpoints.Checkpoints(self.folder).latest_step() or 0,
            devices=assembly.devices(),
            config_text=self.job.config_text,
        )
        commit.write(
            self.folder,
            {
                **facts.files(
                    config_text=self.job.config_text,
                    devices=[str(device) for device in jax.devices()],
                ),
                **starts,
                **self.identity.files(),
                **vocabulary_lib.files(self.vocabulary),
                **({} if record is None else record.files()),
            },
        )
        log.open()

    def _initial_state(self) -> state_lib.TrainState | None:
        """What a new run begins with; None where the folder has a checkpoint."""
        if not self.is_new:
            if self.start.init is not None:
                logging.info(
                    "%s has a checkpoint, which counts instead of InitConfig.", self.folder
                )
            return None
        return self.start.state(
            self.learner.optimizer, self.learner.abstract_state(), self.job.num_steps
        )

    def _log_settings(self) -> train_log.LogSettings:
        settings = self.job
        members = self.bound.members
        return train_log.LogSettings(
            every_steps=min(settings.log_every_steps, settings.num_steps),
            tasks=[task_log.TaskLabel(one.name, one.task.cluster) for one in members],
            tasks_every_steps=min(settings.log_tasks_every_steps, settings.num_steps),
            wandb_project=settings.wandb_project,
            peak_share=assembly.peak_share(self.start, self.job.data),
        )


def _counted(bound: loading.BoundMixture, dataset: pipeline.TrainDataset) -> ledger_counts.Counted:
    """The batches of this process, counted as the trainer takes them."""
    tasks = {member.name: len(member.task.templates) for member in bound.members}
    batches = loading.prefetched(dataset)
    return ledger_counts.Counted(
        batches, tasks, process_index=jax.process_index(), process_count=jax.process_count()
    )


def _write_report(folder: epath.Path, known: Mapping[str, object]) -> None:
    """Writes the three reports of a run; process 0 alone does."""
    if jax.process_index() == 0:
        run_report.write(folder, known)
