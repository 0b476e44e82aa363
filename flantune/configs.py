"""What gin binds: frozen dataclasses that check their own fields, and nothing else.

Defaults of switches live here; sizes and hyperparameters have no default and come from `gin/`. A wrong value raises
`ValueError` with the field, the value and what is allowed. Read `experiments.py` next: it turns these into objects.
"""

from collections.abc import Collection
import dataclasses

_DTYPES = ("float32", "bfloat16")
_ACTIVATIONS = ("gelu", "relu", "linear")
_REMAT = ("none", "full", "dots")
_OPTIMIZERS = ("adafactor", "adamw")
_LOSS_WEIGHTINGS = ("token", "example")
_WHAT = ("params", "everything")
_TEMPLATE_SETS = ("training", "held_out", "all")
_ANSWER_KINDS = ("generation", "ranking")


def check_whole(name: str, value: object, smallest: int = 1) -> None:
    """Raises ValueError where a value is no whole number from `smallest` on."""
    if isinstance(value, bool) or not isinstance(value, int) or value < smallest:
        raise ValueError(f"{name} must be a whole number of at least {smallest}, not {value!r}.")


def _check_text(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, str):
            raise ValueError(f"{type(config).__name__}.{name} must be a text, not {value!r}.")


def _make_tuple(config: object, name: str, what: str) -> None:
    """Turns a list in a field into a tuple; a single text or number in its place is an error."""
    value = getattr(config, name)
    if not isinstance(value, list | tuple):
        raise ValueError(
            f"{type(config).__name__}.{name} must be a tuple of {what}, not {value!r}: write ({value!r},) for one."
        )
    object.__setattr__(config, name, tuple(value))


def _check_positive(config: object, *names: str) -> None:
    for name in names:
        check_whole(f"{type(config).__name__}.{name}", getattr(config, name))


