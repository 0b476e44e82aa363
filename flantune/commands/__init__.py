"""One module for each command of `flantune`, or for a few that belong together (`jobs.py`: prepare, train, eval, infer).

`shared.py` has what all share, `process_flags.py` the flags of runs of several processes.
"""
