"""What is evaluated, and how predictions are made."""

import dataclasses

from flantune.configs import checks

_TEMPLATE_SETS = ("training", "held_out", "all")
_ANSWER_KINDS = ("generation", "ranking")


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
        checks.check_positive(self, "num_beams")
        checks.check_not_negative(self, "alpha", "temperature")
        checks.check_whole("DecodingConfig.top_k", self.top_k, 0)
        checks.check_whole("DecodingConfig.seed", self.seed, 0)
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
        checks.check_choice(self, "templates", _TEMPLATE_SETS)
        checks.check_choice(self, "answer_by", _ANSWER_KINDS)
        if self.examples_per_task is not None:
            checks.check_positive(self, "examples_per_task")


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
        checks.make_tuple(self, "suites", "EvalSuites")
        checks.check_positive(self, "batch_size", "max_decode_length")
        if self.inputs_length is not None:
            checks.check_positive(self, "inputs_length")
        checks.check_not_negative(self, "every_steps")
        names = [suite.name for suite in self.suites]
        if len(set(names)) != len(names):
            raise ValueError(f"EvalConfig.suites must have different names, not {names}.")
