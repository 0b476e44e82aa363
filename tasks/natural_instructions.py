"""Super-NaturalInstructions (https://arxiv.org/abs/2204.07705): every task JSON of a folder becomes a task.

The folder is `natural_instructions/` below the data directory, or an upstream checkout, `natural-instructions/tasks/`;
where both exist, the first one counts. Both published schemas are read: `Definition` as a text or as a list of texts.

The training wordings are Tk-Instruct's: the definition with none, one and two positive examples; where Tk-Instruct ends
an input without a full stop by adding one, the input stays as it is here. Splits: "test" is the first 100 instances (the
published test set of the test tasks) or half of them where there are fewer than 200; "train" is the rest. Names of the
test track: `super_ni_test_tasks.py`. Mixtures: `mixtures.py`.
"""

from collections.abc import Mapping
import json
import pathlib
import re
import string
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, TaskFamily, sources
from flantune.data.task import Fields
from flantune.prompting import Template

FAMILY = "natural_instructions"
TEST_ROWS = 100
MAX_EXAMPLES = 2
_FOLDERS = ("natural_instructions", "natural-instructions/tasks")
_NOW = "Now complete the following example -\nInput: {input}\nOutput: "
_EXAMPLES = ("{example_1}", "{example_1}{example_2}")  # by number of examples, from one


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each dataset, by its stem, in the first folder that there is."""
    for folder in _FOLDERS:
        if (data_dir / folder).is_dir():
            return {path.stem: path for path in sorted((data_dir / folder).glob("*.json"))}
    return {}


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a task file; JSON values only."""
    task = json.loads(path.read_text(encoding="utf-8"))
    folder = next(folder for folder in _FOLDERS if path.parent.as_posix().endswith(folder))
    examples = task.get("Positive Examples", [])[:MAX_EXAMPLES]
    return {
        "file": f"{folder}/{path.name}",
        "definition": _texts(task["Definition"])[0].strip(),
        "examples": [[example["input"], _texts(example["output"])[0]] for example in examples],
        "category": next(iter(_texts(task.get("Categories", []))), "unknown"),
        "sources": _texts(task.get("Source", [])),
        "licence": ", ".join(_texts(task.get("Instance License", []))) or "unknown",
        "num_instances": len(task["Instances"]),
    }


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    test_rows = min(TEST_ROWS, metadata["num_instances"] // 2)
    examples = metadata["examples"]
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster=_snake_case(metadata["category"]),
        source=sources.NaturalInstructions(
            metadata["file"], train=f"[{test_rows}:]", test=f"[:{test_rows}]"
        ),
        to_fields=to_fields,
        templates=_templates(len(examples)),
        metrics=(metrics.rouge_l, metrics.exact_match),
        lineage=tuple(metadata["sources"]),
        licence=metadata["licence"],
        constants={
            "definition": metadata["definition"],
            "definition_sentence": _ended(metadata["definition"]),
            **{
                f"example_{number}": _example(number, *example)
                for number, example in enumerate(examples, start=1)
            },
        },
        # As in Tk-Instruct, a prompt that is too long loses examples, the last one first.
        may_drop=tuple(f"example_{number}" for number in range(len(examples), 0, -1)),
        may_cut=("input",),
        metadata=metadata,
    )


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    answers = [output.strip() for output in _texts(row["output"])]
    answers = [answer for answer in answers if answer]
    if not row["input"].strip() or not answers:
        return None
    return {"input": row["input"].strip(), "answer": answers}


def _templates(num_examples: int) -> tuple[Template, ...]:
    """The definition with no example and with each number of them, and two other wordings for evaluation."""
    shown = ("", *_EXAMPLES[:num_examples])
    return (
        *(
            Template(inputs=f"Definition: {{definition_sentence}}\n\n{examples}{_NOW}")
            for examples in shown
        ),
        Template(inputs="{definition}\n\nText: {input}\n\nYour reply:", held_out=True),
        Template(inputs="{input}\n\n---\nDo this with the text above: {definition}", held_out=True),
    )


def _example(number: int, inputs: str, output: str) -> str:
    return f" Positive Example {number} -\nInput: {_ended(inputs)}\n Output: {_ended(output)}\n\n"


def _ended(text: str) -> str:
    """The text with a full stop, unless it ends in punctuation; as Tk-Instruct writes definitions and examples."""
    text = text.strip()
    return text if text.endswith(tuple(string.punctuation)) else f"{text}."


def _texts(value: str | list[str]) -> list[str]:
    """A list of texts, from either schema."""
    return [value] if isinstance(value, str) else list(value)


def _snake_case(category: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


TASKS = (TaskFamily(name=FAMILY, files=files, read_metadata=read_metadata, make_task=make_task),)
