"""Alpaca: instructions that a model wrote, with their answers.

"alpaca:alpaca" reads `alpaca/alpaca_data.json` below the data directory: a list of {"instruction", "input", "output"}, 52,002
upstream. As there, all rows train, the prompt has a part for the input only where there is one, and the loss is on the output
alone; the words around them are ours. Of a prompt that is too long the input loses its end. The mixture is `alpaca`. For rows
of your own in this form see `instruction_rows.py`.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.data.task import Fields
from flantune.prompting import Template

FILE = "alpaca/alpaca_data.json"
LICENCE = "CC BY-NC 4.0"
PUBLICATION = Publication(
    url="https://github.com/tatsu-lab/stanford_alpaca",
    get="Put its alpaca_data.json into DATA/alpaca",
)
_WITH_INPUT = " The input that it is about follows it."


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    instruction, given, output = (row[key].strip() for key in ("instruction", "input", "output"))
    if not instruction or not output:
        return None
    return {
        "about_input": _WITH_INPUT if given else "",
        "instruction": instruction,
        "input_part": f"\n\nInput:\n{given}" if given else "",
        "answer": output,
    }


TASKS = (
    InstructionTask(
        name="alpaca:alpaca",
        cluster="open_instructions",
        source=sources.Instructions(train=FILE),
        to_fields=to_fields,
        templates=(
            Template(
                inputs="Someone gives you an instruction.{about_input} Write a response that does what it asks.\n\n"
                "Instruction:\n{instruction}{input_part}\n\nResponse:"
            ),
        ),
        metrics=(metrics.rouge_l,),
        may_cut=("input_part",),
        lineage=("alpaca",),
        licence=LICENCE,
        publication=PUBLICATION,
    ),
)
