import dataclasses


@dataclasses.dataclass
class Adafactor:
    decay_rate: float = 0.8
    step_offset: int = 0
    logical_factor_rules: object = None
