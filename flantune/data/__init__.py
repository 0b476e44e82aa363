"""Tasks, mixtures, the prepared store and the input pipeline. Task modules import from here.

Read `task.py` first, then `data/store/reader.py` and `data/input/pipeline.py`.
"""

from flantune.data.held_out_plan import HeldOutPlan, Waiver
from flantune.data.mixture import Mixture, equal, proportional
from flantune.data.publication import Publication
from flantune.data.task import InstructionTask, TaskFamily

__all__ = [
    "HeldOutPlan",
    "InstructionTask",
    "Mixture",
    "Publication",
    "TaskFamily",
    "Waiver",
    "equal",
    "proportional",
]
