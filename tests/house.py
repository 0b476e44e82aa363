"""The rooms of `flantune/`: which there are, in which order, what each must not import, and the imports as they are.

A room is a folder of `flantune/`, or one of the few files that stand there. `ROOMS` is the table: a room may import the
rooms below it. To count rooms, arrows and circles, of this checkout or of another one, and to draw what they import:

    python tests/house.py [CHECKOUT]
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGE = "flantune"
FACE = "__init__"  # hands on what `api` offers, and stands in no room
TENSORFLOW = ("tensorflow", "tensorflow_datasets", "tensorflow_text", "seqio", "t5x")
JAX = ("jax", "jaxlib", "flax", "optax", "orbax", "chex")
ANYTHING = ("*",)  # but the standard library and the room itself

# From the top down, with what a room must not import wherever the import stands. The rooms above are forbidden anyway.
ROOMS: Mapping[str, tuple[str, ...]] = {
    "__main__": (),
    "cli": (*TENSORFLOW, *JAX, "gin"),
    "commands": (*TENSORFLOW, *JAX, "gin"),
    "testing": ("gin",),
    "api": (*TENSORFLOW, "gin"),
    "jobs": TENSORFLOW,
    "experiments": (*TENSORFLOW, "gin"),
    "runs": (*TENSORFLOW, "gin"),
    "views": (*TENSORFLOW, "gin"),
    "evaluation": (*TENSORFLOW, "gin", "flantune.training"),
    "interop": ("gin",),
    "audit": (*TENSORFLOW, *JAX, "gin"),
    "registry": (*JAX, "gin"),
    "inference": (*TENSORFLOW, "gin", "flantune.training"),
    "training": (*TENSORFLOW, "gin", "flantune.models", "flantune.data"),
    "models": (*TENSORFLOW, "gin", "optax", "flantune.data"),
    "data": (*JAX, "gin"),
    "run_folder": (*TENSORFLOW, *JAX, "gin"),
    "metrics": (*TENSORFLOW, *JAX, "gin"),
    "prompting": ANYTHING,
    "params": ANYTHING,
    "host": (*TENSORFLOW, "gin"),
    "configs": ANYTHING,
}


@dataclasses.dataclass(frozen=True)
class Import:
    """One import: of `name`, a module or something in one, by the file `path`."""

    path: pathlib.Path  # relative to the package
    name: str
    is_lazy: bool  # inside a function, or for type checkers only

    @property
    def room(self) -> str:
        return room_of(self.path)

    def __str__(self) -> str:
        return f"{self.path.as_posix()} imports {self.name}"


def room_of(path: pathlib.Path) -> str:
    """The room of a file, by its path in the package."""
    return path.parts[0].removesuffix(".py")


def modules(root: pathlib.Path = ROOT) -> dict[str, pathlib.Path]:
    """Every module of the package by its dotted name, with its path in the package."""
    package = root / PACKAGE
    paths = [path.relative_to(package) for path in sorted(package.rglob("*.py"))]
    named = {".".join([PACKAGE, *path.with_suffix("").parts]): path for path in paths}
    return {name.removesuffix(".__init__"): path for name, path in named.items()}


def imports(root: pathlib.Path = ROOT) -> Iterator[Import]:
    """All imports of the package, those inside functions too."""
    for path in modules(root).values():
        for name, is_lazy in imports_of(root / PACKAGE / path):
            yield Import(path, name, is_lazy)


@functools.cache
def imports_of(file: pathlib.Path) -> Sequence[tuple[str, bool]]:
    """(name, whether it is lazy) of each import of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top = {id(node) for node in tree.body}
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in top) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [(f"{node.module}.{a.name}", id(node) not in top) for a in node.names]
    return found


def arrows(root: pathlib.Path = ROOT) -> dict[tuple[str, str], list[Import]]:
    """(room, room that it imports) with the imports; in the order of the table, else of the names."""
    known = modules(root)
    found: dict[tuple[str, str], list[Import]] = {}
    for one in imports(root):
        module = one.name if one.name in known else one.name.rpartition(".")[0]
        if one.room == FACE:
            continue
        if module in known and room_of(known[module]) not in (one.room, FACE):
            found.setdefault((one.room, room_of(known[module])), []).append(one)
    place = {room: number for number, room in enumerate(ROOMS)}
    return dict(
        sorted(found.items(), key=lambda item: [(place.get(room, 0), room) for room in item[0]])
    )


def circles(edges: Mapping[tuple[str, str], object]) -> list[list[str]]:
    """Groups of rooms of which each can be reached from each other one."""
    below: dict[str, set[str]] = {}
    for above, room in edges:
        below.setdefault(above, set()).add(room)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for room in below.get(waiting.pop(), set()) - seen:
                seen.add(room)
                waiting.append(room)
        return seen

    reach = {room: reached(room) for room in below}
    groups = {
        tuple(sorted(other for other in reach[room] if room in reach.get(other, ())))
        for room in below
        if room in reach[room]
    }
    return [list(group) for group in sorted(groups)]


def floors(edges: Mapping[tuple[str, str], object]) -> dict[str, int]:
    """How many rooms the longest way down from each room passes; only where there is no circle."""
    below: dict[str, set[str]] = {room: set() for edge in edges for room in edge}
    for above, room in edges:
        below[above].add(room)
    found: dict[str, int] = {}

    def floor(room: str) -> int:
        if room not in found:
            found[room] = max((1 + floor(one) for one in below[room]), default=0)
        return found[room]

    return {room: floor(room) for room in below}


def diagram(edges: Mapping[tuple[str, str], object]) -> str:
    """Rooms from the top down, numbered, and a column for each: x where the row's room imports the column's."""
    rooms = [room for room in ROOMS if any(room in edge for edge in edges)]
    width = max(map(len, rooms))
    header = "".join(f"{number:3}" for number in range(1, len(rooms) + 1))
    lines = [f"{'':{width + 3}}{header}"]
    for number, room in enumerate(rooms, 1):
        marks = ["x" if (room, other) in edges else "." for other in rooms]
        marks[number - 1] = "\\"
        lines.append(f"{number:2} {room:{width}}{''.join(f'{mark:>3}' for mark in marks)}")
    return "\n".join(lines)


def main() -> None:
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    edges = arrows(root)
    rooms = {room_of(path) for path in modules(root).values()} - {FACE}
    loops = circles(edges)
    print(f"{len(rooms)} rooms, {len(edges)} arrows, {len(loops)} circles", *loops)
    if not loops:
        print(f"{max(floors(edges).values()) + 1} floors")
    if rooms <= set(ROOMS):
        print(diagram(edges))


if __name__ == "__main__":
    main()
