"""Gin: finds, parses, checks and locks one run's files; the only module that imports gin.

Gin binds the dataclasses of `configs/` and the functions of `experiments.py`, nothing else. A wrong file, name or value
raises `ValueError` in one sentence. Read `cli.py` next.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import functools
import inspect
import io
import pathlib
import re
import threading
import tokenize
import types
from typing import TypeVar, get_type_hints

from absl import logging

from flantune import configs
from flantune.data import names
from flantune.host import places as places_lib, shipped
from flantune.jobs import gin_names, gin_package, gin_values

try:
    import gin
    from gin import config as gin_config, config_parser
except Exception as error:  # another file of that name, which may do anything
    raise gin_package.import_error(error) from error

T = TypeVar("T")
# Bindings of the command line are parsed as a file of their own, so it needs a file's imports.
_HEADER = """
from __gin__ import dynamic_registration
from flantune import configs
from flantune import experiments
"""
_CONFIGS: dict[object, str] = {
    item: f"{configs.__name__}.{name}"
    for name, item in vars(configs).items()
    if dataclasses.is_dataclass(item)
}
_LOCK = threading.RLock()


def search_paths(given: Sequence[str]) -> tuple[pathlib.Path, ...]:
    """Where files and includes are looked for: the given paths, here, and what comes with flantune."""
    return (*(pathlib.Path(path) for path in given), pathlib.Path.cwd(), shipped.folder())


@contextlib.contextmanager
def own_state() -> Iterator[None]:
    """What gin held before the block comes back after it, so that no binding of one call in a notebook reaches another.

    One thread at a time is inside: gin's state is the process's.
    """
    dicts = (gin_config._CONFIG, gin_config._OPERATIVE_CONFIG, gin_config._SINGLETONS)
    lists = (gin_config._LOCATION_PREFIXES, gin_config._FILE_READERS)
    with _LOCK:
        held = [dict(one) for one in dicts], [list(one) for one in lists]
        imports, was_locked = set(gin_config._IMPORTS), gin.config_is_locked()
        try:
            yield
        finally:
            gin.clear_config()
            for one, before in zip(dicts, held[0], strict=True):
                one.update(before)
            for place, kept in zip(lists, held[1], strict=True):
                place[:] = kept
            gin_config._IMPORTS.update(imports)
            gin_config._set_config_is_locked(was_locked)


def parse(
    files: Sequence[str],
    bindings: Sequence[str] | Mapping[str, object],
    *,
    paths: Sequence[str] = (),
) -> None:
    """Parses run files, then bindings that win over them, and locks the result.

    Args:
        files: the last wins.
        bindings: "NAME=VALUE" as on the command line, or values of Python by name (`gin_values.py`).
        paths: folders in which files are looked for first.

    Raises:
        ValueError: a file does not exist or does not parse, or a name or parameter does not exist.
    """
    folders = search_paths(paths)
    found = [_find(file, folders) for file in files]
    given_by = gin_names.CALL if isinstance(bindings, Mapping) else gin_names.COMMAND_LINE
    if isinstance(bindings, Mapping):
        assignments = [_of_python(name, value) for name, value in bindings.items()]
    else:
        assignments = [_assignment(binding) for binding in bindings]
    gin.clear_config()
    gin_config._LOCATION_PREFIXES[:] = [""]  # gin only ever adds search paths
    # Gin's other reader takes a path for a Python package, and reports an error for each search path without the file.
    gin_config._FILE_READERS[:] = [*gin_config._FILE_READERS[:1], (_open_object, _is_object)]
    for folder in folders:
        gin.add_config_file_search_path(str(folder))
    source = given_by
    try:
        with gin_config.unlock_config():
            for source in found:
                _check_includes(_text_of(source), source, folders)
                gin.parse_config_file(source, print_includes_and_imports=False)
            source = given_by
            gin.parse_config(_HEADER + "\n".join(assignments))
        gin.finalize()
    except tokenize.TokenError as error:  # an open bracket; tells the line after the last one
        raise ValueError(
            f"{_place('', source)}: {error.args[0]}: a bracket or quote is left open."
        ) from error
    except (ValueError, SyntaxError, ImportError, AttributeError, TypeError, OSError) as error:
        raise ValueError(_explain(error, source)) from error


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place:
    """Where a file binds a name.

    Attributes:
        name: with its scope, "seen/configs.EvalSuite.name".
    """

    name: str
    file: str
    line: int


def places(files: Sequence[str], *, paths: Sequence[str] = ()) -> tuple[list[Place], list[str]]:
    """Every binding of run files that `parse` took, a later one winning, and all files: those included too.

    Gin parses locations, but does not keep them.
    """
    folders = search_paths(paths)
    found: list[Place] = []
    read: dict[str, None] = {}
    for file in files:
        _add_places(_find(file, folders), folders, found, read)
    return found, list(read)


def _add_places(
    file: str, folders: Sequence[pathlib.Path], found: list[Place], read: dict[str, None]
) -> None:
    read[file] = None
    for statement in config_parser.ConfigParser(_text_of(file), _AsText()):
        if isinstance(statement, config_parser.IncludeStatement):
            _add_places(_find(statement.filename, folders), folders, found, read)
        elif isinstance(statement, config_parser.BindingStatement) and statement.arg_name:
            name = f"{full_name(statement.selector)}.{statement.arg_name}"
            scoped = f"{statement.scope}/{name}" if statement.scope else name
            found.append(Place(name=scoped, file=file, line=statement.location.line_num))


class _AsText(config_parser.ParserDelegate):
    """Takes the values of a file that is read for its places alone."""

    def configurable_reference(self, scoped_configurable_name: str, evaluate: bool) -> str:
        return f"@{scoped_configurable_name}{'()' if evaluate else ''}"

    def macro(self, macro_name: str) -> str:
        return f"%{macro_name}"


def full_name(selector: str) -> str:
    """Example: `full_name("DataConfig")` is "configs.DataConfig", `full_name("train")` is "experiments.train"."""
    name = selector.rpartition(".")[2]
    return f"{'configs' if name in configs.__all__ else 'experiments'}.{name}"


def resolved() -> str:
    """Every binding of the run as one gin file that parses to the same."""
    return gin.config_str(max_line_length=100)


def bind(function: Callable[..., T], **given: object) -> Callable[[], T]:
    """`function` with its bindings and `given`; each parameter that is a config is built from its own bindings.

    All are values by then: gin may hold other bindings when the function is called.

    Raises:
        ValueError: a parameter without a default has no binding, or a value is not allowed.
    """
    arguments = dict(given)
    for name, parameter in inspect.signature(function).parameters.items():
        config_class = config_of(parameter.annotation)
        if config_class is not None and name not in arguments:
            required = parameter.default is inspect.Parameter.empty
            if required or _is_bound(config_class):
                arguments[name] = build(config_class)
    arguments = {**_bindings(function), **arguments}
    missing = [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in arguments
    ]
    if missing:
        raise ValueError(_no_binding(f"experiments.{function.__name__}", missing))
    return functools.partial(function, **arguments)


def build(config_class: type[T], **otherwise: object) -> T:
    """A config from its bindings; a field that is a config is built from its own bindings, if it has any.

    `otherwise` holds values of fields that have no binding.

    Raises:
        ValueError: a field without a default has no binding, or a value is not allowed.
    """
    fields = dataclasses.fields(config_class)  # type: ignore[arg-type]
    missing = [
        field.name
        for field in fields
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and field.name not in otherwise
        and not _binding_exists(config_class, field.name)
    ]
    if missing:
        raise ValueError(_no_binding(f"configs.{config_class.__name__}", missing))
    hints = get_type_hints(config_class)
    given: dict[str, object] = {
        field.name: build(field_class)
        for field in fields
        if (field_class := config_of(hints[field.name])) is not None
        and _is_bound(field_class)
        and not _binding_exists(config_class, field.name)
    }
    given |= {
        name: value for name, value in otherwise.items() if not _binding_exists(config_class, name)
    }
    try:
        return _configurable(config_class)(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(str(error).split("\n")[0]) from error


def build_optional(config_class: type[T]) -> T | None:
    """A config from its bindings; None where it has none."""
    return build(config_class) if _is_bound(config_class) else None


def _configurable(function: Callable[..., T]) -> Callable[..., T]:
    """`function` with its bindings; gin knows only what some file or flag has named."""
    try:
        return gin.get_configurable(function)
    except ValueError:
        return function


def _bindings(function: Callable[..., object]) -> dict[str, object]:
    """The bound values of a function's parameters, references resolved."""
    if _configurable(function) is function:
        return {}
    return gin.get_bindings(function)


