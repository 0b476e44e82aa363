"""What a run trains on, task by task: planned (`plan.py`, `rows.py`, `totals.py`), counted (`counts.py`) and compared
(`comparison.py`, `diff.py`).
"""
