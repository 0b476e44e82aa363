"""What other systems write, read here, and written for them: promptsource's templates (`promptsource.py`), checkpoints of
T5X (`t5x_checkpoint.py`, `t5x_native.py`, `t5x_orbax.py`) and of Hugging Face (`huggingface.py`), adapters of PEFT
(`peft_writer.py`).

Parameters of any kind are a `ParamSource` (`param_source.py`); `load_params.py` makes jax arrays of one.
"""
