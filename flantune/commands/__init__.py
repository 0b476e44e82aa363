"""One module for each command of `flantune` (`evaluate.py`: `eval`). `shared.py` has what all share, `process_flags.py` the flags
of runs of several processes.
"""
