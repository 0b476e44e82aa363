"""`function_fingerprint`: changes when a function, or anything of its own package that it uses, changes.

It hashes source text, not bytecode, which differs between Python versions. It follows the functions, classes and plain
constants that a function names (globals, closures, defaults, `functools.partial` arguments) inside the function's own
package and flantune; other packages count by name only. `data/store/prepare.py` uses it to tell whether a store is stale.
"""

from collections.abc import Iterator, Mapping
import dataclasses
import functools
import hashlib
import inspect
import json
import re
import types

_LIBRARY = __name__.split(".")[0]
# Where a module stood when it was first fingerprinted: one that moves keeps that name here, so that no split is prepared
# again for it. Those that a `to_fields` may call.
_WRITTEN_AS = {
    "flantune.data.sources.by_user": "flantune.data.user_source",
    "flantune.data.sources.chat": "flantune.data.chat_source",
    "flantune.data.sources.compression": "flantune.data.compression",
    "flantune.data.sources.files": "flantune.data.files",
    "flantune.data.sources.formats": "flantune.data.formats",
    "flantune.data.sources.hugging_face": "flantune.data.hf_source",
    "flantune.data.sources.in_memory": "flantune.data.sources",
    "flantune.data.sources.instructions": "flantune.data.instruction_source",
    "flantune.data.sources.plain": "flantune.data.sources",
    "flantune.data.sources.tfds": "flantune.data.tfds_source",
    "flantune.metrics.corpus": "flantune.corpus_metrics",
    "flantune.metrics.forms": "flantune.metric_forms",
    "flantune.metrics.per_example": "flantune.metrics",
    "flantune.metrics.text": "flantune.metric_text",
}
_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def function_fingerprint(function: object) -> str:
    """A sha256 over the source of a function (or other callable) and of what it uses.

    Example: `def to_fields(row): return clean(row)` gets another fingerprint when `clean`, of the same package, changes.
    """
    walk = _Walk(own={_package_of(function), _LIBRARY})
    description = walk.describe(function)
    parts = [description, *(f"{name}\n{text}" for name, text in sorted(walk.sources.items()))]
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()


def value_fingerprint(value: object) -> str:
    """A sha256 over plain data: texts, numbers, lists, dictionaries."""
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, default=repr, ensure_ascii=True).encode()
    ).hexdigest()


def _package_of(function: object) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return _module_of(function).split(".")[0]


def _module_of(value: object) -> str:
    module = getattr(value, "__module__", None) or type(value).__module__
    # What a worker process calls the script that its parent runs.
    return "__main__" if module == "__mp_main__" else _WRITTEN_AS.get(module, module)