def _no_binding(owner: str, missing: Sequence[str]) -> str:
    *others, last = [f"{gin_names.short(owner)}.{name}" for name in missing]
    wanted = f"{', '.join(others)} and {last}" if others else last
    first = others[0] if others else last
    them = "them" if others else f"{owner}.{last.rpartition('.')[2]}"
    return (
        f"No file or flag binds {wanted}. Give --gin.{first}=VALUE or bind {them} in the run file."
    )


def config_of(hint: object) -> type | None:
    """The dataclass of `configs/` that a type is, or may be; None where it is none."""
    options = hint.__args__ if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if isinstance(option, type) and option in _CONFIGS:
            return option
    return None


def binding(configurable: Callable[..., object], name: str) -> object:
    """The bound value of a parameter.

    Raises:
        ValueError: it has none.
    """
    own_name = f"{configurable.__module__}.{configurable.__qualname__}"
    return gin.query_parameter(f"{_CONFIGS.get(configurable, own_name)}.{name}")


def bound_value(name: str) -> str | None:
    """The bound value of a full name, "seen/configs.EvalSuite.name", as gin writes it; None where it has none."""
    try:
        return repr(gin.query_parameter(name))
    except ValueError:
        return None


def optional_binding(configurable: Callable[..., object], name: str) -> object | None:
    """The bound value of a parameter; None where it has none."""
    return binding(configurable, name) if _binding_exists(configurable, name) else None


