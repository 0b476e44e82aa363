"""A run that trained adapters or chosen parameters, as the whole plain model that it is together with its base.

Adapters are added to their kernels in float32: W + alpha / rank * A B. Nothing is computed before it is read, and then
only the part that is asked for.
"""

from collections.abc import Mapping
import dataclasses
import functools

import numpy as np

from flantune.configs import LoraConfig
from flantune.interop import param_source
from flantune.models import lora as lora_lib

_KERNEL = "/kernel"


@dataclasses.dataclass(frozen=True)
class MergedRun:
    """A `ParamSource`.

    Attributes:
        run: what was trained: the checkpoint of a run.
        base: all other parameters, and the kernels that adapters belong to.
        lora: of the run's model; None: it has no adapters.
        base_path: where the base is, if that is a Hugging Face folder.
    """

    run: param_source.ParamSource
    base: param_source.ParamSource
    lora: LoraConfig | None
    base_path: str | None = None

    @property
    def description(self) -> str:
        return f"{self.run.description}, with its base"

    @functools.cached_property
    def arrays(self) -> Mapping[str, param_source.ArrayInfo]:
        """Every parameter by name; those that are merged are float32."""
        trained = {
            name: info for name, info in self.run.arrays.items() if not lora_lib.is_adapter(name)
        }
        merged = {
            name: dataclasses.replace(info, dtype=np.dtype(np.float32))
            for name, info in self.base.arrays.items()
            if self._adapter(name) is not None
        }
        return {**self.base.arrays, **merged, **trained}

    def _adapter(self, name: str) -> tuple[str, str] | None:
        """Names of the adapter of a kernel, if it has one."""
        names = tuple(f"{name.removesuffix(_KERNEL)}/{part}" for part in lora_lib.NAMES)
        return (names[0], names[1]) if names[0] in self.run.arrays else None

    def read(self, name: str, index: param_source.Index | None = None) -> np.ndarray:
        adapter = self._adapter(name)
        if adapter is None:
            return (self.run if name in self.run.arrays else self.base).read(name, index)
        assert self.lora is not None  # a run without one has no adapters
        kernel = (self.run if name in self.run.arrays else self.base).read(name, index)
        rows, columns = (*(index or ()), slice(None), slice(None))[:2]
        lora_a, lora_b = (self.run.read(part) for part in adapter)
        added = lora_lib.delta(self.lora, lora_a[rows], lora_b[:, columns])
        return kernel.astype(np.float32) + np.asarray(added)
