"""One module for each command of `flantune`, or for a few that belong together; `shared.py` has what all share."""