def whole_number(configurable: Callable[..., object], name: str) -> int:
    """The bound value of a parameter that counts something, or its default.

    Raises:
        ValueError: it has neither, or is something else.
    """
    default = inspect.signature(configurable).parameters[name].default
    value = binding(configurable, name) if _binding_exists(configurable, name) else default
    owner = f"experiments.{configurable.__name__}"
    if value is inspect.Parameter.empty:
        raise ValueError(_no_binding(owner, [name]))
    configs.check_whole(f"{owner}.{name}", value, 0)
    assert isinstance(value, int)  # just checked
    return value


def _binding_exists(configurable: Callable[..., object], name: str) -> bool:
    try:
        binding(configurable, name)
    except ValueError:
        return False
    return True


def _is_bound(config_class: type) -> bool:
    return any(
        _binding_exists(config_class, field.name) for field in dataclasses.fields(config_class)
    )


def _open_object(file: str) -> io.StringIO:
    from etils import epath

    return io.StringIO(epath.Path(file).read_text())


def _is_object(file: str) -> bool:
    """Whether a file lies in a bucket, as the config of a run may."""
    if not places_lib.is_bucket(file):
        return False
    from etils import epath

    return epath.Path(file).exists()


def _find(file: str, folders: Sequence[pathlib.Path]) -> str:
    if _is_object(file):
        return file
    for folder in (pathlib.Path(), *folders):
        if (folder / file).is_file():
            _log_what_it_hides(folder / file, shipped.folder() / file)
            return str(folder / file)
    known = dict.fromkeys(_beside(pathlib.Path(file), folders))
    raise ValueError(names.unknown("You asked for the gin file", file, known))


def _beside(file: pathlib.Path, folders: Sequence[pathlib.Path]) -> Iterator[str]:
    """Gin files that a wrong path may mean, as one would write them: in its folder, in the search paths and their gin/."""
    for folder in (pathlib.Path(), *folders):
        yield from (
            str(file.parent / path.name) for path in sorted((folder / file.parent).glob("*.gin"))
        )
        for path in (*sorted(folder.glob("*.gin")), *sorted((folder / "gin").rglob("*.gin"))):
            yield str(path.relative_to(folder))


