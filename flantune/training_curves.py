"""What a run folder says about its training: the loss of all, of each cluster and of each task, by step.

`training_page.py` draws it; `flantune report RUN_DIR` writes the page.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import json
import re
from typing import TypeAlias

from etils import epath

from flantune.evaluation.training_losses import TrainingLosses

Curve: TypeAlias = tuple[tuple[int, float], ...]
Line: TypeAlias = Mapping[str, int | float | None]

_BY_TASK = re.compile(r"train/task/(.+)/cross_entropy")
_BY_CLUSTER = re.compile(r"train/cluster/(.+)/cross_entropy")
_SHOWN = ("loss", "accuracy", "grad_norm", "learning_rate", "tokens_per_second", "seconds_per_step")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCurves:
    """Values by step, ascending; steps whose value was not finite are left out.

    Attributes:
        run_dir: the run folder.
        overall: by metric, for example "loss"; those that are logged.
        clusters: cross entropy in nats per target token by cluster.
        tasks: the same by task.
        cluster_of: of every task of the mixture.
    """

    run_dir: str
    overall: Mapping[str, Curve]
    clusters: Mapping[str, Curve]
    tasks: Mapping[str, Curve]
    cluster_of: Mapping[str, str]

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
    if not mixture.exists():
        raise ValueError(f"{run_dir} is no run folder: it has no mixture.json.")
    rows = json.loads(mixture.read_text())
    names = dict.fromkeys(name for line in lines for name in line)
    overall = {name: _curve(lines, f"train/{name}") for name in _SHOWN}
    return TrainingCurves(
        run_dir=str(run_dir),
        overall={name: curve for name, curve in overall.items() if curve},
        clusters=_curves(lines, _BY_CLUSTER, names),
        tasks=_curves(lines, _BY_TASK, names),
        cluster_of={str(row["task"]): str(row["cluster"]) for row in rows},
    )


def _curves(
    lines: Sequence[Line], pattern: re.Pattern[str], names: Iterable[str]
) -> dict[str, Curve]:
    matches = ((pattern.fullmatch(name), name) for name in names)
    found = {match[1]: _curve(lines, name) for match, name in matches if match}
    return {name: curve for name, curve in sorted(found.items()) if curve}


def _curve(lines: Sequence[Line], name: str) -> Curve:
    values = ((line["step"], line.get(name)) for line in lines)
    return tuple((int(step or 0), float(value)) for step, value in values if value is not None)
