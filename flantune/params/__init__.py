"""Parameters by name, whatever their leaves are: `trees.py`. Pure Python, so that models, training and interop share it."""
