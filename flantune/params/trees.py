"""Parameters by name: patterns such as "decoder/*" or "query", and nested dicts split and joined.

A pattern with a "/" is matched against the whole name, one without against its last part; "*" matches any characters, "/"
too. "layers" in a pattern stands for every layer, however they are held: `layers_0`, `layers_1`, ... or one stack.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
import difflib
import fnmatch
import re
from typing import TypeAlias

# Leaves are arrays, shapes, shardings or logical axes: anything but a dict.
Tree: TypeAlias = Mapping[str, object]

_LAYER = re.compile(r"(^|/)layers_\d+(?=/|$)")


def of_all_layers(name: str) -> str:
    """The name with "layers" for any layer: `encoder/layers_3/mlp/wo` gives `encoder/layers/mlp/wo`."""
    return _LAYER.sub(r"\1layers", name)


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern matches a name: "decoder/*" and "kernel" match `decoder/layers_0/mlp/wo/kernel`."""
    names = [name, of_all_layers(name)]
    if "/" not in pattern:
        names = [name.rpartition("/")[2] for name in names]
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def select(names: Collection[str], patterns: Iterable[str], *, field: str) -> frozenset[str]:
    """The names that at least one of the patterns matches.

    Raises:
        ValueError: a pattern matches no name; the message begins with `field` and names the closest.
    """
    chosen: set[str] = set()
    for pattern in patterns:
        found = {name for name in names if matches(name, pattern)}
        if not found:
            raise ValueError(
                f"{field} holds {pattern!r}, which matches nothing. {_closest(names, pattern)}"
            )
        chosen |= found
    return frozenset(chosen)


def _closest(names: Collection[str], pattern: str) -> str:
    known = {of_all_layers(name) for name in names}
    if "/" not in pattern:
        known = {name.rpartition("/")[2] for name in known}
    closest = difflib.get_close_matches(pattern, sorted(known), n=1, cutoff=0.0)
    hint = f"The closest name is {closest[0]!r}" if closest else "There are no names"
    return f"{hint}; '*' stands for any part, as in 'decoder/*' or '*/attention/*'."


def leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Name and leaf of every parameter, in the order of JAX: by the keys of each dict."""
    for key in sorted(tree):
        value = tree[key]
        if isinstance(value, Mapping):
            yield from leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def from_leaves(named: Iterable[tuple[str, object]]) -> dict[str, object]:
    """The nested dict of named leaves: the inverse of `leaves`."""
    tree: dict[str, object] = {}
    for name, leaf in named:
        *path, last = name.split("/")
        node = tree
        for key in path:
            child = node.setdefault(key, {})
            assert isinstance(child, dict), name
            node = child
        node[last] = leaf
    return tree


def part(tree: Tree, names: Collection[str]) -> dict[str, object]:
    """The leaves with these names alone; dicts that would be empty are left out."""
    return from_leaves((name, leaf) for name, leaf in leaves(tree) if name in names)


def joined(*trees: Tree) -> dict[str, object]:
    """All leaves of some trees in one; where two have the same name, the later one's."""
    return from_leaves(pair for tree in trees for pair in leaves(tree))
