import pytest

from flantune import testing
from flantune.data import Mixture, TaskFamily, catalog as catalog_lib, loading, store as store_lib

ROWS = {"train": [{"text": "a", "answer": "b"}]}
FIRST, SECOND = (testing.make_task(f"c:{name}", ROWS) for name in ("first", "second"))
BOTH = Mixture(name="c_both", rates={"c:*": 1.0})


def load(tmp_path, tasks, mixtures=()):
    with testing.task_module("catalog_tasks", tasks, mixtures):
        return catalog_lib.load(["catalog_tasks"], store_lib.Store(tmp_path), tmp_path)


def test_a_mixture_a_task_and_a_pattern_have_members(tmp_path):
    catalog = load(tmp_path, [FIRST, SECOND], [BOTH])
    assert catalog.members("c_both") == ("c:first", "c:second")
    assert catalog.members("c:first#no_options") == ("c:first#no_options",)
    assert catalog.members("c:s*") == ("c:second",)
    assert catalog.task("c:first#no_options") is FIRST


def test_an_unknown_name_gets_the_closest_and_the_modules(tmp_path):
    catalog = load(tmp_path, [FIRST], [BOTH])
    with pytest.raises(KeyError, match=r"'c_bth'.*'c_both'.*Modules searched: catalog_tasks"):
        catalog.members("c_bth")
    with pytest.raises(KeyError, match=r"'c:frist'.*'c:first'"):
        catalog.task("c:frist")


def test_an_unknown_setting_is_named(tmp_path):
    catalog = load(tmp_path, [FIRST])
    store = testing.prepare([FIRST], tmp_path)
    with pytest.raises(KeyError, match=r"'loud'.*no_options"):
        loading.bind_mixture(catalog, store, "c:first#loud", split="train")


def test_a_split_that_a_task_lacks_is_an_error_not_a_warning(tmp_path):
    catalog = load(tmp_path, [FIRST, SECOND], [BOTH])
    with pytest.raises(KeyError, match=r"'c:first'.*'test'.*'train'"):
        loading.splits_needed(catalog, [("c_both", "test")])


def test_a_split_that_is_not_prepared_says_what_to_do(tmp_path):
    catalog = load(tmp_path, [FIRST])
    with pytest.raises(ValueError, match="run flantune prepare"):
        loading.bind_mixture(catalog, store_lib.Store(tmp_path), "c:first", split="train")


def test_two_definitions_of_a_name_are_an_error(tmp_path):
    twin = testing.make_task("c:first", ROWS)
    with pytest.raises(ValueError, match="'c:first' is defined twice"):
        load(tmp_path, [FIRST, twin])


def test_a_module_without_exports_or_that_does_not_exist_is_named(tmp_path):
    store = store_lib.Store(tmp_path)
    with pytest.raises(ValueError, match="'json' exports none of TASKS"):
        catalog_lib.load(["json"], store, tmp_path)
    with pytest.raises(ValueError, match="'no_such_module', which cannot be imported"):
        catalog_lib.load(["no_such_module"], store, tmp_path)


def test_a_family_without_files_says_where_it_looked(tmp_path):
    family = TaskFamily(
        name="f", files=lambda _: {}, read_metadata=lambda _: {}, make_task=lambda *_: FIRST
    )
    catalog = load(tmp_path, [family], [Mixture(name="f_all", rates={"f:*": 1.0})])
    with pytest.raises(KeyError, match=r"no task matches 'f:\*'.*family 'f'.*--data_dir"):
        catalog.members("f_all")
