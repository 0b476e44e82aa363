import dataclasses
import sys

import pytest

from flantune import testing
from flantune.audit import describe
from flantune.data import Mixture, TaskFamily, catalog as catalog_lib, sources
from flantune.data.held_out_plan import HeldOutPlan, Waiver
from flantune.data.input import loading
from flantune.data.store import reader as store_lib

ROWS = {"train": [{"text": "a", "answer": "b"}]}
FIRST, SECOND = (testing.make_task(f"c:{name}", ROWS) for name in ("first", "second"))
BOTH = Mixture(name="c_both", rates={"c:*": 1.0})


def load(tmp_path, tasks, mixtures=(), plans=(), **options):
    with testing.task_module("catalog_tasks", tasks, mixtures):
        sys.modules["catalog_tasks"].PLANS = plans
        return catalog_lib.load(["catalog_tasks"], store_lib.Store(tmp_path), tmp_path, **options)


def test_a_mixture_a_task_and_a_pattern_have_members(tmp_path):
    catalog = load(tmp_path, [FIRST, SECOND], [BOTH])
    assert catalog.members("c_both") == ("c:first", "c:second")
    assert catalog.members("c:first#no_options") == ("c:first#no_options",)
    assert catalog.members("c:s*") == ("c:second",)
    assert catalog.task("c:first#no_options") is FIRST


def test_a_module_may_export_tasks_of_another_and_both_are_their_modules(tmp_path):
    with (
        testing.task_module("catalog_family", [FIRST, SECOND]),
        testing.task_module("catalog_system", [FIRST], [BOTH]),
    ):
        modules = ["catalog_family", "catalog_system"]
        catalog = catalog_lib.load(modules, store_lib.Store(tmp_path), tmp_path)
    shown = {
        module: [row["task"] for row in describe.module(catalog, module)] for module in modules
    }
    assert shown == {"catalog_family": ["c:first", "c:second"], "catalog_system": ["c:first"]}
    assert catalog.members("c_both") == ("c:first", "c:second")


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
    with (
        testing.task_module("catalog_family", [FIRST], [BOTH]),
        testing.task_module("catalog_other", [twin]),
        pytest.raises(
            ValueError,
            match="The task 'c:first' is defined twice, in 'catalog_family' and in 'catalog_other'",
        ),
    ):
        catalog_lib.load(["catalog_family", "catalog_other"], store_lib.Store(tmp_path), tmp_path)
    other = Mixture(name="c_both", rates={"c:first": 1.0})
    with pytest.raises(ValueError, match="The mixture 'c_both' is defined twice, in 'catalog_ta"):
        load(tmp_path, [FIRST], [BOTH, other])


def test_a_module_without_exports_or_that_does_not_exist_is_named(tmp_path):
    store = store_lib.Store(tmp_path)
    with pytest.raises(ValueError, match="'json' exports none of TASKS"):
        catalog_lib.load(["json"], store, tmp_path)
    with pytest.raises(ValueError, match="'no_such_module', which cannot be imported"):
        catalog_lib.load(["no_such_module"], store, tmp_path)
    with pytest.raises(
        ValueError, match=r"'tasks\.quikstart', which.*Did you mean 'tasks\.quickstart'"
    ):
        catalog_lib.load(["tasks.quikstart"], store, tmp_path)


def test_a_family_without_files_says_where_it_looked(tmp_path):
    family = TaskFamily(
        name="f", files=lambda _: {}, read_metadata=lambda _: {}, make_task=lambda *_: FIRST
    )
    catalog = load(tmp_path, [family], [Mixture(name="f_all", rates={"f:*": 1.0})])
    with pytest.raises(KeyError, match=r"no task matches 'f:\*'.*family 'f'.*--data_dir"):
        catalog.members("f_all")


def test_a_mixture_leaves_out_what_its_held_out_plan_rules_out(tmp_path):
    tasks = [
        testing.make_task("exam:zoo", ROWS, lineage=("Zoo QA",)),
        testing.make_task("drill:zoo", ROWS, lineage=("zoo_qa", "other")),
        testing.make_task("drill:sky", ROWS, lineage=("sky",)),
        testing.make_task("drill:waived", ROWS, lineage=("zooqa",)),
        testing.make_task("drill:nli", ROWS, cluster="nli", lineage=("snli",)),
        testing.make_task("drill:by_nli", ROWS, lineage=("snli",)),
    ]
    waiver = Waiver(evaluation="exam:zoo", training="drill:waived", reason="a proverb")
    plan = HeldOutPlan(
        name="plan", clusters=("nli",), evaluation={"exams": "train"}, waivers=(waiver,)
    )
    mixtures = [
        Mixture(name="exams", rates={"exam:*": 1}),
        Mixture(name="drills", rates={"drill:*": 1}, held_out="plan"),
    ]
    catalog = load(tmp_path, tasks, mixtures, [plan])
    assert catalog.members("drills") == ("drill:sky", "drill:waived")
    assert catalog.left_out("drills") == {"drill:zoo", "drill:nli", "drill:by_nli"}
    assert catalog.left_out("exams") == frozenset()