def _check_fraction(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or not 0 <= value < 1:
            raise ValueError(
                f"{type(config).__name__}.{name} must be at least 0 and less than 1, not {value!r}."
            )


def _check_not_negative(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if not isinstance(value, int | float) or value < 0:
            raise ValueError(f"{type(config).__name__}.{name} must not be negative, not {value!r}.")


def _check_choice(config: object, name: str, allowed: Collection[str]) -> None:
    value = getattr(config, name)
    if value not in allowed:
        raise ValueError(
            f"{type(config).__name__}.{name} must be one of {', '.join(allowed)}, not {value!r}."
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters beside projections (https://arxiv.org/abs/2106.09685); only they are trained.

    The adapted projection of x is W x + alpha / rank * B A dropout(x). B starts at zero, so that the model starts as its
    base, and A as in PEFT: uniform, up to 1 / sqrt(inputs).

    Attributes:
        targets: patterns over the projections. Those are `encoder/layers/attention/query` (key, value, out),
            `encoder/layers/mlp/wo` (wi_0, wi_1; wi where the MLP is not gated) and, of the decoder, the same with
            `self_attention` and `encoder_decoder_attention`. "query" means the projections of that name everywhere,
            "decoder/*/value" those of the decoder. All layers have the same adapters.
    """

    rank: int
    alpha: float
    dropout_rate: float = 0.0
    targets: tuple[str, ...] = ("query", "value")  # the paper's choice, and PEFT's for T5

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        _check_positive(self, "rank")
        _check_fraction(self, "dropout_rate")
        is_number = isinstance(self.alpha, int | float) and not isinstance(self.alpha, bool)
        if not is_number or self.alpha <= 0:
            raise ValueError(f"LoraConfig.alpha must be above 0, not {self.alpha!r}.")
        if not self.targets:
            raise ValueError("LoraConfig.targets must hold at least one pattern, such as 'query'.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Dimensions and switches of a T5 encoder-decoder (T5 1.1 unless a switch says otherwise).

    Attributes:
        vocab_size: rows of the embedding; at least the vocabulary's size. T5 pads it to a multiple of 128.
        mlp_activations: one activation per input projection of the MLP; two make it gated (T5 1.1).
        logits_via_embedding: tie the output projection to the embedding, scaled by 1/sqrt(emb_dim) (T5 1.0).
        relative_attention_per_layer: every layer has its own table of position biases (umT5), not one for each tower.
        dtype: of activations; parameters and softmax are always float32.
        scan_layers: hold each tower's layers as one stack; False: each has parameters of its own, by number.
        layer_loop: how a stack runs; parameters and checkpoints stay the same. "scan": a loop, compiles fastest; "unroll":
            code for every layer, runs faster on a CPU; "auto": "unroll" on a CPU, else "scan".
        remat: what the backward pass computes again instead of keeping it. "none"; "full": all but each layer's input;
            "dots": all but the results of projections (t5x's "minimal").
        lora: adapters to train in place of the parameters; None: there are none.
    """

    vocab_size: int
    emb_dim: int
    num_heads: int
    head_dim: int
    mlp_dim: int
    num_encoder_layers: int
    num_decoder_layers: int
    mlp_activations: tuple[str, ...] = ("gelu", "linear")
    logits_via_embedding: bool = False
    relative_attention_num_buckets: int = 32  # T5 paper, section 2.1
    relative_attention_max_distance: int = 128  # T5 paper, section 2.1
    relative_attention_per_layer: bool = False
    dropout_rate: float = 0.1
    dtype: str = "bfloat16"
    scan_layers: bool = True
    layer_loop: str = "auto"
    remat: str = "none"
    lora: LoraConfig | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mlp_activations", tuple(self.mlp_activations))
        _check_positive(
            self,
            "vocab_size",
            "emb_dim",
            "num_heads",
            "head_dim",
            "mlp_dim",
            "num_encoder_layers",
            "num_decoder_layers",
            "relative_attention_num_buckets",
            "relative_attention_max_distance",
        )
        _check_fraction(self, "dropout_rate")
        if self.dtype == "float16":
            raise ValueError(
                "ModelConfig.dtype 'float16' is refused: T5's activations exceed its range (65,504) and become NaN. "
                "Use 'bfloat16' or 'float32'."
            )
        _check_choice(self, "dtype", _DTYPES)
        _check_choice(self, "remat", _REMAT)
        _check_choice(self, "layer_loop", ("auto", "scan", "unroll"))
        for activation in self.mlp_activations:
            if activation not in _ACTIVATIONS:
                raise ValueError(
                    f"ModelConfig.mlp_activations must hold only {', '.join(_ACTIVATIONS)}, not {activation!r}."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which mixture, from where, in which form.

    Attributes:
        mixture: name of a mixture or task to train on.
        modules: Python modules that export TASKS and MIXTURES.
        vocabulary: "bytes", the path of a SentencePiece model or of a Hugging Face folder, or "sentencepiece:SIZE" to
            train one of SIZE pieces, 100 sentinels among them, on the mixture's training split and keep it in the run
            folder. "bytes+100" and "PATH+100" append 100 sentinels, as T5's released file of 32,000 pieces needs.
        inputs_length: encoder row length in tokens.
        targets_length: decoder row length in tokens.
        batch_size: rows of the global batch; a row holds several examples when packed.
        lanes: independent streams of blocks that the mixture is dealt to; divides batch_size. None: the greatest
            common divisor of batch_size and 64.
        block_size: examples that a lane renders, tokenises and packs at a time.
        seqio_modules: Python modules that register plain SeqIO tasks, for members "seqio:NAME"; imported only to prepare
            them.
        data_dir: root of source files; None: the environment's FLANTUNE_DATA_DIR, then the current directory.
        prepared_dir: the prepared store; None: FLANTUNE_PREPARED_DIR, then ~/.cache/flantune/prepared.
        held_out: name of a held-out plan of the modules: `train` refuses a mixture that violates it. What was found is
            kept in the prepared store, so that only the first start takes the time to look.
        max_malformed_fraction: a split with a larger part of malformed rows is not prepared.
        skip_absent: mixtures do without the tasks whose data are neither prepared nor in the data directory; the run's
            log names them. False: such a task is an error.
        loss_weighting: "token": every target token counts once, so a task counts by its targets' length. "example": the
            target tokens of an example count once together, however many they are; times the mixture's mean number of
            target tokens, so that a mean token weighs 1. Weights of tasks and rows (`InstructionTask.loss_weight`)
            multiply either. The loss is divided by the sum of weights, which is the metric num_target_tokens.
    """

    mixture: str
    modules: tuple[str, ...]
    vocabulary: str
    inputs_length: int
    targets_length: int
    batch_size: int
    split: str = "train"
    pack: bool = True
    lanes: int | None = None
    block_size: int = 1024  # 0.5 % over the packing bound on Natural Instructions
    seqio_modules: tuple[str, ...] = ()
    data_dir: str | None = None
    prepared_dir: str | None = None
    max_malformed_fraction: float = 0.01
    held_out: str | None = None
    loss_weighting: str = "token"
    skip_absent: bool = False

    def __post_init__(self) -> None:
        for name in ("modules", "seqio_modules"):
            _make_tuple(self, name, "module names")
        _check_text(self, "mixture", "vocabulary", "split")
        _check_fraction(self, "max_malformed_fraction")
        _check_choice(self, "loss_weighting", _LOSS_WEIGHTINGS)
        _check_positive(self, "inputs_length", "targets_length", "batch_size", "block_size")
        if self.lanes is not None:
            _check_positive(self, "lanes")
            if self.batch_size % self.lanes:
                raise ValueError(
                    f"DataConfig.batch_size ({self.batch_size}) must be a multiple of DataConfig.lanes ({self.lanes})."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """Optimizer, schedule and loss.

    Attributes:
        name: "adafactor" (T5's fine-tuning optimizer) or "adamw".
        learning_rate: multiplied by every factor of the schedule; the peak, except under rsqrt_decay.
        schedule: factors multiplied, by t5x's names: constant, linear_warmup, linear_decay, rsqrt_decay,
            rsqrt_normalized_decay, decay_every, cosine_decay.
        decay_steps: step at which linear_decay and cosine_decay end; None: the run's number of steps.
        end_fraction: of the learning rate, where they end.
        decay_factor: what decay_every multiplies by after each `steps_per_decay` steps.
        weight_decay: of all parameters but norm scales and those that `not_decayed` names.
        not_decayed: patterns, as of `TrainableConfig`.
        max_grad_norm: clip gradients to this global norm; 0: no clipping.
        z_loss: weight of the squared log-partition, in nats squared per token.
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
        _check_choice(self, "name", _OPTIMIZERS)
        _check_not_negative(
            self, "learning_rate", "warmup_steps", "weight_decay", "max_grad_norm", "z_loss"
        )
        _check_fraction(self, "beta1", "beta2", "label_smoothing", "end_fraction", "decay_factor")
        _check_positive(self, "microbatches", "vocabulary_chunks", "steps_per_decay")


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
    """

    path: str
    what: str = "params"
    step: int | None = None

    def __post_init__(self) -> None:
        _check_choice(self, "what", _WHAT)
        if not self.path:
            raise ValueError("InitConfig.path must name a folder.")
        if self.step is not None:
            check_whole("InitConfig.step", self.step, 0)


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
        _check_choice(self, "frozen_dtype", _DTYPES)


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
        _check_positive(self, "save_every_steps", "keep_last")
        check_whole("CheckpointConfig.keep_every_steps", self.keep_every_steps, 0)
        check_whole("CheckpointConfig.keep_best", self.keep_best, 0)
        if bool(self.keep_best) != (self.best_metric is not None):
            raise ValueError(
                f"CheckpointConfig.keep_best ({self.keep_best}) and best_metric ({self.best_metric!r}) go together."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How a prediction is made: greedily, unless a field says otherwise.

    Attributes:
        num_beams: above 1, beam search; the best hypothesis is the prediction.
        alpha: of beam search: scores are divided by ((5 + tokens) / 6) ** alpha.
        temperature: above 0, every token is drawn from the model's distribution at this temperature.
        top_k: draw from the k most probable tokens only; 0: from all.
        top_p: draw from the fewest most probable tokens that together have this probability; 1: from all.
        seed: of the draws, which depend on it, on the prompt's position and on the token's, and on nothing else.
    """

    num_beams: int = 1
    alpha: float = 0.6  # t5x, decoding.beam_search
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        _check_positive(self, "num_beams")
        _check_not_negative(self, "alpha", "temperature")
        check_whole("DecodingConfig.top_k", self.top_k, 0)
        check_whole("DecodingConfig.seed", self.seed, 0)
        if not isinstance(self.top_p, int | float) or not 0 < self.top_p <= 1:
            raise ValueError(
                f"DecodingConfig.top_p must be above 0 and at most 1, not {self.top_p!r}."
            )
        if self.num_beams > 1 and self.temperature > 0:
            raise ValueError(
                f"DecodingConfig.num_beams ({self.num_beams}) above 1 searches and temperature ({self.temperature}) above "
                "0 draws: only one of them can be set."
            )
        if not self.temperature and (self.top_k or self.top_p < 1):
            raise ValueError(
                "DecodingConfig.top_k and top_p restrict what is drawn: set temperature above 0 too."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalSuite:
    """One evaluation: which examples, rendered with which templates.

    Attributes:
        name: of the suite in reports: letters, digits, underscores.
        mixture: a mixture or task; each of its tasks is evaluated alone. None: the run's mixture.
        split: of every task.
        templates: "training", "held_out" (kept for evaluation only) or "all".
        examples_per_task: the first so many rows of the split; None: all.
        answer_by: "generation" compares what the model writes with the references, under the task's own metrics;
            "ranking" compares the probabilities of the answer options, under rank_accuracy/sum, /per_token, /per_byte
            and /pmi.
        metric: the metric of the summary; None: EvalConfig.metric.
    """

    name: str
    mixture: str | None = None
    split: str = "test"
    templates: str = "training"
    examples_per_task: int | None = None
    answer_by: str = "generation"
    metric: str | None = None

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(
                f"EvalSuite.name must be letters, digits and underscores, not {self.name!r}."
            )
        _check_choice(self, "templates", _TEMPLATE_SETS)
        _check_choice(self, "answer_by", _ANSWER_KINDS)
        if self.examples_per_task is not None:
            _check_positive(self, "examples_per_task")


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """Which suites, how often, and how predictions are made.

    Attributes:
        suites: () evaluates nothing.
        metric: the metric of the summary: as tasks name it, for example "exact_match", or of a ranking, for example
            "rank_accuracy/sum". A suite may name another.
        every_steps: evaluate each so many steps too; 0: only after the last step.
        batch_size: prompts decoded together.
        max_decode_length: tokens of a prediction at most.
        inputs_length: tokens of a question at most; None: DataConfig.inputs_length. Questions with exemplars may be longer
            than what is trained on.
        untuned_baseline: evaluate the initial parameters too.
        seed: chooses templates and options of the questions, apart from the run's seed so that runs can be compared.
    """

    suites: tuple[EvalSuite, ...]
    metric: str
    batch_size: int
    max_decode_length: int
    inputs_length: int | None = None
    every_steps: int = 0
    untuned_baseline: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        _make_tuple(self, "suites", "EvalSuites")
        _check_positive(self, "batch_size", "max_decode_length")
        if self.inputs_length is not None:
            _check_positive(self, "inputs_length")
        _check_not_negative(self, "every_steps")
        names = [suite.name for suite in self.suites]
        if len(set(names)) != len(names):
            raise ValueError(f"EvalConfig.suites must have different names, not {names}.")
