"""`flantune.ledger`: the plan of `flantune ledger`, of a run file or of a mixture."""

import dataclasses
import json

import pytest

import flantune
from flantune import cli

BYTES = {"DataConfig.modules": ("api_test_tasks",)}


def test_a_run_s_plan_is_that_of_the_command(capsys):
    found = flantune.ledger("run.gin", num_examples=4, **{"DataConfig.batch_size": 8})
    flags = ["--examples", "4", "--gin.DataConfig.batch_size=8", "--json"]
    assert cli.main(["ledger", "run.gin", *flags]) == 0
    shown = json.loads(capsys.readouterr().out)
    plain = json.loads(json.dumps(found.to_json()))
    assert plain == {name: shown[name] for name in plain}
    assert (found.num_steps, found.batch_size) == (9, 8)
    rows = [dataclasses.asdict(task) for task in found.tasks]
    assert [(row["task"], row["rows"]) for row in rows] == [("api:copy", 16), ("api:late", 16)]
    assert sum(row["rate"] for row in rows) == pytest.approx(1)


def test_a_mixture_needs_no_run_file_but_steps():
    found = flantune.ledger("api_all", num_steps=7, num_examples=4, **BYTES)
    assert (found.mixture, found.num_steps, found.vocabulary) == ("api_all", 7, "bytes")
    assert (found.inputs_length, found.batch_size) == (4096, 1)
    rows = flantune.ledger("api_all", num_steps=7, **BYTES, **{"DataConfig.batch_size": 3})
    assert rows.batch_size == 3
    steps = {"experiments.train.num_steps": 7}
    assert flantune.ledger("api_all", num_examples=4, **BYTES, **steps) == found
    with pytest.raises(ValueError, match=r"binds experiments\.train\.num_steps"):
        flantune.ledger("api_all", **BYTES)
    with pytest.raises(KeyError, match="Did you mean 'api_all'"):
        flantune.ledger("api_al", num_steps=7, **BYTES)


def test_steps_may_be_given_and_are_checked():
    assert flantune.ledger("run.gin", num_steps=3, num_examples=2).num_steps == 3
    with pytest.raises(ValueError, match="num_steps must be a whole number of at least 1"):
        flantune.ledger("run.gin", num_steps=0)
