"""How it is trained: optimizer, start, which parameters, devices, checkpoints."""

import dataclasses

from flantune.configs import checks

_OPTIMIZERS = ("adafactor", "adamw")
_WHAT = ("params", "everything")


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer, schedule and loss.

    Attributes:
        name: "adafactor" (T5's fine-tuning optimizer) or "adamw".
        learning_rate: multiplied by every factor of the schedule; the peak, except under rsqrt_decay.
        schedule: factors multiplied, by t5x's names: constant, linear_warmup, linear_decay, rsqrt_decay,
            rsqrt_normalized_decay, decay_every, cosine_decay.
        warmup_steps: steps of linear_warmup, and those before rsqrt_decay begins.
        decay_steps: step at which linear_decay and cosine_decay end; None: the run's number of steps.
        end_fraction: of the learning rate, where they end.
        decay_factor: what decay_every multiplies by after each `steps_per_decay` steps.
        steps_per_decay: steps after which decay_every multiplies again.
        weight_decay: of all parameters but norm scales and those that `not_decayed` names.
        not_decayed: patterns, as of `TrainableConfig`.
        beta1: of AdamW: decay of the mean gradient.
        beta2: of AdamW: decay of the mean squared gradient.
        max_grad_norm: clip gradients to this global norm; 0: no clipping.
        z_loss: weight of the squared log-partition, in nats squared per token.
        label_smoothing: probability that a target token gives away, to all others alike.
        microbatches: parts that a batch is cut into, one after another through the model, to save memory; gradients are
            summed before they are divided by the batch's tokens, so the numbers are those of the whole batch.
        vocabulary_chunks: above 1, the loss makes the logits of one such part of the vocabulary at a time, so that all
            of them are never in memory; the numbers are the same.
    """

    name: str
    learning_rate: float
    schedule: tuple[str, ...] = ("constant",)
    warmup_steps: int = 0
    decay_steps: int | None = None
    end_fraction: float = 0.0
    decay_factor: float = 0.5  # this and the next: t5x's create_learning_rate_scheduler
    steps_per_decay: int = 20_000
    weight_decay: float = 0.0
    not_decayed: tuple[str, ...] = ()
    beta1: float = 0.9
    beta2: float = 0.999
    max_grad_norm: float = 0.0
    z_loss: float = 1e-4  # t5x finetune.gin
    label_smoothing: float = 0.0
    microbatches: int = 1
    vocabulary_chunks: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "schedule", tuple(self.schedule))
        object.__setattr__(self, "not_decayed", tuple(self.not_decayed))
        checks.check_choice(self, "name", _OPTIMIZERS)
        checks.check_not_negative(
            self, "learning_rate", "warmup_steps", "weight_decay", "max_grad_norm", "z_loss"
        )
        checks.check_fraction(
            self, "beta1", "beta2", "label_smoothing", "end_fraction", "decay_factor"
        )
        checks.check_positive(self, "microbatches", "vocabulary_chunks", "steps_per_decay")


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig:
    """What a new run starts from; without one, its parameters are drawn from the seed.

    A run folder that has a checkpoint goes on from that; frozen parameters come from here every time.

    Attributes:
        path: a T5X checkpoint, a Hugging Face folder, a flantune run or one of its checkpoints; local or in a bucket.
            Which of these it is, its content says.
        what: "params": the parameters alone, at step 0. "everything": optimizer state and step too, so that `num_steps`
            and the schedule count the steps done there; the batches still begin at this run's first.
        step: of a flantune run or T5X model folder; None: its last.
        other_vocabulary: whether the run may have another vocabulary than the parameters know. Without it, one that
            gives other ids is refused; a source that does not say its vocabulary is not compared.
    """

    path: str
    what: str = "params"
    step: int | None = None
    other_vocabulary: bool = False

    def __post_init__(self) -> None:
        checks.check_choice(self, "what", _WHAT)
        if not self.path:
            raise ValueError("InitConfig.path must name a folder.")
        if self.step is not None:
            checks.check_whole("InitConfig.step", self.step, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainableConfig:
    """Which parameters are trained, if not all; the others are frozen, and not saved with the run.

    Attributes:
        patterns: over names of parameters, such as "decoder/*" or "*/layers/*/scale"; one without "/" is compared with
            the last part, and "layers" means every layer. With `ModelConfig.lora` they are trained besides the adapters.
        frozen_dtype: in which frozen parameters are held: "bfloat16" takes half the memory, and rounds what the model
            computes in float32 (the logits' kernel and position biases; under bfloat16 activations nothing else).
    """

    patterns: tuple[str, ...] = ()
    frozen_dtype: str = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "patterns", tuple(self.patterns))
        checks.check_choice(self, "frozen_dtype", checks.DTYPES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeshConfig:
    """Devices along each mesh axis; -1 on one axis takes all that remain.

    Attributes:
        slice: TPU slices, joined by the data centre's network; each has the other axes in whole and rows of its own.
        data: copies of the model, each with its own rows.
        fsdp: shards of the parameters over which rows are split too.
        tensor: shards of heads, MLP and vocabulary.
        axis_rules: (logical axis, mesh axis or None) pairs tried before the default rules.
    """

    slice: int = 1
    data: int = -1
    fsdp: int = 1
    tensor: int = 1
    axis_rules: tuple[tuple[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("slice", "data", "fsdp", "tensor")}
        for name, size in sizes.items():
            if isinstance(size, bool) or not isinstance(size, int) or (size < 1 and size != -1):
                raise ValueError(
                    f"MeshConfig.{name} must be a whole number of at least 1, or -1, not {size!r}."
                )
        if list(sizes.values()).count(-1) > 1:
            raise ValueError(f"Only one axis of MeshConfig may be -1, not {sizes}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointConfig:
    """When to save and what to keep; the last step of a run is always saved and kept.

    Attributes:
        save_every_steps: also saved on a signal to stop.
        keep_last: the last so many are kept.
        keep_every_steps: those of steps that are multiples of this are kept too; 0: none.
        keep_best: so many of the best by `best_metric` are kept too; 0: none. Only checkpoints of steps that are
            evaluated as well (`EvalConfig.every_steps`) take part.
        best_metric: as `metrics.jsonl` names it, for example "eval/unseen_tasks/exact_match".
        best_is_highest: False where less is better, as for a loss.
    """

    save_every_steps: int
    keep_last: int = 2
    keep_every_steps: int = 0
    keep_best: int = 0
    best_metric: str | None = None
    best_is_highest: bool = True

    def __post_init__(self) -> None:
        checks.check_positive(self, "save_every_steps", "keep_last")
        checks.check_whole("CheckpointConfig.keep_every_steps", self.keep_every_steps, 0)
        checks.check_whole("CheckpointConfig.keep_best", self.keep_best, 0)
        if bool(self.keep_best) != (self.best_metric is not None):
            raise ValueError(
                f"CheckpointConfig.keep_best ({self.keep_best}) and best_metric ({self.best_metric!r}) go together."
            )
