"""What a command does beyond one call of `experiments.py`: gin files, recipes, ledgers, conversion, new
projects, checks before a launch.

`gin_files.py` is the only module that imports gin; `task_search.py` stands in where no gin file is named.
"""
