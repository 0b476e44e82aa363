"""A training run: `job.py` what it is given, `build.py` its parts, made and checked, `training_run.py` trained, evaluated
and reported; `start.py` opens what it starts from, `vocabulary.py` finds its vocabulary, `run_log.py` keeps its log.
"""
