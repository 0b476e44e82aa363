"""Every wording of every task that is listed in a module, on a row written by hand."""

import collections
import pathlib
import subprocess
import sys

import pytest

from flantune.prompting import choice, rendering, settings
from tasks import chain_of_thought, commonsense_qa, copa, sst2, trec

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODULES = (chain_of_thought, commonsense_qa, copa, sst2, trec)
TASKS = {task.name: task for module in MODULES for task in module.TASKS}
ROWS = {
    "sst2:sst2": {"sentence": "a quiet joy of a film", "label": "1"},
    "trec:coarse": {"text": "HUM:ind Who painted the ceiling ?"},
    "commonsense_qa:commonsense_qa": {
        "answerKey": "B",
        "question": {
            "stem": "Where do you keep milk?",
            "question_concept": "milk",
            "choices": [
                {"label": "A", "text": "roof"},
                {"label": "B", "text": "fridge"},
                {"label": "C", "text": "shoe"},
            ],
        },
    },
    "copa:copa": {
        "asks-for": "effect",
        "most-plausible-alternative": "2",
        "p": "The glass fell.",
        "a1": "It sang.",
        "a2": "It broke.",
    },
    **{
        task.name: {
            "question": "Is a lemon sour?\\nOptions:\\n- yes\\n- no",
            "answer": "yes",
            "rationale": "Lemons hold acid. Acid is sour",
        }
        for task in chain_of_thought.TASKS
    },
}
REFERENCES = {
    "sst2:sst2": "positive",
    "trec:coarse": "person",
    "commonsense_qa:commonsense_qa": "fridge",
    "copa:copa": "It broke.",
}
TEMPLATES = [(name, index) for name, task in TASKS.items() for index in range(len(task.templates))]


def render(task, index, setting):
    return rendering.render(
        templates=task.templates,
        usable=(index,),
        fields=task.to_fields(ROWS[task.name]),
        constants=task.constants,
        answer_choices=task.answer_choices,
        setting=settings.parse(setting),
        chooser=choice.Chooser(0, 0, "row"),
    )


@pytest.mark.parametrize(("name", "index"), TEMPLATES)
def test_renders_and_its_target_gives_the_answer_back(name, index):
    task = TASKS[name]
    template = task.templates[index]
    for setting in ("", "fixed_options", "no_options"):
        prompt = render(task, index, setting)
        assert prompt.input_text
        assert prompt.inputs == prompt.inputs.strip()
        assert "{" not in prompt.inputs + prompt.targets
        assert template.extract(prompt.targets) == prompt.references[0]
        assert not prompt.candidates or prompt.references[0] in prompt.candidates
    if (
        template.label_words is None and template.kind != "inversion"
    ):  # without options the answer's own text is asked for
        assert prompt.references == (REFERENCES.get(name, "yes"),)


@pytest.mark.parametrize("name", list(TASKS))
def test_has_about_ten_different_wordings_and_says_where_it_comes_from(name):
    task = TASKS[name]
    texts = collections.Counter(template.inputs for template in task.templates)
    assert len(texts) == len(task.templates) >= 10
    assert task.lineage
    assert task.licence
    assert task.metrics


def test_half_of_the_chain_of_thought_wordings_ask_for_the_reasoning():
    for task in chain_of_thought.TASKS:
        reasoned = [template for template in task.templates if "{rationale}" in template.targets]
        assert len(reasoned) == len(task.templates) // 2


def test_importing_the_modules_reads_no_data_and_no_tensorflow():
    program = """
import pathlib, sys
import jaxtyping
import flantune.data.sources, flantune.metrics, flantune.prompting, flantune.data
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
names = [path.stem for path in pathlib.Path("tasks").glob("*.py") if path.stem != "__init__"]
for name in names:
    __import__(f"tasks.{name}")
others = [path for path in opened if not path.endswith((".py", ".pyc")) and ".pyc." not in path]
others = [path for path in others if not path.endswith(".zip")]  # where Python looks for modules
assert len(names) >= 8, names
assert not others, others
assert "tensorflow" not in sys.modules and "jax" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
