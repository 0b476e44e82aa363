"""What gin binds: frozen dataclasses that check their own fields (`checks.py`).

Defaults of switches live here; sizes and hyperparameters have no default and come from `gin/`. A wrong value raises
`ValueError` with the field, the value and what is allowed. One file an area: `model.py`, `data.py`, `training.py`,
`evaluation.py`. Read `experiments.py` next: it takes these, and what it calls turns them into objects.
"""

from flantune.configs.checks import check_whole
from flantune.configs.data import DataConfig
from flantune.configs.evaluation import DecodingConfig, EvalConfig, EvalSuite
from flantune.configs.model import LoraConfig, ModelConfig
from flantune.configs.training import (
    CheckpointConfig,
    InitConfig,
    MeshConfig,
    OptimizerConfig,
    TrainableConfig,
)

__all__ = [
    "CheckpointConfig",
    "DataConfig",
    "DecodingConfig",
    "EvalConfig",
    "EvalSuite",
    "InitConfig",
    "LoraConfig",
    "MeshConfig",
    "ModelConfig",
    "OptimizerConfig",
    "TrainableConfig",
    "check_whole",
]
