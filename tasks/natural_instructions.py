"""Super-NaturalInstructions: every task JSON of a folder becomes a task.

The folder is `natural_instructions/` below the data directory, or an upstream checkout, `natural-instructions/tasks/`;
where both exist, the first one counts. Both published schemas are read: `Definition` as a text or as a list of texts.

The training wordings are Tk-Instruct's five encodings, of which each example gets one: the definition; two positive
examples; both; both and two negative examples; both with explanations. A setting names one encoding alone:
"natural_instructions:*#definition_positive_2" (SETTINGS has them all). Where a task has fewer examples, as many are
shown as there are. Where Tk-Instruct ends an input without a full stop by adding one, the input stays as it is here. Splits: "test" is the first 100 instances (the
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
from flantune.data import InstructionTask, Publication, TaskFamily, sources
from flantune.data.task import Fields
from flantune.prompting import PromptSetting, Template

FAMILY = "natural_instructions"
LICENCE = "Apache-2.0 (the collection); each task states its own"
PUBLICATION = Publication(
    url="https://arxiv.org/abs/2204.07705",
    get="git clone https://github.com/allenai/natural-instructions DATA/natural-instructions",
)
TEST_ROWS = 100
MAX_EXAMPLES = 4
_FOLDERS = ("natural_instructions", "natural-instructions/tasks")
_NOW = "Now complete the following example -\nInput: {input}\nOutput: "
# Name of an encoding: whether it has the definition, how many positive and negative examples, and explanations.
_ENCODINGS = {
    "definition": (True, 0, 0, False),
    "positive_2": (False, 2, 0, False),
    "definition_positive_2": (True, 2, 0, False),
    "definition_positive_2_negative_2": (True, 2, 2, False),
    "definition_positive_2_explained": (True, 2, 0, True),
}
_MORE_ENCODINGS = {
    f"definition_positive_{count}": (True, count, 0, False) for count in (1, 3, MAX_EXAMPLES)
}
_EXPLAINED = max(positive for _, positive, _, explained in _ENCODINGS.values() if explained)
_NEGATIVE = max(negative for _, _, negative, _ in _ENCODINGS.values())
SETTINGS = {name: PromptSetting(group=name) for name in (*_ENCODINGS, *_MORE_ENCODINGS)}

LINT_ALLOW = {
    f"{FAMILY}:*": {
        "same_template": "encodings coincide where a task has no negative or explained examples, as in Tk-Instruct"
    }
}


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
    return {
        "file": f"{folder}/{path.name}",
        "definition": _texts(task["Definition"])[0].strip(),
        "positive": _shown(task.get("Positive Examples", [])),
        "negative": _shown(task.get("Negative Examples", [])),
        "category": next(iter(_texts(task.get("Categories", []))), "unknown"),
        "sources": _texts(task.get("Source", [])),
        "licence": ", ".join(_texts(task.get("Instance License", []))) or "unknown",
        "num_instances": len(task["Instances"]),
    }


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    test_rows = min(TEST_ROWS, metadata["num_instances"] // 2)
    parts = _parts(metadata)
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster=_snake_case(metadata["category"]),
        source=sources.NaturalInstructions(
            metadata["file"], train=f"[{test_rows}:]", test=f"[:{test_rows}]"
        ),
        to_fields=to_fields,
        templates=_templates(len(metadata["positive"]), len(metadata["negative"])),
        metrics=(metrics.rouge_l, metrics.exact_match),
        lineage=tuple(metadata["sources"]),
        licence=metadata["licence"],
        constants={
            "definition": metadata["definition"],
            "definition_sentence": _ended(metadata["definition"]),
            **parts,
        },
        # As in Tk-Instruct, a prompt that is too long loses examples, the last one first.
        may_drop=tuple(reversed(parts)),
        may_cut=("input",),
        metadata=metadata,
    )


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    answers = [output.strip() for output in _texts(row["output"])]
    answers = [answer for answer in answers if answer]
    if not row["input"].strip() or not answers:
        return None
    return {"input": row["input"].strip(), "answer": answers}


def _templates(num_positive: int, num_negative: int) -> tuple[Template, ...]:
    """The five encodings, each encoding once more for the setting that names it, and two wordings for evaluation."""
    inputs = {
        name: _encoding(num_positive, num_negative, *encoding)
        for name, encoding in (_ENCODINGS | _MORE_ENCODINGS).items()
        if encoding[0] or num_positive  # without both, nothing would say what to do
    }
    return (
        *(Template(inputs=inputs[name]) for name in _ENCODINGS if name in inputs),
        Template(inputs="{definition}\n\nText: {input}\n\nYour reply:", held_out=True),
        Template(inputs="{input}\n\n---\nDo this with the text above: {definition}", held_out=True),
        *(Template(inputs=text, group=name) for name, text in inputs.items()),
    )


def _encoding(
    num_positive: int,
    num_negative: int,
    definition: bool,
    positive: int,
    negative: int,
    explained: bool,
) -> str:
    """The inputs of an encoding, with no more examples than there are."""
    kind = "explained" if explained else "positive"
    fields = [f"{kind}_{number + 1}" for number in range(min(positive, num_positive))]
    fields += [f"negative_{number + 1}" for number in range(min(negative, num_negative))]
    start = "Definition: {definition_sentence}\n\n" if definition else ""
    return start + "".join(f"{{{field}}}" for field in fields) + _NOW


def _parts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """The texts of the examples by the name of their field, the most important one first."""
    parts = {}
    for number, (inputs, output, explanation) in enumerate(metadata["positive"], start=1):
        parts[f"positive_{number}"] = _example("Positive", number, inputs, output, "")
        if number <= _EXPLAINED:
            parts[f"explained_{number}"] = _example("Positive", number, inputs, output, explanation)
    for number, (inputs, output, _) in enumerate(metadata["negative"][:_NEGATIVE], start=1):
        parts[f"negative_{number}"] = _example("Negative", number, inputs, output, "")
    return parts


def _shown(examples: list[dict[str, Any]]) -> list[list[str]]:
    """Inputs, output and explanation of the examples that a prompt may show."""
    return [
        [example["input"], _texts(example["output"])[0], example.get("explanation", "")]
        for example in examples[:MAX_EXAMPLES]
    ]


def _example(kind: str, number: int, inputs: str, output: str, explanation: str) -> str:
    text = f" {kind} Example {number} -\nInput: {_ended(inputs)}\n Output: {_ended(output)}\n"
    if explanation:
        text += f" Explanation: {_ended(explanation)}\n"
    return text + "\n"


def _ended(text: str) -> str:
    """The text with a full stop, unless it ends in punctuation; as Tk-Instruct writes definitions and examples."""
    text = text.strip()
    return text if text.endswith(tuple(string.punctuation)) else f"{text}."


def _texts(value: str | list[str]) -> list[str]:
    """A list of texts, from either schema."""
    return [value] if isinstance(value, str) else list(value)


def _snake_case(category: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", category.lower()).strip("_")


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=_FOLDERS,
        licence=LICENCE,
        publication=PUBLICATION,
    ),
)
