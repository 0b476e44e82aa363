"""flantune: FLAN-style multi-task instruction tuning of T5 in JAX.

Nothing is imported here on purpose: `import flantune` must cost nothing. Start reading at `experiments.py`; README.md, in
this folder, says what stands where.
"""

__version__ = "0.1.0"
