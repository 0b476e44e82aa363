"""InstructGPT's first stage: prompts of labelers and users with demonstrations (https://arxiv.org/abs/2203.02155).

Its data are not published. Demonstrations of your own go into `instructgpt_sft/` below the data directory, as JSONL or JSON
lists, compressed or not; `instructgpt_sft/mine.jsonl` is the task "instructgpt_sft:mine". The first row tells the format:

    {"prompt": text, "completion": text, "user": text or number}                              demonstrations
    {"messages": [{"role": ..., "content": ...}, ...], "user": text or number}                chats: the last reply counts

As published, the prompt stays as it is, without a template; a user is in one split only (a tenth of users validate); of
prompts that begin alike only the first stays, and at most 200 of a user; the loss is on the demonstration alone. Without "user"
a row counts as a user's of its own. How long a beginning must be is not published: here it is 200 characters. Nothing is
cut: what is too long is dropped and counted, as published. Private data must be taken out before. The mixture is
`instructgpt_sft`.
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

FAMILY = "instructgpt_sft"
MAX_PER_USER = 200  # the paper, section 3.2
SAME_PREFIX = 200
_SUFFIXES = (".json", ".jsonl")


def files(data_dir: pathlib.Path) -> dict[str, pathlib.Path]:
    """The file of each task, by its name without suffixes."""
    found: dict[str, pathlib.Path] = {}
    for path in sorted((data_dir / FAMILY).glob("*")):
        stem, dot, suffix = compression.without_suffix(path.name).rpartition(".")
        if dot + suffix in _SUFFIXES:
            found.setdefault(re.sub(r"[^A-Za-z0-9_.\-]+", "_", stem), path)
    return found


def read_metadata(path: pathlib.Path) -> dict[str, Any]:
    """What `make_task` needs of a file; JSON values only.

    Raises:
        ValueError: its first row is of no known format.
    """
    name = f"{FAMILY}/{path.name}"
    rows = (record.row for record in formats.read_objects(path) if record.row is not None)
    first = next(rows, {})
    if "messages" in first:
        return {"file": name, "format": "chats"}
    if {"prompt", "completion"} <= first.keys():
        return {"file": name, "format": "demonstrations"}
    raise ValueError(
        f"{name}: the first row has {', '.join(map(repr, first)) or 'nothing'}; it needs 'prompt' and 'completion', or "
        "'messages'."
    )


def make_task(name: str, metadata: Mapping[str, Any]) -> InstructionTask:
    file, is_chat = metadata["file"], metadata["format"] == "chats"
    is_list = compression.without_suffix(file).endswith(".json")
    of_rows = sources.Chat if is_chat else sources.Json if is_list else sources.Jsonl
    return InstructionTask(
        name=f"{FAMILY}:{name}",
        cluster="dialog" if is_chat else "open_instructions",
        source=sources.ByUser(
            rows=of_rows(all=file),
            text="turns" if is_chat else "prompt",
            max_per_user=MAX_PER_USER,
            same_prefix=SAME_PREFIX,
        ),
        to_fields=chat_fields if is_chat else demonstration_fields,
        templates=(
            Template(inputs="{system_part}{dialog}\n{next_speaker}:", kind="dialog")
            if is_chat
            else Template(inputs="{prompt}"),
        ),
        metrics=(metrics.rouge_l,),
        lineage=(name,),
        metadata=metadata,
    )


def demonstration_fields(row: Mapping[str, Any]) -> Fields | None:
    prompt, completion = row["prompt"].strip(), row["completion"].strip()
    if row["left_out"] or not prompt or not completion:
        return None
    return {"prompt": prompt, "answer": completion}


def chat_fields(row: Mapping[str, Any]) -> Fields | None:
    if row["left_out"]:
        return None
    system = row["system"].strip()
    return {
        "turns": [turn.strip() for turn in row["turns"]],
        "roles": row["roles"],
        "system_part": f"{system}\n\n" if system else "",
        "answer": row["answer"].strip(),
    }


TASKS = (
    TaskFamily(
        name=FAMILY,
        files=files,
        read_metadata=read_metadata,
        make_task=make_task,
        folders=(FAMILY,),
        licence="your own files'",
        publication=Publication(
            url="https://arxiv.org/abs/2203.02155",
            get="The paper's data are not published: put demonstrations of your own into DATA/instructgpt_sft",
        ),
    ),
)
