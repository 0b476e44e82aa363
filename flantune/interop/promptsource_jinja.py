"""Jinja for promptsource's templates: a sandbox with its filters and globals, and without its slips.

Differences from promptsource's own environment: `choice` and `random` are drawn from the stateless hash of the example;
a name that the row lacks is an error and not an empty text; so is printing a null, and so is a label of -1 (a hidden
answer), which Python would take for the last choice. Nothing is cut to 2,048 characters. The sandbox keeps a template from
running code; one with endless loops is not stopped. Read `promptsource.py` next.
"""

from collections.abc import Iterable, Mapping, Sequence
import functools
import itertools
from typing import Any, TypeVar

import jinja2
from jinja2 import meta, nodes, runtime, sandbox, visitor

from flantune.prompting import choice

T = TypeVar("T")
SEPARATOR = "|||"
CHOICES = "answer_choices"
_DRAWS = "draws of the example"  # no name that a template can write
_FROM_END = "item_from_the_end"
_FORBIDDEN = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)


class _Draws:
    """Numbers the random choices of one rendering, so that each is a purpose of its own."""

    def __init__(self, chooser: choice.Chooser) -> None:
        self._chooser = chooser
        self._numbers = itertools.count()

    def pick(self, items: Iterable[T]) -> T:
        return self._chooser.pick(f"jinja/{next(self._numbers)}", list(items))


@jinja2.pass_context
def _choice(context: runtime.Context, items: Iterable[T]) -> T:
    return context[_DRAWS].pick(items)


def _most_frequent(items: Sequence[T]) -> list[T]:
    """The items that appear most often, each once, in order of first appearance."""
    counts = {item: items.count(item) for item in dict.fromkeys(items)}
    return [item for item, count in counts.items() if count == max(counts.values())]


def _from_end(items: Sequence[T], position: int) -> T:
    return items[position]


def _not_null(value: object) -> object:
    if value is None:
        raise jinja2.UndefinedError("a null would be printed")
    return value


class _Environment(sandbox.SandboxedEnvironment):
    """Jinja's sandbox; a negative position counts from the end only where the template itself writes it."""

    def getitem(self, obj: Any, argument: Any) -> Any:  # as Jinja declares it
        if isinstance(obj, Sequence) and isinstance(argument, int) and argument < 0:
            return self.undefined(f"there is no item {argument} (a hidden label?)")
        return super().getitem(obj, argument)


class _NegativeLiterals(visitor.NodeTransformer):
    """Turns `items[-1]` into a filter, which `getitem` does not see."""

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:  # noqa: N802  # as Jinja calls it
        node = self.generic_visit(node)  # type: ignore[assignment]  # the same node, its parts visited
        position = node.arg
        if not (isinstance(position, nodes.Neg) and isinstance(position.node, nodes.Const)):
            return node
        changed = nodes.Filter(node.node, _FROM_END, [position], [], None, None, lineno=node.lineno)
        changed.environment = node.environment
        return changed


@functools.cache
def _environment() -> _Environment:
    made = _Environment(undefined=jinja2.StrictUndefined, finalize=_not_null)
    made.globals["zip"] = zip
    del made.globals["lipsum"]  # random words
    made.filters["choice"] = made.filters["random"] = _choice
    made.filters["most_frequent"] = _most_frequent
    made.filters[_FROM_END] = _from_end
    return made


@functools.lru_cache(maxsize=16_384)
def _compiled(text: str) -> jinja2.Template:
    tree = _environment().parse(text)
    made = _environment().from_string(_NegativeLiterals().visit(tree))
    made.globals = dict(made.globals)  # Jinja's chain of mappings would be a third of a rendering
    return made


def render(text: str, values: Mapping[str, object], chooser: choice.Chooser) -> str:
    """A template filled with values.

    Raises:
        Exception: whatever the template's own expressions raise.
    """
    if "{" not in text:  # most lists of answer choices
        return text
    return _compiled(text).render({**values, _DRAWS: _Draws(chooser)})


def problem(text: str) -> str:
    """Why a text cannot be used as a template; "" where it can."""
    try:
        tree = _environment().parse(text)
        _compiled(text)
    except jinja2.TemplateSyntaxError as error:
        return f"Jinja does not read it: {error.message} (line {error.lineno})"
    if any(isinstance(node, _FORBIDDEN) for node in _in_order(tree)):
        return "it includes or imports another file"
    # Jinja itself notices an unknown one inside a condition only when it gets there.
    for node in _in_order(tree):
        if isinstance(node, nodes.Filter) and node.name not in _environment().filters:
            return f"it uses the filter {node.name!r}, which does not exist"
        if isinstance(node, nodes.Test) and node.name not in _environment().tests:
            return f"it uses the test {node.name!r}, which does not exist"
    return ""


def variables(text: str) -> tuple[str, ...]:
    """The names that a template looks up in a row, in alphabetic order."""
    found = meta.find_undeclared_variables(_environment().parse(text))
    return tuple(sorted(found - _environment().globals.keys()))


def variables_before_separator(text: str) -> tuple[str, ...]:
    """The names that a template looks up before its first separator, or anywhere without one, in order of first use."""
    known = variables(text)
    found: dict[str, None] = {}
    for node in _in_order(_environment().parse(text)):
        if isinstance(node, nodes.TemplateData) and SEPARATOR in node.data:
            break
        if isinstance(node, nodes.Name) and node.name in known:
            found[node.name] = None
    return tuple(found)


def has_separator(text: str) -> bool:
    """Whether a template's own text holds the separator of input and target."""
    tree = _environment().parse(text)
    return any(SEPARATOR in node.data for node in tree.find_all(nodes.TemplateData))


def _in_order(node: nodes.Node) -> Iterable[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _in_order(child)
