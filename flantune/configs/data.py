"""What is trained on."""

import dataclasses

from flantune.configs import checks

_LOSS_WEIGHTINGS = ("token", "example")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which mixture, from where, in which form.

    Attributes:
        mixture: name of a mixture or task to train on.
        modules: Python modules that export TASKS and MIXTURES.
        vocabulary: "bytes", the path of a SentencePiece model or of a Hugging Face folder, or "sentencepiece:SIZE" to
            train one of SIZE pieces, 100 sentinels among them, on the mixture's training split and keep it in the run
            folder. "bytes+100" and "PATH+100" append 100 sentinels, as T5's released file of 32,000 pieces needs.
            "start" is the vocabulary that the parameters of `InitConfig.path` know.
        inputs_length: encoder row length in tokens.
        targets_length: decoder row length in tokens.
        batch_size: rows of the global batch; a row holds several examples when packed.
        split: of the mixture's tasks to train on.
        pack: several examples stand in a row, each seeing itself alone; False: one a row.
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
    inputs_length: int
    targets_length: int
    batch_size: int
    vocabulary: str = "start"
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
            checks.make_tuple(self, name, "module names")
        checks.check_text(self, "mixture", "vocabulary", "split")
        checks.check_fraction(self, "max_malformed_fraction")
        checks.check_choice(self, "loss_weighting", _LOSS_WEIGHTINGS)
        checks.check_positive(self, "inputs_length", "targets_length", "batch_size", "block_size")
        if self.lanes is not None:
            checks.check_positive(self, "lanes")
            if self.batch_size % self.lanes:
                raise ValueError(
                    f"DataConfig.batch_size ({self.batch_size}) must be a multiple of DataConfig.lanes ({self.lanes})."
                )
