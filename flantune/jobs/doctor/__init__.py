"""What can be wrong with a machine, an installation and folders. `flantune doctor` prints it.

`examination.py` has all checks in their order. Each gathers facts, then a pure function judges them: `software.py` Python,
packages and what hides them, `devices.py` accelerators, `storage.py` memory, folders and buckets, `store.py` the prepared
store, `run_file.py` what one run needs. `jobs/preflight.py` checks one run before a launch.
"""
