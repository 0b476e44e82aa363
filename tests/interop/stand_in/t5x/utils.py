import dataclasses


@dataclasses.dataclass
class DatasetConfig:
    mixture_or_task_name: str
    task_feature_lengths: dict
    split: str
    batch_size: int
    shuffle: bool
    seed: int | None
    use_cached: bool = False
    pack: bool = False
    use_custom_packing_ops: bool = False
    module: str | None = None
    use_memory_cache: bool = True
    trim_output_features: bool = True


@dataclasses.dataclass
class SaveCheckpointConfig:
    dtype: str = "float32"
    period: int | None = None
    checkpoint_steps: tuple | None = None
    keep: int | None = None
    keep_dataset_checkpoints: int | None = None
    save_dataset: bool = False


@dataclasses.dataclass
class RestoreCheckpointConfig:
    path: object
    mode: str = "latest"
    assignment_map: tuple | None = None
    strict: bool = True
    fallback_to_scratch: bool = False
    dtype: str | None = None
    restore_dataset: bool = False
    state_transformation_fns: tuple = ()


@dataclasses.dataclass
class CheckpointConfig:
    save: SaveCheckpointConfig | None = None
    restore: RestoreCheckpointConfig | None = None


@dataclasses.dataclass
class create_learning_rate_scheduler:  # noqa: N801 - t5x's name
    factors: str = "constant * linear_warmup * rsqrt_decay"
    base_learning_rate: float = 0.5
    warmup_steps: int = 1000
    decay_factor: float = 0.5
    steps_per_decay: int = 20000
    steps_per_cycle: int = 100000
    step_offset: int = 0
    min_learning_rate: float = 1e-8
