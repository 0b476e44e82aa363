"""A training run from its configs: `assembly.py` makes its parts, `start.py` opens what it starts from, and
`training_run.py` trains, evaluates and reports.
"""