def test_a_task_that_is_ruled_out_no_longer_excuses_others_of_its_sources(tmp_path):
    """An evaluated task may be trained on, unless it shares a source with a held-out one; then its sources go too."""
    tasks = [
        testing.make_task("c:held_out", ROWS, lineage=("a",)),
        testing.make_task("c:evaluated", ROWS, lineage=("a", "b")),
        testing.make_task("c:trained", ROWS, lineage=("b",)),
        testing.make_task("c:free", ROWS),
    ]
    plan = HeldOutPlan(name="plan", tasks=("c:held_out",), evaluation={"c:evaluated": "train"})
    mixture = Mixture(name="m", rates={"c:*": 1}, held_out="plan")
    assert load(tmp_path, tasks, [mixture], [plan]).members("m") == ("c:free",)


def test_a_mixture_whose_held_out_plan_is_unknown_or_goes_in_circles_says_so(tmp_path):
    mixture = Mixture(name="m", rates={"c:*": 1}, held_out="plan")
    other = HeldOutPlan(name="plam")
    with pytest.raises(KeyError, match=r"'plan'.*'plam'.*Modules searched: catalog_tasks"):
        load(tmp_path, [FIRST], [mixture], [other]).members("m")
    circle = HeldOutPlan(name="plan", evaluation={"m": "train"})
    with pytest.raises(ValueError, match="'plan' evaluates a mixture that itself leaves out"):
        load(tmp_path, [FIRST], [mixture], [circle]).members("m")


def test_absent_tasks_are_left_out_only_where_that_is_asked_for_and_typos_never(tmp_path):
    gone = dataclasses.replace(
        testing.make_task("c:gone", ROWS), source=sources.Jsonl(train="gone.jsonl")
    )
    family = TaskFamily(
        name="f", files=lambda _: {}, read_metadata=lambda _: {}, make_task=lambda *_: FIRST
    )
    rates = {"c:first": 1.0, "c:gone#2_shot": 2.0, "f:any": 1.0}
    mixtures = [
        Mixture(name="some", rates=rates),
        Mixture(name="none", rates={"f:any": 1.0}),
        Mixture(name="typo", rates={"c:fist": 1.0}),
    ]
    tasks = [FIRST, gone, family]
    with pytest.raises(KeyError, match="'f:any'"):
        load(tmp_path, tasks, mixtures).members("some")
    catalog = load(tmp_path, tasks, mixtures, skip_absent=True)
    assert catalog.members("some") == ("c:first",)
    assert catalog.absent("some") == ("c:gone#2_shot", "f:any")
    store = testing.prepare([FIRST], tmp_path)
    bound = loading.bind_mixture(catalog, store, "some", split="train")
    assert (bound.rates, bound.absent) == ((1.0,), ("c:gone#2_shot", "f:any"))
    with pytest.raises(ValueError, match="all of its 1 are absent"):
        catalog.members("none")
    with pytest.raises(KeyError, match="'c:fist'"):
        catalog.members("typo")


def test_a_pattern_leaves_out_the_absent_tasks_that_it_matches_and_names_them(tmp_path):
    gone = dataclasses.replace(
        testing.make_task("c:gone", ROWS), source=sources.Jsonl(train="gone.jsonl")
    )
    alone = dataclasses.replace(gone, name="d:gone")
    mixtures = [
        Mixture(name="some", rates={"c:*": 1.0, "d:*#2_shot": 1.0}),
        Mixture(name="typo", rates={"c:*": 1.0, "e:*": 1.0}),
    ]
    catalog = load(tmp_path, [FIRST, gone, alone], mixtures, skip_absent=True)
    assert catalog.members("some") == ("c:first",)
    assert catalog.absent("some") == ("c:gone", "d:gone#2_shot")
    with pytest.raises(KeyError, match="no task matches 'e:\\*'"):
        catalog.members("typo")


def test_a_family_that_is_there_is_not_named_as_absent(tmp_path):
    (tmp_path / "file").touch()
    family = TaskFamily(
        name="f",
        files=lambda folder: {"one": folder / "file"},
        read_metadata=lambda _: {},
        make_task=lambda *_: dataclasses.replace(FIRST, name="f:one"),
    )
    mixtures = [Mixture(name="m", rates={"f:*": 1.0})]
    catalog = load(tmp_path, [family], mixtures, skip_absent=True)
    assert (catalog.members("m"), catalog.absent("m")) == (("f:one",), ())
