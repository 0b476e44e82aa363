"""For tests, ours and users': a tiny model, tasks in memory, a prepared store, registries that vanish after use."""

from flantune.testing.members import make_member
from flantune.testing.registries import temporary_registries
from flantune.testing.tiny import MODEL, make_task, prepare, run_file, task_module

__all__ = [
    "MODEL",
    "make_member",
    "make_task",
    "prepare",
    "run_file",
    "task_module",
    "temporary_registries",
]
