"""Real runs of a tiny model, in this process."""
