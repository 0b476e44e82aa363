"""All modules of tasks/ together, as `flantune show` searches them without a run file; and what each says of its data."""

import pytest

from flantune.data import TaskFamily, catalog as catalog_lib, task_modules
from flantune.data.store import reader as store_lib
from flantune.jobs import task_search

ENTRIES = [
    entry
    for module in task_search.modules_of("tasks")
    for entry in getattr(task_modules.load(module), "TASKS", ())
]


def test_all_modules_make_one_catalog(tmp_path):
    modules = task_search.modules_of("tasks")
    catalog = catalog_lib.load(modules, store_lib.Store(tmp_path / "store"), tmp_path)
    assert "quickstart:sort_numbers" in catalog.tasks
    assert {"flan2021:rte", "chain_of_thought:gsm8k"} <= set(catalog.tasks)
    assert {"t0_train", "tk_instruct_train", "quickstart_train"} <= set(catalog.mixtures)
    assert {"t0", "super_ni"} <= set(catalog.plans)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_says_where_its_data_are_published_and_under_which_licence(entry):
    assert entry.publication is not None
    # "unknown" alone is the field's default: nobody has looked. "unknown (not stated)" says that somebody has.
    assert entry.licence not in ("", "unknown")
    if isinstance(entry, TaskFamily):
        assert entry.folders
        assert entry.publication.get  # what is not there cannot say it itself
