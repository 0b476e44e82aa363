import dataclasses


@dataclasses.dataclass
class Trainer:
    num_microbatches: int | None = None
    learning_rate_fn: object = None
