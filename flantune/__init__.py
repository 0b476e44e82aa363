"""flantune: FLAN-style multi-task instruction tuning of T5 in JAX.

    model = flantune.load("runs/mine")
    model.predict(["Sort: 3 1 2"])

`load`, `batches`, `render`, `ledger` and `train` are those of `api/`, imported when they are asked for: `import flantune` costs
nothing. Start reading at `experiments.py`; README.md, in this folder, says what stands where.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["batches", "ledger", "load", "render", "train"]

if TYPE_CHECKING:
    from flantune.api.batches import batches
    from flantune.api.ledger import ledger
    from flantune.api.load import load
    from flantune.api.render import render
    from flantune.api.train import train
else:  # hidden from type checkers, which would take any name for one that is there

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{__name__}.api.{name}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
