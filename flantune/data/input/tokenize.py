"""From rows to ids: renders, tokenises, and shortens a prompt that is too long.

    Request(member, row 7, epoch 0)  ->  Tokenized(prompt, inputs=[12, 7, ..., 1], targets=[30, 1], lost=())

The instruction, the options and the question are never cut. In a few-shot prompt the last exemplars go first, and the
query is never cut: if it does not fit alone, the example is dropped. Otherwise a task's `may_drop` parts (solved
examples of its own, say) go first, then its `may_cut` fields lose their end; a prompt that is still too long is
dropped. All of it is counted. Read `blocks.py` next.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import NamedTuple

from flantune import prompting
from flantune.data.input import prompts as prompts_lib
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import filters, rendering, template as template_lib

LOST_EXEMPLARS = "exemplars"
LOST_TARGET = "end of the target"
LOST_IDS = "end of the ids"  # of a plain SeqIO task, whose rows do not say of which side
_MAX_ATTEMPTS = 12  # each takes at least a tenth off: 0.9 ** 12 leaves 28 % of the first guess


@dataclasses.dataclass(frozen=True, slots=True)
class Tokenized:
    """A rendered example and its ids, both ending with the end of sequence.

    Attributes:
        lost: what is missing: `LOST_EXEMPLARS`, "all of 'context'", "part of 'passage'", `LOST_TARGET`; () where nothing is.
        weight: the task's or the row's own loss weight.
    """

    prompt: prompting.Prompt
    inputs: list[int]
    targets: list[int]
    lost: tuple[str, ...]
    weight: float = 1.0

    @property
    def cut(self) -> bool:
        """Whether anything is missing."""
        return bool(self.lost)


class _Fitted(NamedTuple):
    """A prompt that fits, its ids without the end of sequence, and what it has lost."""

    prompt: prompting.Prompt
    ids: list[int]
    lost: tuple[str, ...] = ()


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

    def tokenize(self, requests: Sequence[prompts_lib.Request]) -> list[Tokenized | None]:
        """One result for each request; None where the prompt cannot be made to fit.

        Targets that are too long lose their end, without an end of sequence. Rows that hold ids are taken as they are.
        """
        have_ids = [request.member.task.is_tokenized for request in requests]
        pairs = list(zip(requests, have_ids, strict=True))
        texts = iter(self._tokenize_text([request for request, has_ids in pairs if not has_ids]))
        ids = iter(self._read_ids([request for request, has_ids in pairs if has_ids]))
        return [next(ids) if has_ids else next(texts) for has_ids in have_ids]

    def unconditional(
        self, requests: Sequence[prompts_lib.Request], shown: Sequence[prompting.Prompt]
    ) -> list[str | None]:
        r"""Each prompt without what belongs to its example: its own fields are empty, and no exemplars are shown.

            "Rain fell.\nDid it rain?\nOptions:\n(A) no\n(B) yes"  ->  "\nDid it rain?\nOptions:\n(A) no\n(B) yes"

        What the wording says stays, and so do the task's constants and the options as shown: "(B)" means nothing without
        them. None where the wording is of another language, whose words may depend on the fields, or does not fit.
        """
        return [
            self._without_fields(material, prompt)
            for material, prompt in zip(
                prompts_lib.gather(requests, seed=self._seed), shown, strict=True
            )
        ]

    def _without_fields(
        self, material: prompts_lib.Material, shown: prompting.Prompt
    ) -> str | None:
        task = material.request.member.task
        template = task.templates[shown.template]
        if isinstance(template, template_lib.SelfRendering):
            return None  # its wording may turn on a field: "because" or "so"
        emptied = {
            name: _shorter(material.fields[name], 0)
            for name in template.input_fields
            if name in material.fields and name not in (task.answer_choices, rendering.LABEL)
        }
        prompt, ids = self._fit(material, shots=0, shortened=emptied)
        if prompt is None or prompt.template != shown.template or len(ids) >= self._inputs_length:
            return None
        return prompt.inputs

    def _read_ids(self, requests: Sequence[prompts_lib.Request]) -> list[Tokenized]:
        results = []
        for material in prompts_lib.gather(requests, seed=self._seed):
            prompt = prompts_lib.render_one(material, seed=self._seed)
            assert prompt is not None  # ids need no template
            inputs, targets = map(seqio_tasks.ids_of, (prompt.inputs, prompt.targets))
            lost = (LOST_IDS,) if seqio_tasks.was_cut(material.fields) else ()
            results.append(Tokenized(prompt, inputs, targets, lost))
        return results

    def _tokenize_text(self, requests: Sequence[prompts_lib.Request]) -> list[Tokenized | None]:
        materials = prompts_lib.gather(requests, seed=self._seed)
        prompts = [prompts_lib.render_one(material, seed=self._seed) for material in materials]
        inputs = self._vocabulary.encode_batch([one.inputs if one else "" for one in prompts])
        targets = self._vocabulary.encode_batch([one.targets if one else "" for one in prompts])
        results: list[Tokenized | None] = []
        for material, prompt, input_ids, target_ids in zip(
            materials, prompts, inputs, targets, strict=True
        ):
            if prompt is None:
                results.append(None)
                continue
            fitted: _Fitted | None = _Fitted(prompt, input_ids)
            if len(input_ids) >= self._limit(material, len(prompt.exemplars)):
                fitted = self._shorten(material, len(input_ids))
            if fitted is None:
                results.append(None)
                continue
            ids = [*target_ids, self._vocabulary.eos_id][: self._targets_length]
            is_cut = len(target_ids) >= self._targets_length
            results.append(
                Tokenized(
                    fitted.prompt,
                    [*fitted.ids, self._vocabulary.eos_id],
                    ids,
                    (*fitted.lost, LOST_TARGET) if is_cut else fitted.lost,
                    material.request.member.task.weight_of(material.fields),
                )
            )
        return results

    def needed(self, requests: Sequence[prompts_lib.Request]) -> list[int | None]:
        """The least inputs_length at which each example is kept; None where no wording applies to it.

        That is its length without exemplars, without what may be dropped, and with nothing left of what may be cut. Rows
        that hold ids always fit.
        """
        prompts = [
            self._shortest(material) for material in prompts_lib.gather(requests, seed=self._seed)
        ]
        ids = self._vocabulary.encode_batch([one.inputs if one else "" for one in prompts])
        return [len(own) + 1 if one else None for one, own in zip(prompts, ids, strict=True)]

    def _shortest(self, material: prompts_lib.Material) -> prompting.Prompt | None:
        member = material.request.member
        if member.setting.is_few_shot:
            return prompts_lib.render_one(material, seed=self._seed, shots=0)
        shortened: dict[str, rendering.FieldValue] = dict.fromkeys(member.task.may_drop, "")
        for name in member.task.may_cut:
            shortened[name] = _shorter(material.fields[name], 0)
        return prompts_lib.render_one(material, seed=self._seed, shortened=shortened)

    def _limit(self, material: prompts_lib.Material, shots: int) -> int:
        """One more than the ids that a prompt may have, the end of sequence not among them."""
        budget = material.request.member.setting.max_input_tokens
        if shots and budget is not None:
            return min(budget, self._inputs_length)
        return self._inputs_length

    def _fit(
        self,
        material: prompts_lib.Material,
        *,
        shots: int | None = None,
        shortened: Mapping[str, rendering.FieldValue] | None = None,
    ) -> tuple[prompting.Prompt | None, list[int]]:
        prompt = prompts_lib.render_one(material, seed=self._seed, shots=shots, shortened=shortened)
        return prompt, [] if prompt is None else self._vocabulary.encode(prompt.inputs)

    def _shorten(self, material: prompts_lib.Material, length: int) -> "_Fitted | None":
        """The prompt shortened as far as it must be; None where that is not enough."""
        if material.request.member.setting.is_few_shot:
            return self._with_fewer_shots(material)
        task = material.request.member.task
        shortened: dict[str, rendering.FieldValue] = {}
        for name in task.may_drop:
            shortened[name] = ""
            prompt, ids = self._fit(material, shortened=shortened)
            if prompt is not None and len(ids) < self._inputs_length:
                return _Fitted(prompt, ids, _lost(material, prompt, shortened))
            length = len(ids)
        for name in task.may_cut:
            fitted = self._cut(material, name, shortened, length)
            if fitted is not None:
                return fitted
            length = len(self._fit(material, shortened=shortened)[1])
        return None

    def _with_fewer_shots(self, material: prompts_lib.Material) -> "_Fitted | None":
        """The prompt with as many of its first exemplars as fit."""
        best = None
        low, high = 0, len(material.exemplars)  # fewer than `low` fit, `high` do not
        while low < high:
            shots = 0 if best is None else (low + high) // 2
            prompt, ids = self._fit(material, shots=shots)
            if prompt is not None and len(ids) < self._limit(material, shots):
                best, low = _Fitted(prompt, ids, (LOST_EXEMPLARS,)), shots + 1
            elif best is None:
                return None
            else:
                high = shots
        return best

    def _cut(
        self,
        material: prompts_lib.Material,
        name: str,
        shortened: dict[str, rendering.FieldValue],
        length: int,
    ) -> "_Fitted | None":
        """The prompt with the field `name` cut; where even that is too long, `shortened` empties the field."""
        value = material.fields[name]
        text = filters.text_of(value)
        field_length = max(1, len(self._vocabulary.encode(text)))
        overflow = length - (self._inputs_length - 1)
        keep = int(len(text) * max(0, field_length - overflow) / field_length)
        for _ in range(_MAX_ATTEMPTS):
            shortened[name] = _shorter(value, keep)
            prompt, ids = self._fit(material, shortened=shortened)
            if prompt is not None and len(ids) < self._inputs_length:
                return _Fitted(prompt, ids, _lost(material, prompt, shortened))
            keep = int(keep * 0.9)
        shortened[name] = _shorter(value, 0)
        return None


def _lost(
    material: prompts_lib.Material,
    prompt: prompting.Prompt,
    shortened: Mapping[str, rendering.FieldValue],
) -> tuple[str, ...]:
    """Which fields and constants that a wording shows are shorter in its prompt than they are."""
    task = material.request.member.task
    template = task.templates[prompt.template]
    whole = {**task.constants, **material.fields}
    lost = []
    for name in template.fields:
        if name in shortened and shortened[name] != whole.get(name, ""):
            left = filters.text_of(shortened[name])
            lost.append(f"part of {name!r}" if left else f"all of {name!r}")
    return tuple(lost)


def _shorter(value: rendering.FieldValue, length: int) -> rendering.FieldValue:
    """The first `length` characters of a text; of a list, such as the turns of a dialog, as many of its last items."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return _first_words(filters.text_of(value), length)
    kept: list[str] = []
    for item in reversed(value):
        length -= len(item)
        if length < 0:
            break
        kept.insert(0, item)
    return kept


def _first_words(text: str, length: int) -> str:
    """The first `length` characters of `text`, without a broken last word."""
    if length >= len(text):
        return text
    head = text[:length]
    return head[: head.rindex(" ")] if " " in head else head
