"""From fields to ids: renders, tokenises, and where a prompt is too long cuts the fields that may be cut.

    fields {"premise": "It rains.", "label": 1}  ->  Tokenized(inputs=[12, 7, ..., 1], targets=[30, 1], ...)

The instruction, the options and the question are never cut: only a task's `may_cut` fields lose their end. A prompt
that is still too long is dropped and counted. Read `pipeline.py` next.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from flantune import prompting
from flantune.data import task as task_lib, vocabulary as vocabulary_lib
from flantune.prompting import choice, rendering

_MAX_ATTEMPTS = 12  # each takes at least a tenth off: 0.9 ** 12 leaves 28 % of the first guess


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A task in a setting, with the templates that may be used."""

    name: str
    task: task_lib.InstructionTask
    setting: prompting.PromptSetting
    usable: tuple[int, ...]
    split: str


@dataclasses.dataclass(frozen=True, slots=True)
class Tokenized:
    """A rendered example and its ids, both ending with the end of sequence."""

    prompt: prompting.Prompt
    inputs: list[int]
    targets: list[int]
    cut: bool


def make_member(name: str, task: task_lib.InstructionTask, split: str, templates: str) -> Member:
    """A member that uses the "training", "held_out" or "all" templates of a task.

    Raises:
        ValueError: the task has no template of that kind.
    """
    usable = rendering.usable_templates(task.templates, templates)
    if not usable:
        raise ValueError(f"Task {task.name!r} has no {templates!r} template.")
    return Member(
        name=name, task=task, setting=task_lib.setting_of(name), usable=usable, split=split
    )


def render(
    member: Member, fields: Mapping[str, rendering.FieldValue], row: int, *, epoch: int, seed: int
) -> prompting.Prompt:
    """The prompt of one row in one epoch: the same here, in SeqIO and in evaluation."""
    task = member.task
    return prompting.render(
        templates=task.templates,
        usable=member.usable,
        fields=fields,
        constants=task.constants,
        answer_choices=task.answer_choices,
        setting=member.setting,
        chooser=choice.Chooser(seed, epoch, f"{task.name}/{member.split}/{row}"),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """One example to tokenise."""

    member: Member
    fields: Mapping[str, rendering.FieldValue]
    row: int
    epoch: int


class Tokenizer:
    """Renders and tokenises examples for fixed lengths, which include the end of sequence."""

    def __init__(
        self,
        vocabulary: vocabulary_lib.Vocabulary,
        *,
        inputs_length: int,
        targets_length: int,
        seed: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._inputs_length = inputs_length
        self._targets_length = targets_length
        self._seed = seed

    def tokenize(self, requests: Sequence[Request]) -> list[Tokenized | None]:
        """One result for each request; None where the prompt cannot be made to fit.

        Targets that are too long lose their end, without an end of sequence.
        """
        prompts = [self._render(request, request.fields) for request in requests]
        inputs = self._vocabulary.encode_batch([prompt.inputs for prompt in prompts])
        targets = self._vocabulary.encode_batch([prompt.targets for prompt in prompts])
        results: list[Tokenized | None] = []
        for request, prompt, input_ids, target_ids in zip(
            requests, prompts, inputs, targets, strict=True
        ):
            fitted: tuple[prompting.Prompt, list[int]] | None = (prompt, input_ids)
            cut = len(target_ids) >= self._targets_length
            if len(input_ids) >= self._inputs_length:
                fitted, cut = self._shorten(request, len(input_ids)), True
            if fitted is None:
                results.append(None)
                continue
            ids = [*target_ids, self._vocabulary.eos_id][: self._targets_length]
            results.append(Tokenized(fitted[0], [*fitted[1], self._vocabulary.eos_id], ids, cut))
        return results

    def _render(
        self, request: Request, fields: Mapping[str, rendering.FieldValue]
    ) -> prompting.Prompt:
        return render(request.member, fields, request.row, epoch=request.epoch, seed=self._seed)

    def _shorten(self, request: Request, length: int) -> tuple[prompting.Prompt, list[int]] | None:
        """The prompt with its cuttable fields shortened until it fits."""
        fields = dict(request.fields)
        for name in request.member.task.may_cut:
            text = rendering.text_of(fields[name])
            field_length = max(1, len(self._vocabulary.encode(text)))
            overflow = length - (self._inputs_length - 1)
            keep = int(len(text) * max(0, field_length - overflow) / field_length)
            for _ in range(_MAX_ATTEMPTS):
                fields[name] = _first_words(text, keep)
                prompt = self._render(request, fields)
                ids = self._vocabulary.encode(prompt.inputs)
                if len(ids) < self._inputs_length:
                    return prompt, ids
                keep = int(keep * 0.9)
            fields[name] = ""
            length = len(self._vocabulary.encode(self._render(request, fields).inputs))
        return None


def _first_words(text: str, length: int) -> str:
    """The first `length` characters of `text`, without a broken last word."""
    if length >= len(text):
        return text
    head = text[:length]
    return head[: head.rindex(" ")] if " " in head else head
