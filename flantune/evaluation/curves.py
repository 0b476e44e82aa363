"""How each suite's summary metric went over the steps of a run, beside the best constant answer. Read from `result_files.py`.

`views/report_curves.py` draws it; the curves of the training are `views/training_curves.py`.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from etils import epath

from flantune import metrics as metrics_lib
from flantune.evaluation import result_files
from flantune.evaluation.statistics import Estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Point:
    """An evaluation of a suite.

    Attributes:
        estimate: mean of the summary metric over the suite's tasks, with its interval.
        majority: the same of the majority baseline; None where it is not known.
        is_below: whether the majority baseline is better.
    """

    step: int
    estimate: Estimate
    majority: float | None
    is_below: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationCurve:
    """A suite under one summary metric; a suite whose metric changed has a curve for each.

    Attributes:
        unit: a name of `metrics.UNITS`.
        points: at least one, their steps ascending.
    """

    suite: str
    metric: str
    unit: str
    points: tuple[Point, ...]

    def as_json(self) -> dict[str, object]:
        """Everything, with the numbers of a point side by side."""
        points = [
            {
                "step": point.step,
                **dataclasses.asdict(point.estimate),
                "majority": point.majority,
                "is_below_majority": point.is_below,
            }
            for point in self.points
        ]
        return {
            "suite": self.suite,
            "metric": self.metric,
            "unit": self.unit,
            "points": points,
        }


def read(
    run_dir: epath.PathLike, *, first_step: int = 0, last_step: int | None = None
) -> tuple[EvaluationCurve, ...]:
    """The curves of a run folder, those of the last evaluation's suites first.

    Args:
        run_dir: the folder.
        first_step: of the parameters before training, whose results are the "untuned" baseline of an evaluation.
        last_step: the last that counts: what stands at later ones is of steps that a restart undid. None: all count.
    """
    points: dict[tuple[str, str, str], dict[int, Point]] = {}
    for step in reversed(result_files.steps(run_dir)):
        if last_step is not None and step > last_step:
            continue
        try:
            for key, point in _points_of(run_dir, step, first_step):
                points.setdefault(key, {}).setdefault(point.step, point)
        except (KeyError, TypeError) as error:
            raise ValueError(
                f"The evaluation of step {step} in {run_dir} cannot be understood: {error!r}. Evaluate the step again."
            ) from error
    return tuple(
        EvaluationCurve(
            suite=suite,
            metric=metric,
            unit=unit,
            points=tuple(point for _, point in sorted(found.items())),
        )
        for (suite, metric, unit), found in points.items()
    )


def _points_of(
    run_dir: epath.PathLike, step: int, first_step: int
) -> Iterator[tuple[tuple[str, str, str], Point]]:
    """The points of a step, and those before training that it knows."""
    report = result_files.read_json(run_dir, step)
    baselines = result_files.read_baselines(run_dir, report)
    yield from _points(step, report, baselines.get("majority"))
    if "untuned" in baselines:
        yield from _points(first_step, baselines["untuned"], baselines.get("majority"))


def _points(
    step: int, report: Mapping[str, Any], majority: Mapping[str, Any] | None
) -> Iterator[tuple[tuple[str, str, str], Point]]:
    """The point of each suite of a report, with suite, metric and unit."""
    constant = {suite["name"]: suite for suite in ([] if majority is None else majority["suites"])}
    for suite in report["suites"]:
        metric = suite["metric"]
        unit = report["units"][metric]
        estimate = result_files.estimate(suite["metrics"][metric])
        found = constant.get(suite["name"], {"metrics": {}})["metrics"].get(metric)
        best = None if found is None else result_files.estimate(found).value
        yield (
            (suite["name"], metric, unit),
            Point(
                step=step,
                estimate=estimate,
                majority=best,
                is_below=best is not None and is_worse(estimate.value, best, unit),
            ),
        )


def is_worse(value: float, other: float, unit: str) -> bool:
    """Whether a score is worse than another in the same unit."""
    return value > other if metrics_lib.UNITS[unit].lower_is_better else value < other
