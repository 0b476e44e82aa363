"""The collection's tasks through `lint`, and every wording in every setting through a vocabulary, within 1,024 and 256 ids.

The rows are those of `example_rows/`, and longer ones made of them. Two vocabularies are trained on what they hold: one as
`flantune vocab` makes it, and one that, as T5's, knows no line breaks, no braces and no `< > \\ ~ ^`.
"""

import contextlib
import dataclasses
import fnmatch
import importlib
import io
import re
import sys

import pytest
import sentencepiece

from flantune import prompting, testing
from flantune.audit.lint import check as lint, findings as lint_findings, tokens as lint_tokens
from flantune.data import catalog as catalog_lib, members, sources
from flantune.data.input import prompts, tokenize
from flantune.data.vocabularies import vocabulary
from flantune.prompting import dialog, filters, settings, template as template_lib

from . import collection

NAMES = list(collection.tasks())
SETTINGS = (
    "", "no_options", "fixed_options", "inversion", "with_inversions", "chain_of_thought", "few_shot",
    "few_shot.label_balanced", "few_shot.no_options", "few_shot.inversion", "few_shot.chain_of_thought",
)  # fmt: skip
UNKNOWN_TO_T5 = re.compile(r"[{}<>\\~^]")
INPUTS_LENGTH, TARGETS_LENGTH = 1024, 256
LONG = 1500  # words of a field, more than the inputs hold ids


