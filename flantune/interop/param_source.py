"""`ParamSource`: the parameters of a T5 on disk, whatever wrote them, read one array or a part of one at a time.

Every reader offers names as t5x's T5 has them, joined by "/", with separate layers and kernels as [inputs, outputs]:
`encoder/layers_0/attention/query/kernel`. With a bias per layer (umT5) it is
`encoder/layers_0/relpos_bias/rel_embedding` of each layer instead of one `encoder/relpos_bias/rel_embedding`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np

Index: TypeAlias = tuple[slice, ...]


@dataclasses.dataclass(frozen=True)
class ArrayInfo:
    """Shape and stored dtype of an array; bfloat16 is that of ml_dtypes."""

    shape: tuple[int, ...]
    dtype: np.dtype


@runtime_checkable
class ParamSource(Protocol):
    """Where parameters come from. Making one reads metadata only."""

    @property
    def description(self) -> str:
        """What begins a message about it: "The T5X checkpoint runs/a/checkpoint_8"."""

    @property
    def arrays(self) -> Mapping[str, ArrayInfo]:
        """Every parameter by name."""

    def read(self, name: str, index: Index | None = None) -> np.ndarray:
        """A parameter in its stored dtype, or the part of it that `index` selects; reads no more than needed."""
