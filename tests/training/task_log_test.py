"""Losses of tasks and clusters from sums by task."""

import numpy as np
import pytest

from flantune.training import task_log

TASKS = [
    task_log.TaskLabel("qa:a", "qa"),
    task_log.TaskLabel("qa:b", "qa"),
    task_log.TaskLabel("nli:c", "nli"),
]


def test_a_line_has_the_mean_over_tokens_of_each_task_and_cluster_that_occurred():
    log = task_log.TaskLog(TASKS)
    log.add(np.array([4.0, 3.0, 0.0]), np.array([2.0, 1.0, 0.0]))
    log.add(np.array([2.0, 0.0, 0.0]), np.array([2.0, 0.0, 0.0]))
    assert log.close() == {
        "train/task/qa:a/cross_entropy": 1.5,
        "train/task/qa:b/cross_entropy": 3.0,
        "train/cluster/qa/cross_entropy": 9 / 5,
    }
    log.add(np.array([0.0, 0.0, 5.0]), np.array([0.0, 0.0, 10.0]))
    assert log.close() == {
        "train/task/nli:c/cross_entropy": 0.5,
        "train/cluster/nli/cross_entropy": 0.5,
    }
    assert log.close() == {}


def test_what_is_open_is_taken_up_again_by_name():
    log = task_log.TaskLog(TASKS)
    log.add(np.array([4.0, 0.0, 1.0]), np.array([2.0, 0.0, 1.0]))
    open_totals = log.open_totals()
    assert open_totals == {"qa:a": (4.0, 2.0), "nli:c": (1.0, 1.0)}
    other_order = task_log.TaskLog(TASKS[:2][::-1], open_totals)
    other_order.add(np.array([0.0, 2.0]), np.array([0.0, 1.0]))
    assert other_order.close()["train/task/qa:a/cross_entropy"] == pytest.approx(6 / 3)
