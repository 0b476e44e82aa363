"""Shares by declared row counts, on mixtures whose shares can be worked out by hand."""

import dataclasses

import pytest

from flantune import testing
from flantune.audit import published
from flantune.data import Mixture, TaskFamily, equal, proportional
from flantune.data.task import Declared
from flantune.prompting import Template

TEMPLATES = [Template(inputs="{text};"), Template(inputs="Read: {text}")]


def task(name, rows=None):
    made = testing.make_task(name, {"train": []}, templates=TEMPLATES)
    return dataclasses.replace(made, published_rows={"train": rows} if rows else {})


def unreadable(*_):
    raise AssertionError("a plan by published rows reads no file")


FAMILY = TaskFamily(
    name="files",
    files=lambda data_dir: {},
    read_metadata=unreadable,
    make_task=unreadable,
)
PROMPTS = TaskFamily(
    name="prompts",
    files=lambda data_dir: {},
    read_metadata=unreadable,
    make_task=unreadable,
    declared={
        "prompts:a": Declared(
            rows={"train": 30},
            num_templates=lambda setting: 1 if setting.options == "none" else 3,
        )
    },
)
TASKS = [task("qa:big", 100), task("qa:small", 10), task("qa:new"), FAMILY, PROMPTS]
CAPPED = proportional(cap=40)
MIXTURES = [
    Mixture(name="qa", rates={"qa:big": CAPPED, "qa:small": CAPPED}),
    Mixture(name="qa_shots", rates={"qa:big#2_shot": CAPPED, "qa:small#2_shot": CAPPED}),
    Mixture(name="both", rates={"qa": 3, "qa_shots": 1}),
    Mixture(name="all_files", rates={"files:*": CAPPED}, exclude=("files:task1_*",)),
    Mixture(name="whole", rates={"both": 0.75, "all_files": 0.25}),
    Mixture(
        name="prompted",
        rates={
            "prompts:a": proportional(cap=20, per_template=True),
            "prompts:a#no_options": proportional(cap=20, per_template=True),
        },
    ),
    Mixture(name="undeclared", rates={"qa:big": CAPPED, "qa:new": CAPPED}),
    Mixture(name="undeclared_equal", rates={"qa:big": equal(), "qa:new": equal()}),
    Mixture(name="files_by_rows", rates={"files:*": CAPPED, "qa:big": CAPPED}),
    Mixture(name="files_inside", rates={"all_files": CAPPED, "qa": CAPPED}),
    Mixture(name="one_file", rates={"files:one": 1}),
    Mixture(name="tokens", rates={"qa:big": 1, "qa:small": 1}, unit="tokens"),
]


@pytest.fixture(scope="module", autouse=True)
def module():
    with testing.task_module("published_tasks", TASKS, MIXTURES):
        yield


def plan(name, split="train"):
    (found,) = published.plan(["published_tasks"], [name], split=split)
    return found


def test_rows_count_up_to_the_cap():
    found = plan("qa")
    assert found.by_task() == pytest.approx({"qa:big": 0.8, "qa:small": 0.2})
    assert [(one.rows, one.caps, one.templates) for one in found.entries] == [
        (100, (40,), 2),
        (10, (40,), 2),
    ]


def test_settings_and_submixtures_add_up_and_a_family_has_its_fixed_share():
    found = plan("whole")
    assert found.by_task() == pytest.approx({"qa:big": 0.6, "files:*": 0.25, "qa:small": 0.15})
    assert found.by_submixture() == pytest.approx(
        {
            "both": 0.75,
            "both/qa": 0.5625,
            "both/qa_shots": 0.1875,
            "all_files": 0.25,
        }
    )
    by_setting = {one.task: one.share for one in found.entries}
    assert by_setting["qa:big#2_shot"] == pytest.approx(0.75 * 0.25 * 0.8)
    (family,) = (one for one in found.entries if one.task == "files:*")
    assert (family.rows, family.templates, family.caps) == (None, None, (40,))


def test_declared_tasks_count_the_templates_of_a_setting():
    shares = {one.task: one.share for one in plan("prompted").entries}
    assert shares == pytest.approx({"prompts:a": 0.75, "prompts:a#no_options": 0.25})


def test_rows_need_not_be_declared_where_no_share_depends_on_them():
    assert plan("undeclared_equal").by_task() == pytest.approx({"qa:big": 0.5, "qa:new": 0.5})


@pytest.mark.parametrize(
    ("name", "split", "problem"),
    [
        ("undeclared", "train", "counts the rows of 'qa:new', and its published_rows"),
        ("qa", "test", "counts the rows of 'qa:big'"),
        ("files_by_rows", "train", r"divides a share among 'files:\*' and others"),
        ("files_inside", "train", r"divides a share among 'files:\*' and others"),
        ("tokens", "train", "count tokens"),
    ],
)
def test_a_share_that_depends_on_what_nobody_declared_is_an_error(name, split, problem):
    with pytest.raises(ValueError, match=problem):
        plan(name, split)


def test_unknown_names_are_errors_and_files_are_said_to_be_needed():
    with pytest.raises(KeyError, match=r"'qaa', which does not exist. Did you mean 'qa'"):
        plan("qaa")
    with pytest.raises(KeyError, match=r"'files:one'.*only where their files are"):
        plan("one_file")
