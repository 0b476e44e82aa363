"""The training loss as a report shows it: of all tokens, of each cluster and of each task. Its caller fills it in."""

from collections.abc import Mapping, Sequence
import dataclasses

Curve = Sequence[tuple[int, float]]  # (step, loss in nats per target token), ascending


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingLosses:
    """How the training loss went.

    Attributes:
        overall: as logged; may be empty.
        clusters: cross entropy by cluster, each over the tokens since the line before; at least one point each.
        tasks: the same by task.
        cluster_of: of each task in `tasks`.
    """

    overall: Curve = ()
    clusters: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
    tasks: Mapping[str, Curve] = dataclasses.field(default_factory=dict)
    cluster_of: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """First and last value of all, of each cluster and of each task."""
        return {
            "num_points": len(self.overall),
            **(_ends(self.overall) if self.overall else {"first": None, "last": None}),
            "clusters": {name: _ends(curve) for name, curve in self.clusters.items()},
            "tasks": {
                name: {"cluster": self.cluster_of[name], **_ends(curve)}
                for name, curve in self.tasks.items()
            },
        }


def _ends(curve: Curve) -> dict[str, object]:
    ends = {"first": curve[0], "last": curve[-1]}
    return {name: {"step": step, "loss": loss} for name, (step, loss) in ends.items()}
