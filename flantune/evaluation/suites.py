"""Suites of rendered questions from an `EvalSuite`: the first rows of each task's split, one template a row.

Prompts that are too long lose the end of the fields that may be cut, as in training; one that still does not fit is
left out and counted in the log. Read `evaluator.py` next.
"""

from collections.abc import Mapping, Sequence

from absl import logging

from flantune.configs import EvalSuite
from flantune.data import (
    catalog as catalog_lib,
    loading,
    members as members_lib,
    prompts,
    store as store_lib,
    tokenize,
)
from flantune.evaluation import evaluator


def build(
    suites: Sequence[EvalSuite],
    catalog: catalog_lib.Catalog,
    store: store_lib.Store,
    tokenizer: tokenize.Tokenizer,
    *,
    default_mixture: str,
) -> Mapping[str, tuple[evaluator.EvalTask, ...]]:
    """Every suite's tasks with their questions; the tokenizer's seed chooses templates, as in epoch 0 of training.

    Raises:
        KeyError: no such mixture, task or split.
        ValueError: a split is not prepared, or no question of a task fits.
    """
    built = {}
    for suite in suites:
        bound = loading.bind_mixture(
            catalog,
            store,
            suite.mixture or default_mixture,
            split=suite.split,
            templates=suite.templates,
        )
        built[suite.name] = tuple(_task(suite, member, tokenizer) for member in bound.members)
    return built


def _task(
    suite: EvalSuite,
    member: members_lib.Member,
    tokenizer: tokenize.Tokenizer,
) -> evaluator.EvalTask:
    count = len(member.reader) if suite.examples_per_task is None else suite.examples_per_task
    rows = range(min(count, len(member.reader)))
    requests = [prompts.Request(member, row, 0) for row in rows]
    task = member.task
    if task.is_tokenized:
        raise ValueError(
            f"Suite {suite.name!r}: {member.name!r} is prepared as ids by SeqIO and has no text to evaluate. Evaluate it "
            "with SeqIO, or write it as an InstructionTask."
        )
    examples = []
    for request, result in zip(requests, tokenizer.tokenize(requests), strict=True):
        if result is None:
            continue
        template = task.templates[result.prompt.template]
        examples.append(
            evaluator.EvalExample(
                task=member.name,
                cluster=task.cluster,
                uid=f"{task.name}/{member.split}/{request.row}",
                template_id=result.prompt.template,
                inputs=result.prompt.inputs,
                references=result.prompt.references,
                input_text=result.prompt.input_text,
                extract=template.extract,
            )
        )
    if len(examples) < len(requests):
        logging.warning(
            "%s: %s of %s questions do not fit and are left out.",
            member.name,
            len(requests) - len(examples),
            len(requests),
        )
    if not examples:
        raise ValueError(
            f"Suite {suite.name!r}: no question of {member.name!r} fits DataConfig.inputs_length."
        )
    return evaluator.EvalTask(
        name=member.name,
        cluster=task.cluster,
        metrics=task.metrics,
        examples=tuple(examples),
        postprocess=task.postprocess,
    )
