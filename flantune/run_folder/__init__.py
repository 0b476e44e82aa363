"""What lies in a run folder: `names.py`, which this folder hands on, `start_record.py` and `facts.py`."""

from flantune.run_folder.names import CONFIG, TRAINING_PAGE, VOCABULARY

__all__ = ["CONFIG", "TRAINING_PAGE", "VOCABULARY"]
