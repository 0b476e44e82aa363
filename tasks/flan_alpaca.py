"""flan-alpaca: Flan-T5 tuned further on Alpaca's rows (https://github.com/declare-lab/flan-alpaca).

"flan_alpaca:alpaca" reads the rows of `alpaca.py`. The prompt is the instruction, a line break and the input, without a word
of a template. There is one departure: upstream cuts prompts at their beginning, so that a long input leaves nothing of the
instruction; here the input loses its end, and a row whose instruction alone does not fit is dropped and counted. The mixture
is `flan_alpaca`.
"""

from collections.abc import Mapping
from typing import Any

from flantune import metrics
from flantune.data import InstructionTask, sources
from flantune.data.task import Fields
from flantune.prompting import Template
from tasks import alpaca


def to_fields(row: Mapping[str, Any]) -> Fields | None:
    instruction, given, output = (row[key].strip() for key in ("instruction", "input", "output"))
    if not instruction or not output:
        return None
    return {
        "instruction": instruction,
        "input_part": f"\n{given}" if given else "",
        "answer": output,
    }


TASKS = (
    InstructionTask(
        name="flan_alpaca:alpaca",
        cluster="open_instructions",
        source=sources.Instructions(train=alpaca.FILE),
        to_fields=to_fields,
        templates=(Template(inputs="{instruction}{input_part}"),),
        metrics=(metrics.rouge_l,),
        may_cut=("input_part",),
        lineage=("alpaca",),
        licence=alpaca.LICENCE,
        publication=alpaca.PUBLICATION,
    ),
)
