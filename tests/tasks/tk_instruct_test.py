"""Tk-Instruct's tracks from a small checkout written here."""

import json

import pytest

from flantune.data import catalog as catalog_lib
from flantune.data.input import loading
from flantune.data.store import prepare, reader as store_lib
from tasks import super_ni_test_tasks

MODULES = ("tasks.tk_instruct", "tasks.mixtures")
TRAIN, TEST = "task001_a_question", super_ni_test_tasks.TEST_TASKS[0]


@pytest.fixture
def data_dir(tmp_path):
    folder = tmp_path / "natural-instructions"
    (folder / "tasks").mkdir(parents=True)
    for name in (TRAIN, TEST, "task002_in_no_track"):
        content = {
            "Definition": ["Say it again."],
            "Categories": ["Question Answering"],
            "Source": [name],
            "Positive Examples": [{"input": "a", "output": "a", "explanation": "the same"}],
            "Instances": [
                {"id": f"{name}-{n}", "input": f"Row {n}", "output": [f"Row {n}"]}
                for n in range(130)
            ],
        }
        (folder / "tasks" / f"{name}.json").write_text(json.dumps(content))
    lists = folder / "splits" / "default"
    lists.mkdir(parents=True)
    (lists / "train_tasks.txt").write_text(f"{TRAIN}\n")
    (lists / "test_tasks.txt").write_text(f"{TEST}\n")
    return tmp_path


def test_both_tracks_have_the_first_hundred_instances_of_their_tasks(data_dir, tmp_path):
    store = store_lib.Store(tmp_path / "store")
    catalog = catalog_lib.load(MODULES, store, data_dir)
    assert catalog.members("tk_instruct_train") == (f"tk_train:{TRAIN}",)
    assert catalog.members("tk_instruct_test") == (f"tk_test:{TEST}",)
    wanted = [
        (catalog.task(f"tk_train:{TRAIN}"), ["train"]),
        (catalog.task(f"tk_test:{TEST}"), ["test"]),
    ]
    prepare.prepare(wanted, store, data_dir, num_processes=2).raise_if_failed()
    train = loading.bind_mixture(catalog, store, "tk_instruct_train", split="train")
    test = loading.bind_mixture(catalog, store, "tk_instruct_test", split="test")
    assert [len(bound.members[0].reader) for bound in (train, test)] == [100, 100]
    assert train.members[0].reader[99]["input"] == "Row 99"
    assert len(train.members[0].usable) == 5


def test_a_setting_names_one_encoding(data_dir, tmp_path):
    catalog = catalog_lib.load(MODULES, store_lib.Store(tmp_path / "store"), data_dir)
    assert catalog.members("tk_test:*#definition_positive_2") == (
        f"tk_test:{TEST}#definition_positive_2",
    )


def test_a_checkout_that_is_not_whole_is_refused(data_dir, tmp_path):
    (data_dir / "natural-instructions" / "tasks" / f"{TRAIN}.json").unlink()
    with pytest.raises(ValueError, match=rf"train_tasks.txt names 1 tasks .*{TRAIN}"):
        catalog_lib.load(MODULES, store_lib.Store(tmp_path / "store"), data_dir)


def test_without_lists_there_is_no_task(tmp_path):
    catalog = catalog_lib.load(MODULES, store_lib.Store(tmp_path / "store"), tmp_path)
    assert not catalog.tasks
    with pytest.raises(KeyError, match="No task of the family 'tk_train'"):
        catalog.members("tk_instruct_train")
