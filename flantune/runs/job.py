"""What `experiments.train` gets, together and checked."""

from collections.abc import Sequence
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
from flantune.training import metrics, optimizers, profiling


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """A training run as it was asked for; `experiments.train` says what each of them is.

    Raises:
        ValueError: a number is not allowed, or configs contradict each other.
    """

    run_dir: str
    num_steps: int
    model: ModelConfig
    data: DataConfig
    optimizer: OptimizerConfig
    mesh: MeshConfig
    checkpoint: CheckpointConfig
    evaluation: EvalConfig | None
    decoding: DecodingConfig
    init: InitConfig | None
    trainable: TrainableConfig | None
    seed: int
    log_every_steps: int
    log_tasks_every_steps: int
    max_bad_steps: int
    notes: Sequence[str]
    wandb_project: str | None
    profile_steps: str | None
    allow_other: Sequence[str]
    config_text: str

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
        optimizers.make_schedule(self.optimizer, self.num_steps)
        has_evaluations = self.evaluation is not None and self.evaluation.every_steps
        if self.checkpoint.best_metric is not None and not has_evaluations:
            raise ValueError(
                f"CheckpointConfig.best_metric ({self.checkpoint.best_metric!r}) needs evaluations while the run trains: "
                "set EvalConfig.every_steps."
            )

    def steps_to_profile(self) -> profiling.StepRange | None:
        """The steps that `profile_steps` names, or None."""
        if self.profile_steps is None:
            return None
        return profiling.parse(self.profile_steps, self.num_steps)
