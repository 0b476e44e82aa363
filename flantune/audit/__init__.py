"""What is known of a mixture before money is spent: what it holds (`describe.py`, `published.py`, `ledger/`), what its
prompts and vocabulary do wrong (`lint/`, `vocabulary_report.py`), what it shares with evaluation (`overlap/`,
`held_out.py`, `leakage.py`).
"""