def prepared(tasks, root):
    """The tasks over rows in memory, by name, and a store that holds them."""
    return {task.name: task for task in tasks}, testing.prepare(tasks, root)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    tasks = [
        dataclasses.replace(task, source=sources.InMemory(train=collection.example_rows()[name]))
        for name, task in collection.tasks().items()
    ]
    return prepared(tasks, tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def long_examples(tmp_path_factory):
    tasks = [
        dataclasses.replace(
            task,
            source=sources.InMemory(train=[lengthened(task, fields) for fields in rows_of(task)]),
            to_fields=dict,
        )
        for task in collection.tasks().values()
        if task.may_cut
    ]
    return prepared(tasks, tmp_path_factory.mktemp("long"))


def rows_of(task):
    return [task.to_fields(row) for row in collection.example_rows()[task.name]]


def lengthened(task, fields):
    """Fields of which those that may be cut are far too long."""

    def times(value):
        words = max(1, len(filters.text_of(value).split()))
        return LONG // words + 1

    def repeated(value, count):
        return " ".join([value] * count) if isinstance(value, str) else [*value] * count

    cut = {name: (value, times(value)) for name, value in fields.items() if name in task.may_cut}
    if dialog.TURNS in cut and dialog.ROLES in fields:
        cut[dialog.ROLES] = (fields[dialog.ROLES], cut[dialog.TURNS][1])
    return {**fields, **{name: repeated(*value) for name, value in cut.items()}}


@pytest.fixture(scope="module")
def texts():
    """What a vocabulary is trained on: wordings, choices and rows."""
    found = []
    for task in collection.tasks().values():
        found += [re.sub(r"\{\w+(\|\w+)*\}", "", template.inputs) for template in task.templates]
        found += [word for template in task.templates for word in template.label_words or ()]
        found += [filters.text_of(value) for fields in rows_of(task) for value in fields.values()]
    return found


@pytest.fixture(scope="module")
def own_vocabulary(texts):
    return vocabulary.SentencePieceVocabulary(vocabulary.train(texts, 4000), "own")


@pytest.fixture(scope="module")
def t5_like_vocabulary(texts):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([UNKNOWN_TO_T5.sub(" ", text) for text in texts]),
        model_writer=model,
        vocab_size=4000,
        hard_vocab_limit=False,
        character_coverage=1.0,
        pad_id=vocabulary.PAD_ID,
        eos_id=vocabulary.EOS_ID,
        unk_id=vocabulary.UNK_ID,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    return vocabulary.SentencePieceVocabulary(model.getvalue(), "like T5's")


@contextlib.contextmanager
def catalog_of(tasks, store, root):
    """The tasks in a module for each one of the collection, with what that one allows."""
    with contextlib.ExitStack() as stack:
        names = []
        for module in collection.MODULES:
            name = f"linted_{module}"
            own = [tasks[task.name] for task in collection.entries_of(module) if task.name in tasks]
            stack.enter_context(testing.task_module(name, own))
            allowed = getattr(importlib.import_module(f"tasks.{module}"), lint_findings.ALLOW, {})
            sys.modules[name].LINT_ALLOW = {
                pattern: codes
                for pattern, codes in allowed.items()
                if fnmatch.filter([task.name for task in own], pattern)
            }
            names.append(name)
        yield catalog_lib.load(names, store, root)


def wordings(task, store, setting):
    """A member for each wording of a setting; none where the task has no such wording."""
    setting = settings.parse(setting)
    if not members.supports(task, setting):
        return
    readers = {"train": store.reader(store.manifest(task, "train"))}
    member = members.make_member(task.name, task, setting, readers, split="train", templates="all")
    for index in member.usable:
        yield dataclasses.replace(member, usable=(index,))


def requests(task, store, setting):
    return [
        prompts.Request(member, row, 0)
        for member in wordings(task, store, setting)
        for row in range(len(member.reader))
    ]


def test_settings_have_every_word_that_a_setting_may_have():
    assert {word for name in SETTINGS for word in name.split(".") if word} == set(settings.WORDS)


def test_lint_finds_nothing_that_a_module_does_not_allow(examples, own_vocabulary, tmp_path):
    tasks, store = examples
    with catalog_of(tasks, store, tmp_path) as catalog:
        found = lint.lint(catalog, store, own_vocabulary, splits=dict.fromkeys(NAMES, "train"))
    assert [one.as_json() for one in found if one.allowed is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_lint_finds_nothing_in_any_wording(examples, own_vocabulary, t5_like_vocabulary, name):
    """`lint` renders a sample; here is every wording on every row."""
    tasks, store = examples
    asked = [one for kind in ("", "inversion") for one in requests(tasks[name], store, kind)]
    sample = lint_tokens.Sample(
        prompts=prompts.render(asked, seed=0), separators=[prompting.Separators()]
    )
    assert list(lint_tokens.TokenCheck(own_vocabulary).check(tasks[name], sample)) == []
    # What T5's vocabulary loses is for the separators of a run to make up; errors are the wording's.
    found = lint_tokens.TokenCheck(t5_like_vocabulary).check(tasks[name], sample)
    assert [one.as_json() for one in found if one.severity == "error"] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_wording_fits_and_its_candidates_have_different_ids(
    examples, own_vocabulary, t5_like_vocabulary, name
):
    tasks, store = examples
    used = [(own_vocabulary, SETTINGS), (t5_like_vocabulary, ("", "inversion"))]
    for words, setting in ((words, setting) for words, names in used for setting in names):
        tokenizer = tokenize.Tokenizer(
            words, inputs_length=INPUTS_LENGTH, targets_length=TARGETS_LENGTH, seed=0
        )
        for one in tokenizer.tokenize(requests(tasks[name], store, setting)):
            assert one is not None
            assert not one.cut
            ids = {tuple(words.encode(candidate)) for candidate in one.prompt.candidates}
            assert len(ids) == len(one.prompt.candidates)
            assert () not in ids


def test_a_text_that_is_too_long_loses_its_end_and_nothing_else(long_examples, own_vocabulary):
    tasks, store = long_examples
    tokenizer = tokenize.Tokenizer(
        own_vocabulary, inputs_length=INPUTS_LENGTH, targets_length=TARGETS_LENGTH, seed=0
    )
    for name, task in tasks.items():
        for setting in ("", "inversion"):
            asked = requests(task, store, setting)
            for request, one in zip(asked, tokenizer.tokenize(asked), strict=True):
                assert one is not None, (name, request.member.usable)
                assert len(one.inputs) <= INPUTS_LENGTH
                template = task.templates[one.prompt.template]
                pieces = [literal.strip() for literal, _, _ in template_lib.parse(template.inputs)]
                assert all(piece in one.prompt.inputs for piece in pieces), template.inputs
                whole = [field for field in task.may_cut if f"{{{field}}}" in template.inputs]
                assert one.cut or not whole, template.inputs
