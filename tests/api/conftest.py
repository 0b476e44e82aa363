"""A folder with a task module, its rows, a run file and the run that `flantune.train` made of it."""

import json
import pathlib

import pytest

import flantune
from flantune import testing

TASKS = """
from flantune import metrics
from flantune.data import InstructionTask, Mixture, equal, sources
from flantune.prompting import Template


def to_fields(row):
    return {"word": row["word"], "answer": row["word"]}


def to_choice(row):
    return {"word": row["word"], "label": int(row["word"] > "k")}


TASKS = (
    InstructionTask(
        name="api:copy", cluster="copy", to_fields=to_fields, metrics=(metrics.exact_match,),
        source=sources.Jsonl(train="words.jsonl[4:]", test="words.jsonl[:4]"),
        templates=(Template(inputs="Copy: {word}"), Template(inputs="Again {word}")),
    ),
    InstructionTask(
        name="api:late", cluster="late", to_fields=to_choice, metrics=(metrics.accuracy,),
        source=sources.Jsonl(train="words.jsonl[4:]", test="words.jsonl[:4]"),
        answer_choices=("no", "yes"), templates=(Template(inputs="Is {word} late?"),),
    ),
)
MIXTURES = (Mixture(name="api_all", rates={"api:*": equal()}),)
"""
RUN = (
    testing.run_file(
        {
            "DataConfig.mixture": "api_all",
            "DataConfig.modules": ("api_test_tasks",),
            "DataConfig.vocabulary": "bytes",
            "DataConfig.inputs_length": 48,
            "DataConfig.targets_length": 16,
            "DataConfig.batch_size": 4,
            "DataConfig.block_size": 16,
            "CheckpointConfig.save_every_steps": 2,
            "train.num_steps": 9,
        }
    )
    + """
written/configs.EvalSuite.name = "written"
ranked/configs.EvalSuite.name = "ranked"
ranked/configs.EvalSuite.mixture = "api:late"
ranked/configs.EvalSuite.answer_by = "ranking"
ranked/configs.EvalSuite.metric = "rank_accuracy/sum"
written/configs.EvalSuite.mixture = "api:copy"
configs.EvalConfig.suites = (@written/configs.EvalSuite(), @ranked/configs.EvalSuite())
configs.EvalConfig.metric = "exact_match"
configs.EvalConfig.batch_size = 4
configs.EvalConfig.max_decode_length = 4
configs.EvalConfig.untuned_baseline = False
"""
)
SHORT = {"experiments.train.num_steps": 5, "DataConfig.batch_size": 8}


@pytest.fixture(scope="session")
def workplace(tmp_path_factory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "api_test_tasks.py").write_text(TASKS)
    (folder / "run.gin").write_text(RUN)
    rows = [{"word": chr(97 + row) * (row % 5 + 1)} for row in range(20)]
    (folder / "words.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def enter(patch: pytest.MonkeyPatch, workplace: pathlib.Path) -> None:
    patch.chdir(workplace)
    patch.setenv("FLANTUNE_PREPARED_DIR", str(workplace / "prepared"))
    patch.syspath_prepend(str(workplace))


@pytest.fixture(autouse=True)
def in_workplace(workplace, monkeypatch):
    enter(monkeypatch, workplace)


@pytest.fixture(scope="session")
def trained(workplace):
    """The results of the run in `workplace / "run"`."""
    with pytest.MonkeyPatch.context() as patch:
        enter(patch, workplace)
        return flantune.train("run.gin", run_dir="run", **SHORT)
