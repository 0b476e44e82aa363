"""Training: mesh and axis rules, loss, optimizers, state, step, checkpoints, metrics and the loop.

Nothing is imported here on purpose: `from flantune.training import trainer` loads what it needs, and never TensorFlow.
Start reading at `trainer.py`.
"""
