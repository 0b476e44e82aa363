"""Self-Instruct: instructions that GPT-3 wrote, and the seed tasks it wrote them from.

Below the data directory, in the published layout:

    self_instruct/all_instances_82K.jsonl    {"instruction", "input", "output"}             "self_instruct:generated"
    self_instruct/seed_tasks.jsonl           {"instruction", "instances", "is_classification"}   "self_instruct:seed_tasks"

As published, several encodings of instruction and input take turns, with and without names before the parts, and the loss is
on the output alone; the encodings are our own. Of a prompt that is too long the input loses its end. The mixture
`self_instruct` has both, in proportion to their rows.
"""

from flantune import metrics
from flantune.data import InstructionTask, Publication, sources
from flantune.prompting import Template
from tasks import instruction_rows

_TEMPLATES = (
    Template(inputs="{instruction}{input_part}\n\nOutput:"),
    Template(inputs="Task: {instruction}{input_part}\n\nOutput:"),
    Template(inputs="Task: {instruction}{input_part}"),
    Template(inputs="Carry out this task.\n{instruction}{input_part}\n\nResult:"),
    Template(inputs="Instruction: {instruction}{input_part}\n\nWhat is the output?"),
    Template(inputs="{instruction}{input_part}"),
)
_FILES = {
    "generated": "self_instruct/all_instances_82K.jsonl",
    "seed_tasks": "self_instruct/seed_tasks.jsonl",
}
_PUBLICATION = Publication(
    url="https://arxiv.org/abs/2212.10560",
    get="Put data/seed_tasks.jsonl and data/gpt3_generations/batch_221203/all_instances_82K.jsonl of "
    "https://github.com/yizhongw/self-instruct into DATA/self_instruct",
)

TASKS = tuple(
    InstructionTask(
        name=f"self_instruct:{name}",
        cluster="open_instructions",
        source=sources.Instructions(train=file),
        to_fields=instruction_rows.instruction_fields,
        templates=_TEMPLATES,
        metrics=(metrics.rouge_l,),
        may_cut=("input_part",),
        extra_fields=("is_classification",),
        lineage=("self_instruct", name),
        licence="Apache-2.0",
        publication=_PUBLICATION,
    )
    for name, file in _FILES.items()
)
