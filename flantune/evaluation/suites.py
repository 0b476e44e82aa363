"""Suites of rendered questions from an `EvalSuite`: the first rows of each task's split, one template a row.

Prompts that are too long lose the end of the fields that may be cut, as in training; one that still does not fit is
left out and counted in the log. Read `generation.py` and `ranking.py` next: they have the questions.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import itertools
from typing import Any

from absl import logging

from flantune import prompting
from flantune.configs import EvalConfig, EvalSuite
from flantune.data import catalog as catalog_lib, members as members_lib
from flantune.data.input import loading, prompts as prompts_lib, tokenize
from flantune.data.store import reader as store_lib
from flantune.data.vocabularies import vocabulary as vocabulary_lib
from flantune.evaluation import evaluator, generation, ranking

_MAX_NAMED = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Asked:
    """The rows of a member that have a prompt which fits."""

    member: members_lib.Member
    requests: tuple[prompts_lib.Request, ...]
    prompts: tuple[prompting.Prompt, ...]

    def uid(self, place: int) -> str:
        return f"{self.member.task.name}/{self.member.split}/{self.requests[place].row}"

    def template(self, prompt: prompting.Prompt) -> prompting.Template:
        return self.member.task.templates[prompt.template]


class Builder:
    """Renders the questions of suites in a vocabulary.

    Args:
        tokenizer: its seed chooses templates, as in epoch 0 of training.
        vocabulary: the tokenizer's.
        answers: what the model does with the requests of a suite, by `EvalSuite.answer_by`.
    """

    def __init__(
        self,
        tokenizer: tokenize.Tokenizer,
        vocabulary: vocabulary_lib.Vocabulary,
        answers: Mapping[str, Callable[..., Sequence[Any]]],
    ) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._answers = answers
        self._makers: Mapping[str, Callable[..., Sequence[evaluator.EvalTask[Any, Any]]]] = {
            "generation": self._generation_tasks,
            "ranking": self._ranking_tasks,
        }

    def build(
        self,
        evaluation: EvalConfig,
        catalog: catalog_lib.Catalog,
        store: store_lib.Store,
        *,
        default_mixture: str,
    ) -> dict[str, evaluator.Suite[Any]]:
        """Every suite by name, with its tasks and their questions.

        Raises:
            KeyError: no such mixture, task or split.
            ValueError: a split is not prepared, no question of a task fits, or a task to be ranked has no options.
        """
        built = {}
        for suite in evaluation.suites:
            bound = loading.bind_mixture(
                catalog,
                store,
                suite.mixture or default_mixture,
                split=suite.split,
                templates=suite.templates,
            )
            asked = [self._ask(suite, member) for member in bound.members]
            built[suite.name] = evaluator.Suite(
                tasks=self._makers[suite.answer_by](suite, asked),
                answer=self._answers[suite.answer_by],
                metric=suite.metric or evaluation.metric,
            )
        return built

    def _ask(self, suite: EvalSuite, member: members_lib.Member) -> _Asked:
        if member.task.is_tokenized:
            raise ValueError(
                f"Suite {suite.name!r}: {member.name!r} is prepared as ids by SeqIO and has no text to evaluate. Evaluate "
                "it with SeqIO, or write it as an InstructionTask."
            )
        member = _without_inversions(member)
        count = len(member.reader) if suite.examples_per_task is None else suite.examples_per_task
        rows = range(min(count, len(member.reader)))
        requests = [prompts_lib.Request(member, row, 0) for row in rows]
        found = zip(requests, self._tokenizer.tokenize(requests), strict=True)
        fitting = [(request, result.prompt) for request, result in found if result is not None]
        if len(fitting) < len(requests):
            logging.warning(
                "%s: %s of %s questions do not fit and are left out.",
                member.name,
                len(requests) - len(fitting),
                len(requests),
            )
        if not fitting:
            raise ValueError(
                f"Suite {suite.name!r}: no question of {member.name!r} fits EvalConfig.inputs_length (by default that of "
                "DataConfig)."
            )
        kept, prompts = zip(*fitting, strict=True)
        return _Asked(member=member, requests=kept, prompts=prompts)

    def _generation_tasks(
        self, suite: EvalSuite, asked: Sequence[_Asked]
    ) -> list[generation.GenerationTask]:
        del suite
        return [_generation_task(one) for one in asked]

    def _ranking_tasks(
        self, suite: EvalSuite, asked: Sequence[_Asked]
    ) -> list[ranking.RankingTask]:
        _check_rankable(suite, asked)
        return [self._ranking_task(one) for one in asked]

    def _ranking_task(self, asked: _Asked) -> ranking.RankingTask:
        options = [_options(asked.template(prompt), prompt) for prompt in asked.prompts]
        texts = list(dict.fromkeys(itertools.chain.from_iterable(options)))
        ids = dict(zip(texts, map(tuple, self._vocabulary.encode_batch(texts)), strict=True))
        unconditional = self._tokenizer.unconditional(asked.requests, asked.prompts)
        examples = []
        for place, prompt in enumerate(asked.prompts):
            own = [ids[text] for text in options[place]]
            examples.append(
                ranking.RankingExample(
                    uid=asked.uid(place),
                    template_id=prompt.template,
                    inputs=prompt.inputs,
                    references=prompt.references,
                    options=options[place],
                    choices=prompt.choices,
                    right=tuple(
                        number
                        for number, candidate in enumerate(prompt.candidates)
                        if candidate in prompt.references
                    ),
                    same_as=tuple(own.index(one) for one in own),
                    unconditional_inputs=unconditional[place] or "",
                )
            )
        _log_ranking(asked.member.name, examples, unconditional)
        return ranking.RankingTask(
            name=asked.member.name, cluster=asked.member.task.cluster, examples=tuple(examples)
        )


def _without_inversions(member: members_lib.Member) -> members_lib.Member:
    """The member without inverted wordings, where its setting has them beside others: nothing is scored by them."""
    if not member.setting.with_inversions:
        return member
    templates = member.task.templates
    usable = tuple(index for index in member.usable if templates[index].kind != "inversion")
    return dataclasses.replace(member, usable=usable or member.usable)


def _generation_task(asked: _Asked) -> generation.GenerationTask:
    task = asked.member.task
    return generation.GenerationTask(
        name=asked.member.name,
        cluster=task.cluster,
        metrics=task.metrics,
        examples=tuple(
            generation.GenerationExample(
                uid=asked.uid(place),
                template_id=prompt.template,
                inputs=prompt.inputs,
                references=prompt.references,
                input_text=prompt.input_text,
                extract=asked.template(prompt).extract,
            )
            for place, prompt in enumerate(asked.prompts)
        ),
        postprocess=task.postprocess,
    )


def _options(template: prompting.Template, prompt: prompting.Prompt) -> tuple[str, ...]:
    """The targets to score: each candidate in the words that the wording puts around an answer."""
    targets = [template.target_of(candidate) for candidate in prompt.candidates]
    return tuple(target for target in targets if target is not None)


def _check_rankable(suite: EvalSuite, asked: Sequence[_Asked]) -> None:
    """Raises ValueError that names the tasks with a question whose options cannot be ranked."""
    found = {}
    for one in asked:
        obstacles = (_obstacle(one.template(prompt), prompt) for prompt in one.prompts)
        obstacle = next((text for text in obstacles if text is not None), None)
        if obstacle is not None:
            found[one.member.name] = obstacle
    if not found:
        return
    named = [f"{name!r} ({obstacle})" for name, obstacle in list(found.items())[:_MAX_NAMED]]
    more = f" and {len(found) - _MAX_NAMED} more" if len(found) > _MAX_NAMED else ""
    raise ValueError(
        f"Suite {suite.name!r} ranks answer options, which cannot be done for {len(found)} of its {len(asked)} tasks: "
        f"{', '.join(named)}{more}. Name a mixture of other tasks in EvalSuite.mixture, or set EvalSuite.answer_by to "
        "'generation'."
    )


def _obstacle(template: prompting.Template, prompt: prompting.Prompt) -> str | None:
    if template.kind == "inversion":
        return "its wording is inverted and gives the answer away"
    if not prompt.candidates:
        return "it has no answer choices"
    if len(_options(template, prompt)) < len(prompt.candidates):
        return "its targets hold more than the answer"
    return None


def _log_ranking(
    name: str, examples: Sequence[ranking.RankingExample], unconditional: Sequence[str | None]
) -> None:
    alike = sum(example.is_alike for example in examples)
    if alike:
        logging.warning(
            "%s: in %s of %s questions a right and a wrong option have the same tokens; they tie whatever the model.",
            name,
            alike,
            len(examples),
        )
    empty = sum(prompt is None for prompt in unconditional)
    if empty:
        logging.info(
            "%s: the unconditional prompt of %s of %s questions is empty, as their wording has none without fields that fits.",
            name,
            empty,
            len(examples),
        )
