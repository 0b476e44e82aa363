import dataclasses


@dataclasses.dataclass
class PjitPartitioner:
    num_partitions: int | None = None
    model_parallel_submesh: tuple | None = None
    logical_axis_rules: object = None
