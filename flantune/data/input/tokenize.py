"""From rows to ids: renders, tokenises, and shortens a prompt that is too long.

    Request(member, row 7, epoch 0)  ->  Tokenized(prompt, inputs=[12, 7, ..., 1], targets=[30, 1], cut=False)

The instruction, the options and the question are never cut. In a few-shot prompt the last exemplars go first, and the
query is never cut: if it does not fit alone, the example is dropped. Otherwise a task's `may_drop` parts (solved
examples of its own, say) go first, then its `may_cut` fields lose their end; a prompt that is still too long is
dropped. All of it is counted. Read `blocks.py` next.
"""

from collections.abc import Mapping, Sequence
import dataclasses

from flantune import prompting
from flantune.data.input import prompts as prompts_lib
from flantune.data.plain_seqio import tasks as seqio_tasks
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.prompting import filters, rendering, template as template_lib

_MAX_ATTEMPTS = 12  # each takes at least a tenth off: 0.9 ** 12 leaves 28 % of the first guess


@dataclasses.dataclass(frozen=True, slots=True)
class Tokenized:
    """A rendered example and its ids, both ending with the end of sequence.

    Attributes:
        cut: whether anything is missing: exemplars, dropped parts, the end of a field or of the targets.
        weight: the task's or the row's own loss weight.
    """

    prompt: prompting.Prompt
    inputs: list[int]
    targets: list[int]
    cut: bool
    weight: float = 1.0


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
            results.append(Tokenized(prompt, inputs, targets, seqio_tasks.was_cut(material.fields)))
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
            fitted: tuple[prompting.Prompt, list[int]] | None = (prompt, input_ids)
            cut = len(target_ids) >= self._targets_length
            if len(input_ids) >= self._limit(material, len(prompt.exemplars)):
                fitted, cut = self._shorten(material, len(input_ids)), True
            if fitted is None:
                results.append(None)
                continue
            ids = [*target_ids, self._vocabulary.eos_id][: self._targets_length]
            results.append(
                Tokenized(
                    fitted[0],
                    [*fitted[1], self._vocabulary.eos_id],
                    ids,
                    cut,
                    material.request.member.task.weight_of(material.fields),
                )
            )
        return results

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

    def _shorten(
        self, material: prompts_lib.Material, length: int
    ) -> tuple[prompting.Prompt, list[int]] | None:
        """The prompt shortened as far as it must be; None where that is not enough."""
        if material.request.member.setting.is_few_shot:
            return self._with_fewer_shots(material)
        task = material.request.member.task
        shortened: dict[str, rendering.FieldValue] = {}
        for name in task.may_drop:
            shortened[name] = ""
            prompt, ids = self._fit(material, shortened=shortened)
            if prompt is not None and len(ids) < self._inputs_length:
                return prompt, ids
            length = len(ids)
        for name in task.may_cut:
            fitted = self._cut(material, name, shortened, length)
            if fitted is not None:
                return fitted
            length = len(self._fit(material, shortened=shortened)[1])
        return None

    def _with_fewer_shots(
        self, material: prompts_lib.Material
    ) -> tuple[prompting.Prompt, list[int]] | None:
        """The prompt with as many of its first exemplars as fit."""
        best = None
        low, high = 0, len(material.exemplars)  # fewer than `low` fit, `high` do not
        while low < high:
            shots = 0 if best is None else (low + high) // 2
            prompt, ids = self._fit(material, shots=shots)
            if prompt is not None and len(ids) < self._limit(material, shots):
                best, low = (prompt, ids), shots + 1
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
    ) -> tuple[prompting.Prompt, list[int]] | None:
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
                return prompt, ids
            keep = int(keep * 0.9)
        shortened[name] = _shorter(value, 0)
        return None


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
