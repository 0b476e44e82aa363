"""What a run folder says about its training: losses of all, of clusters and of tasks by step, speed, memory, wall time.

`report_curves.py` draws it; how evaluations went is `evaluation/curves.py`.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import json
import re
import statistics
from typing import TypeAlias

from etils import epath

from flantune.training import wall_time
from flantune.views.training_losses import TrainingLosses

Curve: TypeAlias = tuple[tuple[int, float], ...]
Line: TypeAlias = Mapping[str, int | float | None]

_BY_TASK = re.compile(r"train/task/(.+)/cross_entropy")
_BY_CLUSTER = re.compile(r"train/cluster/(.+)/cross_entropy")
_SHOWN = (
    "loss",
    "accuracy",
    "grad_norm",
    "learning_rate",
    "goodput",
    "tokens_per_second",
    "examples_per_second",
    "seconds_per_step",
    "data_wait_seconds_per_step",
    "model_flops_utilisation",
    "device_peak_bytes",
    "host_peak_bytes",
)
_SPEEDS = (
    "tokens_per_second",
    "examples_per_second",
    "seconds_per_step",
    "data_wait_share",
    "model_flops_utilisation",
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCurves:
    """Values by step, ascending; steps whose value was not finite are left out.

    Attributes:
        run_dir: the run folder.
        overall: by metric, for example "loss"; those that are logged, and "data_wait_share" of the time of steps.
        clusters: cross entropy in nats per target token by cluster.
        tasks: the same by task.
        cluster_of: of every task of the mixture.
        wall_time: of all sessions, as `wall_time.WallTime.as_json` has it.
    """

    run_dir: str
    overall: Mapping[str, Curve]
    clusters: Mapping[str, Curve]
    tasks: Mapping[str, Curve]
    cluster_of: Mapping[str, str]
    wall_time: Mapping[str, float]

    def as_json(self) -> dict[str, object]:
        """Everything, for `--json`."""
        return dataclasses.asdict(self)

    def losses(self) -> TrainingLosses:
        """What a report shows; a task that has left the mixture since is of the cluster ""."""
        return TrainingLosses(
            overall=self.overall.get("loss", ()),
            clusters=self.clusters,
            tasks=self.tasks,
            cluster_of={name: self.cluster_of.get(name, "") for name in self.tasks},
        )

    def figures(self) -> dict[str, float]:
        """What a report says of speed and memory: medians over the lines, and the highest memory; those that are known."""
        found = {
            f"median_{name}": statistics.median(value for _, value in self.overall[name])
            for name in _SPEEDS
            if name in self.overall
        }
        return found | {
            name: max(value for _, value in self.overall[name])
            for name in ("device_peak_bytes", "host_peak_bytes")
            if name in self.overall
        }

    def tasks_of(self, cluster: str) -> dict[str, Curve]:
        """The curves of a cluster's tasks, by name."""
        return {
            name: curve
            for name, curve in sorted(self.tasks.items())
            if self.cluster_of.get(name) == cluster
        }


def read(run_dir: epath.PathLike, lines: Sequence[Line]) -> TrainingCurves:
    """The curves of a run folder.

    Args:
        run_dir: the folder; its `mixture.json` says which task is of which cluster.
        lines: of its `metrics.jsonl`.

    Raises:
        ValueError: the folder is no run folder.
    """
    mixture = epath.Path(run_dir) / "mixture.json"
    # A run that was converted has none, but may have been evaluated.
    if not mixture.exists() and not (epath.Path(run_dir) / "eval").exists():
        raise ValueError(f"{run_dir} is no run folder: it has neither mixture.json nor eval/.")
    rows = json.loads(mixture.read_text()) if mixture.exists() else []
    names = dict.fromkeys(name for line in lines for name in line)
    overall = {name: _curve(lines, f"train/{name}") for name in _SHOWN}
    overall["data_wait_share"] = _shares(
        overall.pop("data_wait_seconds_per_step"), overall["seconds_per_step"]
    )
    return TrainingCurves(
        run_dir=str(run_dir),
        overall={name: curve for name, curve in overall.items() if curve},
        clusters=_curves(lines, _BY_CLUSTER, names),
        tasks=_curves(lines, _BY_TASK, names),
        cluster_of={str(row["task"]): str(row["cluster"]) for row in rows},
        wall_time=wall_time.read(run_dir).as_json(),
    )


def _curves(
    lines: Sequence[Line], pattern: re.Pattern[str], names: Iterable[str]
) -> dict[str, Curve]:
    matches = ((pattern.fullmatch(name), name) for name in names)
    found = {match[1]: _curve(lines, name) for match, name in matches if match}
    return {name: curve for name, curve in sorted(found.items()) if curve}


def _shares(parts: Curve, wholes: Curve) -> Curve:
    """Each part by the whole of its step."""
    whole_at = dict(wholes)
    return tuple((step, part / whole_at[step]) for step, part in parts if whole_at.get(step))


def _curve(lines: Sequence[Line], name: str) -> Curve:
    values = ((line["step"], line.get(name)) for line in lines)
    return tuple((int(step or 0), float(value)) for step, value in values if value is not None)
