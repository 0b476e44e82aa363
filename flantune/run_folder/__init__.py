"""What lies in a run folder: `names.py`, which this folder hands on, how files are written together (`commit.py`), and what
they say: `facts.py`, `trained_with.py`, `start_record.py`, `restarts.py`.
"""

from flantune.run_folder.commit import finish
from flantune.run_folder.names import CONFIG, VOCABULARY

__all__ = ["CONFIG", "VOCABULARY", "finish"]
