"""From fields to ids: renders, tokenises, and shortens a prompt that is too long where its task allows it.

    fields {"premise": "It rains.", "label": 1}  ->  Tokenized(inputs=[12, 7, ..., 1], targets=[30, 1], ...)

The instruction, the options and the question are never cut: a task's `may_drop` parts (solved examples, say) go first,
then its `may_cut` fields lose their end. A prompt that is still too long is dropped. All of it is counted. Read `pipeline.py` next.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from flantune import prompting
from flantune.data import task as task_lib, vocabulary as vocabulary_lib
from flantune.prompting import choice, filters, rendering

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
    member: Member,
    fields: Mapping[str, rendering.FieldValue],
    row: int,
    *,
    epoch: int,
    seed: int,
    shortened: Mapping[str, str] | None = None,
) -> prompting.Prompt:
    """The prompt of one row in one epoch: the same here, in SeqIO and in evaluation.

    Args:
        shortened: texts that stand in for fields and constants which were too long.
    """
    task = member.task
    constants = task.constants
    if shortened:
        fields = {name: shortened.get(name, value) for name, value in fields.items()}
        constants = {name: shortened.get(name, text) for name, text in constants.items()}
    return prompting.render(
        templates=task.templates,
        usable=member.usable,
        fields=fields,
        constants=constants,
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
        prompts = [self._render(request) for request in requests]
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
        self, request: Request, shortened: Mapping[str, str] | None = None
    ) -> prompting.Prompt:
        return render(
            request.member,
            request.fields,
            request.row,
            epoch=request.epoch,
            seed=self._seed,
            shortened=shortened,
        )

    def _fit(
        self, request: Request, shortened: Mapping[str, str]
    ) -> tuple[prompting.Prompt, list[int]]:
        prompt = self._render(request, shortened)
        return prompt, self._vocabulary.encode(prompt.inputs)

    def _shorten(self, request: Request, length: int) -> tuple[prompting.Prompt, list[int]] | None:
        """The prompt without what may be dropped and with what may be cut shortened, as far as it must be."""
        task = request.member.task
        shortened: dict[str, str] = {}
        for name in task.may_drop:
            shortened[name] = ""
            prompt, ids = self._fit(request, shortened)
            if len(ids) < self._inputs_length:
                return prompt, ids
            length = len(ids)
        for name in task.may_cut:
            text = filters.text_of(request.fields[name])
            field_length = max(1, len(self._vocabulary.encode(text)))
            overflow = length - (self._inputs_length - 1)
            keep = int(len(text) * max(0, field_length - overflow) / field_length)
            for _ in range(_MAX_ATTEMPTS):
                shortened[name] = _first_words(text, keep)
                prompt, ids = self._fit(request, shortened)
                if len(ids) < self._inputs_length:
                    return prompt, ids
                keep = int(keep * 0.9)
            shortened[name] = ""
            length = len(self._fit(request, shortened)[1])
        return None


def _first_words(text: str, length: int) -> str:
    """The first `length` characters of `text`, without a broken last word."""
    if length >= len(text):
        return text
    head = text[:length]
    return head[: head.rindex(" ")] if " " in head else head