@functools.cache
def _log_what_it_hides(file: pathlib.Path, own: pathlib.Path) -> None:
    """Says once where a file stands for another one of flantune's."""
    if own.is_file() and not own.samefile(file) and own.read_bytes() != file.read_bytes():
        logging.info("%s stands for the file of that name that comes with flantune.", file)


def _text_of(file: str) -> str:
    try:
        if places_lib.is_bucket(file):
            with _open_object(file) as opened:
                return opened.read()
        return pathlib.Path(file).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError("this is no text in UTF-8, and so no gin file.") from error


def _check_includes(text: str, file: str, folders: Sequence[pathlib.Path]) -> None:
    """Gin fails on a missing include with an error about its own internals: name the file first."""
    for included in re.findall(r"""^include ['"](.+)['"]""", text, re.MULTILINE):
        try:
            _find(included, folders)
        except ValueError as error:
            raise ValueError(f"{file} includes a file that is not there. {error}") from error


def bound_name(binding: str) -> str:
    """The full name that a binding "NAME=VALUE" of the command line binds.

    Raises:
        ValueError: it has another form.
    """
    return _assignment(binding).partition(" = ")[0]


def as_word(name: str, value: object) -> str:
    """A flag that binds a value, as the command line takes it: `--gin.DataConfig.split=train`."""
    text = repr(value)
    if isinstance(value, str) and _assignment(f"{name}={value}").endswith(f" = {text}"):
        text = value
    return f"--gin.{name}={text}"


def _assignment(binding: str) -> str:
    """A binding as gin reads it: in "NAME=VALUE", a VALUE that is no gin literal is taken as a string."""
    name, equals, value = binding.partition("=")
    if not equals or not name.strip():
        raise ValueError(
            f"{binding!r} must be NAME=VALUE, for example --gin.experiments.train.num_steps=100."
        )
    if not _is_literal(value):
        value = repr(value)
    return f"{gin_names.full(name)} = {value}"


def _is_literal(text: str) -> bool:
    """Whether gin reads all of a text as one value: "10" is one, and "10:15" is not, though it begins as one."""
    parser = config_parser.ConfigParser(text, _AsText())
    try:
        parser.parse_value()
    except (SyntaxError, ValueError):
        return False
    return parser.current_token.type in (tokenize.NEWLINE, tokenize.ENDMARKER)


def _of_python(name: str, value: object) -> str:
    """A binding whose value is Python's, as gin reads it."""
    return f"{gin_names.full(name, gin_names.CALL)} = {gin_values.literal(name, value)}"


def _explain(error: Exception, source: str) -> str:
    """Gin's error as one sentence, with the closest names."""
    text = " ".join(str(error).split())
    match = re.search(r"(?:No configurable matching '|Couldn't resolve selector )([\w./]+)", text)
    if match:
        known = gin_names.parameters()
        return names.unknown(f"{_place(text, source)} binds", match.group(1), known)
    match = re.search(
        r"(?:Configurable|configurable) '([^']+)' (?:doesn't|does not) (?:have|take)", text
    )
    parameter = re.search(r"parameter named '([^']+)'", text)
    if match and parameter:
        owner = match.group(1).rpartition(".")[2]
        known = {
            one: ()
            for name, own in gin_names.parameters().items()
            if name.endswith(f".{owner}")
            for one in own
        }
        return names.unknown(
            f"{_place(text, source)} binds {match.group(1)} to the parameter",
            parameter.group(1),
            known,
        )
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return f"{source}, line {error.lineno}: {error.msg} {(error.text or '').strip()!r}"
    said = text.partition(" In file ")[0]
    if said.startswith(source):
        return said
    return f"{_place(text, source).rstrip(',')}: {said}"


def _place(text: str, source: str) -> str:
    match = re.search(r"""In file "([^"]+)", line (\d+)""", text)
    if match:
        return f"{match.group(1)}, line {match.group(2)},"
    return source
