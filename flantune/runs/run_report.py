"""The report of a run from what its folder holds: while it trains, before any evaluation, or at its end.

`gather` reads, `views/report.py` writes. What a folder does not say is left out, so that folders of earlier versions have a
report too.
"""

from collections.abc import Mapping
import json

from etils import epath

from flantune import run_folder
from flantune.evaluation import curves as evaluation_curves, result_files
from flantune.evaluation.results import Results
from flantune.run_folder import config_text, restarts
from flantune.runs import assembly
from flantune.training import metrics, wall_time
from flantune.views import report, report_markdown, training_curves
from flantune.views.report_content import Content

# Facts that are found nowhere else in the folder of a run that was started without a run file.
_OF_THE_CALLER = ("mixture", "steps", "devices", "notes")


def write(run_dir: epath.PathLike, known: Mapping[str, object]) -> None:
    """Writes report.html, report.md and report.json; `known` are facts of the run that win over what its folder says."""
    report.write_report(run_dir, gather(run_dir, known))


def gather(run_dir: epath.PathLike, known: Mapping[str, object] | None = None) -> Content:
    """What a run folder holds for its report.

    Raises:
        ValueError: it is no run folder, or a file in it is damaged.
    """
    folder = epath.Path(run_dir)
    training = training_curves.read(folder, metrics.read_metrics(folder))
    starts = restarts.read(folder)
    first, last = _steps(folder)
    found = _last_results(folder, last)
    facts = _facts(folder, training, starts[-1].devices if starts else None, last)
    return Content(
        run=_in_order(facts | dict(known or {})),
        training=training,
        evaluations=evaluation_curves.read(folder, first_step=first, last_step=last),
        starts=starts,
        tuned=None if found is None else found.tuned,
        baselines={} if found is None else found.baselines,
    )


def _steps(folder: epath.Path) -> tuple[int, int | None]:
    """Steps done before training, and up to now; none where no session is known."""
    sessions = wall_time.read(folder).sessions
    if not sessions:
        return 0, None
    return sessions[0].first_step - 1, sessions[-1].last_step


def _last_results(folder: epath.Path, last_step: int | None) -> Results | None:
    steps = [step for step in result_files.steps(folder) if last_step is None or step <= last_step]
    if not steps:
        return None
    return result_files.read(folder, steps[-1], predictions=report_markdown.SAMPLES_PER_TASK)


def _facts(
    folder: epath.Path,
    training: training_curves.TrainingCurves,
    devices: str | None,
    last_step: int | None,
) -> dict[str, object]:
    """The facts of the run: of its config and records, else of the report that it had before."""
    config = folder / run_folder.CONFIG
    bound = config_text.bindings(config.read_text()) if config.exists() else {}
    said = {
        "mixture": config_text.literal(bound, "DataConfig.mixture"),
        "steps": _progress(last_step, config_text.literal(bound, "train.num_steps")),
        "devices": devices,
        "notes": config_text.literal(bound, "train.notes"),
    }
    return {
        **_facts_before(folder),
        **assembly.start_facts(folder),
        "training_seconds": round(assembly.training_seconds(folder)),
        **training.wall_time,
        **training.figures(),
        **{name: value for name, value in said.items() if value is not None},
    }


def _progress(done: int | None, wanted: object) -> object:
    """Steps of the run, those still to do among them: 2000, or "1,200 of 2,000"."""
    if done is None or not isinstance(wanted, int) or done >= wanted:
        return wanted
    return f"{done:,} of {wanted:,}"


def _facts_before(folder: epath.Path) -> dict[str, object]:
    path = folder / "report.json"
    if not path.exists():
        return {}
    try:
        run = json.loads(path.read_text())["run"]
        return {name: run[name] for name in _OF_THE_CALLER if name in run}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}). Delete it: it is written anew.") from error


def _in_order(facts: Mapping[str, object]) -> dict[str, object]:
    """What a run is comes first, its notes last."""
    first = [name for name in ("mixture", "steps", "started_from", "devices") if name in facts]
    return {name: facts[name] for name in (*first, *facts)} | (
        {"notes": facts["notes"]} if "notes" in facts else {}
    )
