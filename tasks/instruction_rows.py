"""Instruction rows of your own: every file of a folder becomes a task, whatever its format.

Files are read from `instruction_rows/` below the data directory, and from `alpaca_format/` and `self_instruct/`: JSON lists or
JSONL, compressed or not. The first row tells the format:

    {"instruction": ..., "input": ..., "output" or "response": ...}    Alpaca (https://github.com/tatsu-lab/stanford_alpaca)
    {"instruction": ..., "instances": [...], "is_classification": ...}  Self-Instruct (https://arxiv.org/abs/2212.10560)
    {"messages": [{"role": ..., "content": ...}, ...]}                  chat: a row for each reply of the assistant
    {"inputs": ..., "targets": text or list of right texts}             finished prompts

`instruction_rows/mine.jsonl.gz` is the task "instruction_rows:mine". The first tenth of a file, at most 200 objects, is
the split "validation" and the rest is "train". As in Alpaca's prompt, the input has a part of its own, which is left out
where there is none; the words around it are ours. An instruction is never cut; of a chat the oldest turns go first.
"""

from collections.abc import Mapping
import pathlib
import re
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, TaskFamily, sources
from flantune.data.sources import compression, formats
from flantune.data.task import Fields
from flantune.prompting import Template

FAMILY = "instruction_rows"
_FOLDERS = (FAMILY, "alpaca_format", "self_instruct")
_SUFFIXES = (".json", ".jsonl")
_MAX_VALIDATION = 200

_INSTRUCTIONS = (
    Template(inputs="Instruction:\n{instruction}{input_part}\n\nResponse:"),
    Template(
        inputs="Someone asks you to do the following. Write what they should get.\n\n{instruction}{input_part}"
    ),
    Template(inputs="{instruction}{input_part}"),
    Template(inputs="Your task: {instruction}{input_part}\n\nYour work:"),
)
_CHAT = (
    Template(inputs="{system_part}{dialog}\n{next_speaker}:", kind="dialog"),
    Template(
        inputs="{system_part}{dialog}\n\nWhat does {next_speaker} say next?",
        kind="dialog",
    ),
    Template(inputs="{system_part}Go on with this conversation.\n\n{dialog}", kind="dialog"),
)
_FINISHED = (Template(inputs="{inputs}"),)


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each task, by its name without suffixes."""
    found: dict[str, pathlib.Path] = {}
    for folder in _FOLDERS:
        for path in sorted((data_dir / folder).glob("*")):
            stem, dot, suffix = compression.without_suffix(path.name).rpartition(".")
            if dot + suffix in _SUFFIXES:
                found.setdefault(re.sub(r"[^A-Za-z0-9_.\-]+", "_", stem), path)
    return found


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a file; JSON values only.

    Raises:
        ValueError: its first row is of no known format.
    """
    name = f"{path.parent.name}/{path.name}"
    first: Mapping[str, object] = {}
    objects = 0
    for record in formats.read_objects(path):
        first = first or record.row or {}
        objects += 1
    return {"file": name, "format": _format(name, first), "objects": objects}


def _format(name: str, row: Mapping[str, object]) -> str:
    if "messages" in row:
        return "chat"
    if "instruction" in row:
        return "instructions"
    if {"inputs", "targets"} <= row.keys():
        return "finished"
    raise ValueError(
        f"{name}: the first row has {', '.join(map(repr, row)) or 'nothing'}; it needs 'instruction', 'messages', or "
        "'inputs' and 'targets'."
    )


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    validation = min(_MAX_VALIDATION, metadata["objects"] // 10)
    splits = {"train": f"{metadata['file']}[{validation}:]"}
    if validation:
        splits["validation"] = f"{metadata['file']}[:{validation}]"
    common: dict[str, Any] = {
        "name": f"{FAMILY}:{name}",
        "metrics": (metrics.rouge_l,),
        "lineage": (name,),
        "metadata": metadata,
    }
    if metadata["format"] == "chat":
        return InstructionTask(
            source=sources.Chat(turns="all", **splits),
            to_fields=chat_fields,
            templates=_CHAT,
            cluster="dialog",
            may_cut=("turns",),
            **common,
        )
    if metadata["format"] == "finished":
        is_list = compression.without_suffix(metadata["file"]).endswith(".json")
        return InstructionTask(
            source=sources.Json(**splits) if is_list else sources.Jsonl(**splits),
            to_fields=finished_fields,
            templates=_FINISHED,
            cluster=name,
            **common,
        )
    return InstructionTask(
        source=sources.Instructions(**splits),
        to_fields=instruction_fields,
        templates=_INSTRUCTIONS,
        cluster="open_instructions",
        may_cut=("input_part",),
        extra_fields=("is_classification",),
        **common,
    )


def instruction_fields(row: Mapping[str, Any]) -> Fields | None:
    instruction, given, output = (row[key].strip() for key in ("instruction", "input", "output"))
    if not instruction or not output:
        return None
    kept = {key: row[key] for key in ("is_classification",) if key in row}
    return {
        "instruction": instruction,
        "input_part": f"\n\nInput:\n{given}" if given else "",
        "answer": output,
        **kept,
    }


def chat_fields(row: Mapping[str, Any]) -> Fields:
    system = row["system"].strip()
    return {
        "turns": [turn.strip() for turn in row["turns"]],
        "roles": row["roles"],
        "system_part": f"{system}\n\n" if system else "",
        "answer": row["answer"].strip(),
    }


def finished_fields(row: Mapping[str, Any]) -> Fields | None:
    answers = [row["targets"]] if isinstance(row["targets"], str) else row["targets"]
    answers = [answer.strip() for answer in answers if answer.strip()]
    inputs = row["inputs"].strip()
    return {"inputs": inputs, "answer": answers} if inputs and answers else None


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=_FOLDERS,
        licence="your own files'",
        publication=Publication(url="", get="Your own files: put them into DATA/instruction_rows"),
    ),
)
