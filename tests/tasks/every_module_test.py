"""All modules of tasks/ together, as `flantune show` searches them without a run file."""

from flantune.commands import shared
from flantune.data import catalog as catalog_lib
from flantune.data.store import reader as store_lib


def test_all_modules_make_one_catalog(tmp_path):
    modules = shared.modules_of("tasks")
    catalog = catalog_lib.load(modules, store_lib.Store(tmp_path / "store"), tmp_path)
    assert "quickstart:sort_numbers" in catalog.tasks
    assert {"flan2021:rte", "chain_of_thought:gsm8k"} <= set(catalog.tasks)
    assert {"t0_train", "tk_instruct_train", "quickstart_train"} <= set(catalog.mixtures)
    assert {"t0", "super_ni"} <= set(catalog.plans)
