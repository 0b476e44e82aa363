"""`flantune config`: all names, one name, the values of a run with where they come from."""

import json

from flantune import cli

RUN = "gin/runs/quickstart.gin"


def config(capsys, *words):
    status = cli.main(["config", *words])
    output = capsys.readouterr()
    return status, output.out or output.err


def test_without_a_name_everything_is_listed(capsys):
    status, text = config(capsys)
    assert status == 0
    assert "configs.DataConfig: Which mixture" in text
    assert "  mixture = must be bound\n" in text
    assert "experiments.train: Trains" in text
    owners = json.loads(config(capsys, "--json")[1])["owners"]
    assert text.count("\n  ") == sum(len(owner["bindings"]) for owner in owners)


def test_a_name_has_type_default_meaning_and_example(capsys):
    status, text = config(capsys, "DataConfig.lanes")
    assert status == 0
    assert text.startswith("DataConfig.lanes: int | None, default None\n  independent streams")
    assert "Example: --gin.DataConfig.lanes=32" in text
    assert "Example: --gin.train.num_steps=" in config(capsys, "experiments.train")[1]


def test_a_wrong_name_has_the_closest(capsys):
    status, text = config(capsys, "OptimizerConfig.learning_rat")
    assert status == 2
    assert "Did you mean 'OptimizerConfig.learning_rate'" in text


def test_a_run_has_its_values_with_where_they_come_from(capsys):
    words = (RUN, "--gin.OptimizerConfig.learning_rate=0.5", "--data_dir", "x", "--json")
    status, text = config(capsys, *words)
    assert status == 0
    found = {one["name"]: (one["value"], one["origin"]) for one in json.loads(text)["values"]}
    assert found["configs.ModelConfig.emb_dim"] == ("128", "gin/models/tiny.gin, line 5")
    flag = "--gin.OptimizerConfig.learning_rate"
    assert found["configs.OptimizerConfig.learning_rate"] == ("0.5", flag)
    assert found["configs.DataConfig.data_dir"] == ("'x'", "--data_dir")
    assert found["configs.DataConfig.split"] == ("'train'", "default")
    assert found["held_out/configs.EvalSuite.name"][0] == "'unseen_cluster'"


def test_a_recipe_goes_by_its_name_and_says_what_is_left_to_bind(capsys):
    status, text = config(capsys, "flan_t5_small")
    assert status == 0
    assert "'flan2022'" in text
    last = text.splitlines()[-1]
    assert last.startswith("Not bound, and without a default: ")
    assert "experiments.train.run_dir" in last


def test_a_name_and_a_run_file_exclude_each_other(capsys):
    assert config(capsys, "DataConfig", RUN)[0] == 2
    assert config(capsys, "--gin.DataConfig.split=x")[0] == 2