class _Walk:
    """Collects the source of everything that a function reaches, each once."""

    def __init__(self, own: set[str]) -> None:
        self.sources: dict[str, str] = {}
        self._own = own
        self._seen: dict[int, object] = {}  # holds the objects, so that no id is reused
        self._open: set[int] = set()  # containers being described: one that holds itself ends here

    def describe(self, value: object) -> str:
        """A text that stands for a value; the sources of functions and classes go to `sources`."""
        if isinstance(value, _PLAIN):
            return repr(value)
        if isinstance(value, functools.partial):
            return self._all("partial", (value.func, value.args, dict(value.keywords)))
        if isinstance(value, types.MethodType):
            return self._all("method", (value.__func__, value.__self__))
        if hasattr(value, "__wrapped__"):  # functools.wraps, functools.lru_cache
            return self._all("wrapped", (value.__wrapped__, *self._wrapper(value)))
        if isinstance(value, types.FunctionType | type):
            return self._source(value)
        if isinstance(value, re.Pattern):
            return f"pattern({value.pattern!r}, {value.flags})"
        return self._container(value)

    def _container(self, value: object) -> str:
        if id(value) in self._open:
            return "itself"
        self._open.add(id(value))
        try:
            if isinstance(value, Mapping):
                parts = [part for item in value.items() for part in item]
                return self._all(type(value).__name__, parts)
            if isinstance(value, list | tuple):
                return self._all(type(value).__name__, value)
            if isinstance(value, set | frozenset):
                return f"set({', '.join(sorted(self.describe(item) for item in value))})"
            if isinstance(value, types.ModuleType | types.BuiltinFunctionType):
                return _name_of(value)
            return self._instance(value)
        finally:
            self._open.discard(id(value))

    def _instance(self, value: object) -> str:
        """An object of a class: the class, and its fields where the class is ours or a dataclass."""
        cls = type(value)
        state = getattr(value, "__dict__", {})
        if dataclasses.is_dataclass(value):
            state = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        elif not self._is_own(cls):
            state = {}
        return self._all("instance", (cls, dict(state)))

    def _all(self, kind: str, values: object) -> str:
        assert isinstance(values, list | tuple)
        return f"{kind}({', '.join(self.describe(value) for value in values)})"

    def _wrapper(self, value: object) -> tuple[object, ...]:
        """The code around a wrapped function, where it is Python."""
        if not isinstance(value, types.FunctionType):
            return ()
        bare = types.FunctionType(
            value.__code__, value.__globals__, value.__name__, value.__defaults__, value.__closure__
        )
        bare.__module__ = value.__globals__.get("__name__", "")
        bare.__qualname__ = value.__code__.co_qualname
        return (bare,)

    def _source(self, value: types.FunctionType | type) -> str:
        name = _name_of(value)
        if not self._is_own(value) or id(value) in self._seen:
            return name
        self._seen[id(value)] = value
        text = _source_text(value)
        functions = [value] if isinstance(value, types.FunctionType) else _methods(value)
        used = [part for function in functions for part in self._used(function)]
        # Two functions may share a name (closures, lambdas): their texts are kept side by side.
        self.sources[name] = "\n".join([self.sources.get(name, ""), text, *used])
        return name

    def _used(self, function: types.FunctionType) -> Iterator[str]:
        """What a function gets from outside its own text: globals, closure cells, defaults."""
        names = sorted(set(_names(function.__code__)))
        for name in names:
            if name in function.__globals__:
                yield from self._global(name, function.__globals__[name], names)
        for cell_name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                yield f"{cell_name}={self.describe(cell.cell_contents)}"
            except ValueError:  # an empty cell: a function that names itself while it is being made
                yield f"{cell_name} is empty"
        yield self.describe((function.__defaults__, function.__kwdefaults__))

    def _global(self, name: str, value: object, names: list[str]) -> Iterator[str]:
        yield f"{name}={self._named(name, value)}"
        if isinstance(value, types.ModuleType) and value.__name__.split(".")[0] in self._own:
            for attribute in names:  # `helpers.clean(x)` names both `helpers` and `clean`
                if attribute in vars(value) and not isinstance(
                    vars(value)[attribute], types.ModuleType
                ):
                    yield f"{name}.{attribute}={self._named(attribute, vars(value)[attribute])}"

    def _named(self, name: str, value: object) -> str:
        """The value of a global name; `__name__` is a text, which moves with its module."""
        return self.describe(_WRITTEN_AS.get(str(value), value) if name == "__name__" else value)

    def _is_own(self, value: types.FunctionType | type) -> bool:
        return _module_of(value).split(".")[0] in self._own


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _methods(cls: type) -> list[types.FunctionType]:
    members = [getattr(value, "__func__", value) for value in vars(cls).values()]
    members += [value.fget for value in vars(cls).values() if isinstance(value, property)]
    return [
        member
        for member in members
        if isinstance(member, types.FunctionType)
        and member.__module__ == cls.__module__
        and not member.__code__.co_filename.startswith("<")  # written by `dataclass`, not by anyone
    ]


def _name_of(value: object) -> str:
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", type(value).__name__)
    if isinstance(value, types.ModuleType):
        name = _WRITTEN_AS.get(value.__name__, value.__name__)
    return f"{_module_of(value)}.{name}"


@functools.lru_cache(maxsize=4096)
def _source_text(value: types.FunctionType | type) -> str:
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):  # typed at a prompt: no source to be had
        if isinstance(value, type):
            return _name_of(value)
        return "\n".join(_bytecode(value.__code__))


def _bytecode(code: types.CodeType) -> Iterator[str]:
    """Instructions and constants: steady within one Python version only."""
    yield code.co_code.hex()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _bytecode(constant)
        else:
            yield repr(constant)
