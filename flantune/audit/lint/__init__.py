"""What is wrong with templates and rows, seen through the real vocabulary: `job.py` does it for modules, `check.py` for a
task, and each of the others looks for one kind of finding (`findings.py`).
"""
