"""Evaluation rows found again in training prompts, by words in a row: `text.py` says what is compared, `index.py` and
`keys.py` compare it, `rows.py` makes it of a task's rows, `scan.py` looks through a mixture in worker processes.
"""
