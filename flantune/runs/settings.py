"""What `experiments.train` gets: the numbers of a run, checked, and its configs, together."""

import dataclasses

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
from flantune.run_folder import trained_with
from flantune.training import metrics, profiling


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfigs:
    """The configs of a training run; None of `evaluation`, `init` and `trainable`: there is nothing to evaluate, the run
    starts from its seed, all parameters are trained.
    """

    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig
    mesh: MeshConfig
    checkpoint: CheckpointConfig
    evaluation: EvalConfig | None
    decoding: DecodingConfig
    init: InitConfig | None
    trainable: TrainableConfig | None

    def __post_init__(self) -> None:
        has_evaluations = self.evaluation is not None and self.evaluation.every_steps
        if self.checkpoint.best_metric is not None and not has_evaluations:
            raise ValueError(
                f"CheckpointConfig.best_metric ({self.checkpoint.best_metric!r}) needs evaluations while the run trains: "
                "set EvalConfig.every_steps."
            )


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
        allow_other: in what the run may differ from what its folder was trained with, of `trained_with.KINDS`.
    """

    num_steps: int
    seed: int
    log_every_steps: int
    log_tasks_every_steps: int
    max_bad_steps: int
    wandb_project: str | None
    profile_steps: str | None
    allow_other: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("num_steps", "log_every_steps", "log_tasks_every_steps"):
            configs.check_whole(f"experiments.train.{name}", getattr(self, name))
        for name in ("max_bad_steps", "seed"):
            configs.check_whole(f"experiments.train.{name}", getattr(self, name), 0)
        unknown = [kind for kind in self.allow_other if kind not in trained_with.KINDS]
        if unknown:
            raise ValueError(
                f"experiments.train.allow_other must hold only {', '.join(trained_with.KINDS)}, not {unknown[0]!r}."
            )
        if self.wandb_project is not None:
            metrics.check_wandb()
        self.steps_to_profile()

    def steps_to_profile(self) -> profiling.StepRange | None:
        """The steps that `profile_steps` names, or None."""
        if self.profile_steps is None:
            return None
        return profiling.parse(self.profile_steps, self.num_steps)
