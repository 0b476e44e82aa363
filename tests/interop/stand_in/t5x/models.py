import dataclasses


@dataclasses.dataclass
class EncoderDecoderModel:
    module: object
    input_vocabulary: object
    output_vocabulary: object
    optimizer_def: object
    decode_fn: object = None
    z_loss: float = 0.0
    label_smoothing: float = 0.0
    loss_normalizing_factor: object = None
