"""Evaluation of predictions: scores per task, template, cluster and suite, beside baselines.

Read `evaluator.py` first, then `results.py` (what it returns), `aggregation.py` and `statistics.py` (means and
intervals), `result_files.py` (where they are kept); `views/report.py` writes the report.
How predictions are made is not here: the evaluator is given a function, usually a predictor of `flantune.inference`.
"""
