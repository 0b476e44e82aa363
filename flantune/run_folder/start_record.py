"""What a run started from, as its folder keeps it in `start.json`: source, seed, model, and what is trained.

Written once, at the first start, with the other files of `names.py`. Whoever needs the frozen parameters of a run again reads it: a run that continues,
`eval`, `infer`, and what exports adapters.
"""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from etils import epath

from flantune.configs import LoraConfig, ModelConfig, TrainableConfig

FILE = "start.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class StartRecord:
    """The start of a run.

    Attributes:
        seed: of the run; parameters that no source gave were drawn from it.
        model: of the run.
        trainable: which parameters are trained; None: all, or the adapters of `model.lora`.
        path: of the source; None: the run started from the seed alone.
        kind: of the source: "flantune", "hf" or "t5x".
        what: "params" or "everything".
        step: of the source, where it counts steps.
        fingerprint: of all parameters at the start.
        trained_parameters: how many numbers are trained.
        parameters: how many there are.
    """

    seed: int
    model: ModelConfig
    trainable: TrainableConfig | None
    path: str | None
    kind: str | None
    what: str | None
    step: int | None
    fingerprint: str
    trained_parameters: int
    parameters: int

    @property
    def is_partial(self) -> bool:
        """Whether some parameters are frozen, and so not in the run's checkpoints."""
        return self.trained_parameters < self.parameters

    def describe(self) -> str:
        """One line for the report."""
        if self.path is None:
            source = f"seed {self.seed}"
        else:
            step = "" if self.step is None else f", step {self.step}"
            source = f"{self.what} of {self.path} ({self.kind}{step})"
        return f"{source}, fingerprint {self.fingerprint}"

    def files(self) -> dict[str, str]:
        """What the run folder keeps of it, by file name."""
        return {FILE: json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"}


def read(run_dir: epath.PathLike) -> StartRecord | None:
    """The record of a run folder; None where it has none, as a run that `flantune convert` made.

    Raises:
        ValueError: the file cannot be understood.
    """
    path = epath.Path(run_dir) / FILE
    if not path.exists():
        return None
    try:
        values = _tuples(json.loads(path.read_text()))
        trainable = values["trainable"]
        values["model"] = model_of(values["model"])
        values["trainable"] = trainable and TrainableConfig(**trainable)
        return StartRecord(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from error


def model_of(values: Mapping[str, Any]) -> ModelConfig:  # Any: whatever JSON holds
    """The model that JSON describes, as `dataclasses.asdict` wrote it.

    Raises:
        ValueError, TypeError: it describes none.
    """
    fields = _tuples(values)
    lora = fields.pop("lora", None)
    return ModelConfig(**fields, lora=lora and LoraConfig(**lora))


def _tuples(value: Any) -> Any:  # Any: whatever JSON holds
    """The same value with tuples for lists."""
    if isinstance(value, Mapping):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
