"""The T5 encoder-decoder: start with `t5.py`; the rest of the code uses that, and `lora.py` for adapters.

Nothing is imported here on purpose. Below `t5.py` lie `towers.py` (encoder and decoder),
`attention.py` and `layers.py`; `stacking.py` converts between stacked and separate layers.
"""
