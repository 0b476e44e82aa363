"""What other systems write, read here: promptsource's templates (`promptsource.py`), T5X checkpoints (`t5x_checkpoint.py`).

Checkpoints of any kind are a `ParamSource` (`param_source.py`).
"""
