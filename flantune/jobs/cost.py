"""What a run costs at best, before it starts: chip hours of training; questions, tokens, FLOPs and time of its evaluations.

Bounds, not forecasts: every answer counts as if it were as long as `EvalConfig.max_decode_length`, every prompt as if it were
padded to the full length, as the predictor pads it, and the chips as if they ran at their peak (`training/roofline.py`).
"""

from collections.abc import Iterator
import dataclasses
import math

from flantune.configs import DataConfig, DecodingConfig, EvalConfig, EvalSuite, ModelConfig
from flantune.data import catalog as catalog_lib
from flantune.data.store import reader as store_lib
from flantune.training import ahead_of_time, feasibility, flops

_PARAM_BYTES = 4  # parameters are float32
_HOUR_S, _MINUTE_S = 3600, 60
_TERA = 1e12


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationCost:
    """Of one evaluation, but for `times`.

    Attributes:
        times: evaluations of a run: on the way, after the last step, and of the initial parameters.
        generated: questions whose answers are written.
        ranked: questions whose answer options are compared.
        unknown: tasks of which nobody knows how many rows they have, so that their questions are not counted.
        tokens: written at most.
        flops: of written answers, and of one encoder pass for each ranked question and one more without its fields.
        seconds: at best on `place`; None: without one.
    """

    times: int
    generated: int
    ranked: int
    unknown: tuple[str, ...]
    tokens: int
    flops: int
    seconds: float | None
    place: str | None

    def sentence(self) -> str:
        """All of it, in a line."""
        asked = []
        if self.generated:
            asked.append(
                f"{self.generated:,} questions with at most {self.tokens:,} tokens to write"
            )
        if self.ranked:
            asked.append(f"{self.ranked:,} questions to rank the options of")
        at_best = f", {duration(self.seconds)} at best on {self.place}" if self.seconds else ""
        text = (
            f"{self.times} time{'' if self.times == 1 else 's'} {' and '.join(asked) or 'nothing'}: "
            f"{self.flops / _TERA:,.3g} TFLOP each{at_best}"
        )
        if self.unknown:
            shown = f"{self.unknown[0]!r}" + (
                f" and {len(self.unknown) - 1} more" if self.unknown[1:] else ""
            )
            text += f"; not counted, as nobody knows their rows yet: {shown}"
        return text


def training(found: feasibility.Feasibility, num_steps: int) -> str:
    """Time and chip hours of a training at best, in a line.

    Raises:
        ValueError: the step has no bound, since the compiler gave up.
    """
    if found.roofline is None:
        raise ValueError("the least time is not known, since the step does not compile")
    step_s, place = found.roofline.step_s, found.topology
    seconds = step_s * num_steps
    chips = place.num_devices / place.chip.devices_per_chip
    return (
        f"{num_steps:,} steps of {1e3 * step_s:,.3g} ms are {duration(seconds)} at best, bound by {found.roofline.bound_by}: "
        f"{seconds * chips / _HOUR_S:,.3g} chip hours of {place.chip.name}"
    )


def duration(seconds: float) -> str:
    """Example: `duration(5400)` is "1.5 hours"."""
    if seconds < _MINUTE_S:
        return f"{seconds:.2g} s"
    if seconds < _HOUR_S:
        return f"{seconds / _MINUTE_S:.3g} minutes"
    return f"{seconds / _HOUR_S:,.3g} hours"


def of_evaluation(
    model: ModelConfig,
    data: DataConfig,
    evaluation: EvalConfig,
    decoding: DecodingConfig,
    *,
    num_steps: int,
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    place: ahead_of_time.Topology | None,
) -> EvaluationCost:
    """Bounds for the suites of a run; rows are those of the prepared store, else as tasks state them."""
    counts = {"generation": 0, "ranking": 0}
    unknown: dict[str, None] = {}
    for suite in evaluation.suites:
        for task, rows in _rows(suite, data, catalog, store):
            if rows is None:
                unknown[task] = None
            counts[suite.answer_by] += rows or 0
    generated, ranked = counts["generation"], counts["ranking"]
    length = evaluation.inputs_length or data.inputs_length
    longest = evaluation.max_decode_length
    encoder = flops.forward_flops(model, inputs_length=length, targets_length=0).total
    whole = flops.forward_flops(model, inputs_length=length, targets_length=longest).total
    decoder = (whole - encoder) * decoding.num_beams
    total = generated * (encoder + decoder) + 2 * ranked * encoder
    steps = math.ceil(generated / evaluation.batch_size) * longest
    return EvaluationCost(
        times=_times(evaluation, num_steps),
        generated=generated,
        ranked=ranked,
        unknown=tuple(unknown),
        tokens=generated * longest,
        flops=total,
        seconds=None if place is None else _seconds(place, total, steps, model),
        place=None if place is None else place.name,
    )


def _times(evaluation: EvalConfig, num_steps: int) -> int:
    """How often a run evaluates; the last step, which is evaluated anyway, counts once."""
    on_the_way = (num_steps - 1) // evaluation.every_steps if evaluation.every_steps else 0
    return on_the_way + 1 + evaluation.untuned_baseline


def _rows(
    suite: EvalSuite, data: DataConfig, catalog: catalog_lib.Catalog, store: store_lib.Store
) -> Iterator[tuple[str, int | None]]:
    """Each task of a suite and how many questions it has."""
    name = suite.mixture or data.mixture
    for member in catalog.members_here(name):
        task = catalog.task(member)
        manifest = store.manifest(task, suite.split)
        rows = task.published_rows.get(suite.split) if manifest is None else manifest.rows
        if suite.examples_per_task is not None:
            rows = min(rows or suite.examples_per_task, suite.examples_per_task)
        yield member, rows
    yield from ((member, None) for member in catalog.absent(name))


def _seconds(
    place: ahead_of_time.Topology, total_flops: int, decoding_steps: int, model: ModelConfig
) -> float:
    """The least time: to compute, or to read the decoder's parameters once for each token of a batch."""
    one_token = flops.forward_flops(model, inputs_length=0, targets_length=1)
    decoder_bytes = _PARAM_BYTES * (one_token.projections + one_token.logits) // 2
    compute_s = total_flops / (place.chip.peak_flops * place.num_devices)
    memory_s = decoding_steps * decoder_bytes / (place.chip.hbm_bytes_per_s * place.num_devices)
    return max(compute_s, memory_s)
