"""`Content`: what the report of a run shows, whatever there is of it yet. `runs/run_report.py` gathers it.

`report.py` writes it in three forms; it takes any part that is missing for what has not happened yet.
"""

from collections.abc import Mapping
import dataclasses

from flantune.evaluation.curves import EvaluationCurve
from flantune.evaluation.results import EvaluationReport
from flantune.run_folder.restarts import Change, Start
from flantune.views.training_curves import TrainingCurves


@dataclasses.dataclass(frozen=True, kw_only=True)
class Content:
    """A run as its report shows it.

    Attributes:
        run: facts that JSON can hold, in the order to show them: mixture, steps, seconds, device, notes.
        training: losses, speed, memory and wall time by step.
        evaluations: the suites' summary metrics by step.
        starts: of the run, as far as they were recorded.
        tuned: the last evaluation; None: there is none yet.
        baselines: results to compare it with on the same suites, or on those that they can answer, by name: "untuned",
            "majority", "copy", "chance".

    Raises:
        ValueError: a baseline has a suite, tasks or a metric that the tuned results do not have.
    """

    run: Mapping[str, object]
    training: TrainingCurves
    evaluations: tuple[EvaluationCurve, ...] = ()
    starts: tuple[Start, ...] = ()
    tuned: EvaluationReport | None = None
    baselines: Mapping[str, EvaluationReport] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.tuned is not None:
            for name, baseline in self.baselines.items():
                _check_comparable(name, baseline, self.tuned)

    def restarts(self) -> tuple["Restart", ...]:
        """The starts at which something differed from the start before, numbered as the page marks them."""
        found: list[Restart] = []
        for before, start in zip((None, *self.starts), self.starts, strict=False):
            changed = start.changed
            if before is not None and before.devices != start.devices:
                devices = Change(name="devices", before=before.devices, after=start.devices)
                changed = (devices, *changed)
            if changed:
                found.append(
                    Restart(
                        number=len(found) + 1, step=start.step, time=start.time, changed=changed
                    )
                )
        return tuple(found)

    def last_step(self) -> int:
        """The highest step that a curve has; 0 where there is none."""
        steps = [curve.points[-1].step for curve in self.evaluations]
        steps += [curve[-1][0] for curve in self.training.overall.values()]
        return max(steps, default=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Restart:
    """A start that changed something.

    Attributes:
        number: from 1.
        step: steps done before it.
        time: seconds since 1970.
        changed: bindings, and the devices.
    """

    number: int
    step: int
    time: float
    changed: tuple[Change, ...]


def _check_comparable(name: str, baseline: EvaluationReport, tuned: EvaluationReport) -> None:
    if name == "tuned" or name in tuned.summary():
        raise ValueError(f"A baseline cannot be named {name!r}: report.json has that key already.")
    known = _shape(tuned)
    for suite, shape in _shape(baseline).items():
        if known.get(suite) != shape:
            raise ValueError(
                f"Baseline {name!r} does not fit the tuned results: metric and tasks of suite {suite!r} must be the "
                f"same, not {shape} beside {known.get(suite)}."
            )


def _shape(report: EvaluationReport) -> dict[str, tuple[str, list[str]]]:
    return {
        suite.name: (suite.metric, [task.name for task in suite.tasks]) for suite in report.suites
    }
