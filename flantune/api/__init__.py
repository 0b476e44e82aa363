"""What `import flantune` offers in a notebook: `load`, `batches`, `render`, `ledger`, `train`.

Each is in a module here, and each is a call of what the command line calls too. Nothing is imported here on purpose:
`flantune/__init__.py` hands the names on when they are asked for. `run_files.py` reads run files for all of them.
"""
