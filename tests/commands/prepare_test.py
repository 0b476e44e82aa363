"""`flantune prepare`: a data folder that is not there is told, since what was prepared before hides it."""

from flantune import cli, testing


def test_a_data_folder_that_is_not_there_is_told(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLANTUNE_PREPARED_DIR", str(tmp_path / "prepared"))
    (tmp_path / "run.gin").write_text(
        testing.run_file(
            {
                "DataConfig.mixture": "place:task",
                "DataConfig.modules": ("placed",),
                "DataConfig.vocabulary": "bytes",
                "DataConfig.inputs_length": 32,
                "DataConfig.targets_length": 16,
                "DataConfig.batch_size": 4,
            }
        )
    )
    task = testing.make_task("place:task", {"train": [{"text": "a", "answer": "b"}]})
    told = (
        "warning: The data folder nowhere is not there: only what was prepared before can be used."
    )
    with testing.task_module("placed", [task]):
        assert cli.main(["prepare", "run.gin"]) == 0
        assert "not there" not in capsys.readouterr().err
        assert cli.main(["prepare", "run.gin", "--data_dir", "nowhere"]) == 0
    assert capsys.readouterr().err.count(told) == 1
