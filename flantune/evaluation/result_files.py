"""The results of a step in its run folder, written, added to and read back.

    RUN_DIR/eval/STEP/report.json                        all but the predictions
    RUN_DIR/eval/STEP/baselines.json                     the same of each baseline, by name
    RUN_DIR/eval/STEP/predictions/SUITE/TASK.jsonl       a line for each example; TASK is `report_files.safe_name` of the task

What people read of them is in `views/report.py`; how numbers become JSON is in `results.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import itertools
import json
import math
from typing import Any

from etils import epath

from flantune.evaluation import report_files as files
from flantune.evaluation.results import (
    ClusterResult,
    EvaluationReport,
    PredictionRow,
    RankedOption,
    RankedRow,
    Results,
    SuiteResult,
    TaskResult,
    TemplateResult,
    Written,
)
from flantune.evaluation.statistics import Estimate, Spread
from flantune.host import atomic

_REPORT, _BASELINES, _PREDICTIONS = "report.json", "baselines.json", "predictions"
Json = dict[str, Any]  # whatever JSON holds


def steps(run_dir: epath.PathLike) -> list[int]:
    """The steps that have results, ascending."""
    folder = epath.Path(run_dir) / "eval"
    if not folder.exists():
        return []
    names = [path.name for path in folder.iterdir() if (path / _REPORT).exists()]
    return sorted(int(name) for name in names if name.isdecimal())


def write(run_dir: epath.PathLike, results: Results, *, keep_others: bool = False) -> Written:
    """Writes the results of a step.

    Args:
        run_dir: the run's folder; made where it is missing.
        results: of a model at a step, and of the baselines.
        keep_others: suites of other names that stand there stay; for the same parameters only. Otherwise they go.

    Raises:
        ValueError: the results have no step (a baseline without a model), or what stands there cannot be read.
    """
    tuned = results.tuned
    if tuned.step is None:
        raise ValueError(
            "Only the evaluation of a model has a folder of its own; this report's step is None."
        )
    folder = _folder(run_dir, tuned.step)
    report = tuned.as_json()
    baselines: Json = {name: item.as_json() for name, item in results.baselines.items()}
    before = _read_json(folder / _REPORT) if keep_others else None
    if before is not None:
        baselines = _merged_baselines(
            _read_json(folder / _BASELINES) or {}, baselines, before, report
        )
        report = _merged(before, report)
    for suite in tuned.suites:
        for task in suite.tasks:
            lines = (files.json_text(dataclasses.asdict(row)) + "\n" for row in task.predictions)
            atomic.write_text(_predictions(folder, suite.name, task.name), lines)
    atomic.write_text(folder / _BASELINES, [files.json_text(baselines, indent=2), "\n"])
    # Last: where it is, the rest is complete.
    atomic.write_text(folder / _REPORT, [files.json_text(report, indent=2), "\n"])
    _remove_others(folder, report)
    own = [suite.name for suite in tuned.suites]
    others = [] if before is None else [suite["name"] for suite in before["suites"]]
    return Written(
        folder=str(folder),
        suites=tuple(own),
        replaced=tuple(name for name in others if name in own),
        kept=tuple(name for name in others if name not in own),
    )


def read(run_dir: epath.PathLike, step: int, *, predictions: int = 0) -> Results:
    """The results of a step, with the first so many predictions of each task.

    Raises:
        FileNotFoundError: the step has none.
        ValueError: a file cannot be understood.
    """
    folder = _folder(run_dir, step)
    path = folder / _REPORT
    found = _read_json(path)
    if found is None:
        raise FileNotFoundError(f"{path} does not exist: step {step} was not evaluated.")
    try:
        tuned = _report(found)
        baselines = {name: _report(item) for name, item in read_baselines(run_dir, found).items()}
        tuned = _with_predictions(tuned, folder, predictions) if predictions else tuned
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{path} cannot be understood: {error!r}. Evaluate the step again."
        ) from error
    return Results(tuned=tuned, baselines=baselines)


def read_json(run_dir: epath.PathLike, step: int) -> Json:
    """report.json of a step as it stands.

    Raises:
        ValueError: it is missing or damaged.
    """
    path = _folder(run_dir, step) / _REPORT
    found = _read_json(path)
    if found is None:
        raise ValueError(f"{path} does not exist.")
    return found


def read_baselines(run_dir: epath.PathLike, report: Mapping[str, Any]) -> Json:
    """The baselines that belong to a step's report.json, by name, as JSON; none where they were not kept.

    Without a file of their own they are those of the run's report, if it is of the same step.
    """
    path = _folder(run_dir, report["step"]) / _BASELINES
    if path.exists():
        return _read_json(path) or {}
    of_run = (_read_json(epath.Path(run_dir) / _REPORT) or {}).get("results", {})
    if of_run.get("tuned", {}).get("step") != report["step"]:
        return {}
    return {name: item for name, item in of_run.items() if name != "tuned"}


def _folder(run_dir: epath.PathLike, step: int) -> epath.Path:
    """Where the results of a step are."""
    return epath.Path(run_dir) / "eval" / str(step)


def _read_json(path: epath.Path) -> Json | None:
    """The object of a file; None where it is missing."""
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it and evaluate again.") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no object. Delete it and evaluate again.")
    return found


def _merged(before: Json, after: Json) -> Json:
    """A report with the suites of both; one of the same name is that of `after`, in the place of the former."""
    suites = {suite["name"]: suite for suite in (*before["suites"], *after["suites"])}
    return {
        **after,
        "units": before["units"] | after["units"],
        "suites": list(suites.values()),
    }


def _merged_baselines(before: Json, after: Json, report_before: Json, report_after: Json) -> Json:
    """Baselines of all suites; of a suite that was replaced, those stay that answer the same questions."""
    asked = {suite["name"]: _questions(suite) for suite in report_after["suites"]}
    same = {
        suite["name"]
        for suite in report_before["suites"]
        if asked.get(suite["name"], _questions(suite)) == _questions(suite)
    }
    merged = dict(after)
    for name, baseline in before.items():
        kept = [suite for suite in baseline["suites"] if suite["name"] in same]
        if kept:
            old = {**baseline, "suites": kept}
            merged[name] = _merged(old, after[name]) if name in after else old
    return merged


def _questions(suite: Json) -> list[object]:
    """What tells whether two results of a suite are answers to the same questions."""
    return [
        suite["metric"],
        *(
            (
                task["name"],
                [
                    (one["template_id"], one["num_examples"])
                    for one in task["by_template"]["templates"]
                ],
            )
            for task in suite["tasks"]
        ),
    ]


def _predictions(folder: epath.Path, suite: str, task: str) -> epath.Path:
    return folder / _PREDICTIONS / files.safe_name(suite) / f"{files.safe_name(task)}.jsonl"


def _remove_others(folder: epath.Path, report: Json) -> None:
    """Removes predictions that are of no task of the report."""
    wanted: dict[str, set[str]] = {}
    for suite in report["suites"]:
        for task in suite["tasks"]:
            path = _predictions(folder, suite["name"], task["name"])
            wanted.setdefault(path.parent.name, set()).add(path.name)
    for found in (folder / _PREDICTIONS).iterdir():
        if found.name not in wanted:
            found.rmtree(missing_ok=True)
            continue
        for path in found.iterdir():
            if path.name not in wanted[found.name]:
                path.unlink()


def _report(found: Json) -> EvaluationReport:
    return EvaluationReport(
        step=found["step"], units=found["units"], suites=tuple(map(_suite, found["suites"]))
    )


def _suite(found: Json) -> SuiteResult:
    metric = found["metric"]
    return SuiteResult(
        name=found["name"],
        metric=metric,
        metrics=_estimates(found["metrics"]),
        clusters=tuple(
            ClusterResult(
                name=cluster["name"],
                num_tasks=cluster["num_tasks"],
                metric=metric,
                metrics=_estimates(cluster["metrics"]),
            )
            for cluster in found["clusters"]
        ),
        tasks=tuple(_task(task, metric) for task in found["tasks"]),
    )


def _task(found: Json, metric: str) -> TaskResult:
    spread = found["by_template"]
    return TaskResult(
        name=found["name"],
        cluster=found["cluster"],
        num_examples=found["num_examples"],
        counts=found["counts"],
        metric=metric,
        metrics=_estimates(found["metrics"]),
        spread=Spread(
            num_templates=spread["num_templates"],
            mean=estimate(spread["mean"]),
            median=estimate(spread["median"]),
            **{
                name: _number(spread[name])
                for name in ("quartile_1", "quartile_3", "minimum", "maximum")
            },
        ),
        templates=tuple(
            TemplateResult(
                template_id=one["template_id"],
                num_examples=one["num_examples"],
                estimate=estimate(one),
            )
            for one in spread["templates"]
        ),
        predictions=(),
    )


def estimate(found: Json) -> Estimate:
    """A number and its interval from their JSON, in which null stands for what is not finite."""
    return Estimate(**{name: _number(found[name]) for name in ("value", "low", "high")})


def _estimates(found: Json) -> dict[str, Estimate]:
    """The same of each metric."""
    return {name: estimate(one) for name, one in found.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _with_predictions(report: EvaluationReport, folder: epath.Path, count: int) -> EvaluationReport:
    def suite_with(suite: SuiteResult) -> SuiteResult:
        tasks = (
            dataclasses.replace(
                task, predictions=tuple(_rows(_predictions(folder, suite.name, task.name), count))
            )
            for task in suite.tasks
        )
        return dataclasses.replace(suite, tasks=tuple(tasks))

    return dataclasses.replace(report, suites=tuple(map(suite_with, report.suites)))


def _rows(path: epath.Path, count: int) -> Iterator[PredictionRow]:
    if not path.exists():
        return
    with path.open() as lines:
        for line in itertools.islice(lines, count):
            yield _row(json.loads(line))


def _row(found: Json) -> PredictionRow:
    values = {**found, "references": tuple(found["references"])}
    if "options" not in found:
        return PredictionRow(**values)
    options: Sequence[Json] = values.pop("options")
    return RankedRow(
        **{**values, "right": tuple(values["right"])},
        options=tuple(RankedOption(**option) for option in options),
    )
