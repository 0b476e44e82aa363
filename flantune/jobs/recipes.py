"""Recipes: the run files of a folder, read from their bindings and from the fields of their headers.

A run file begins with comments: what it is, and then these fields, each once and in this order. Other lines go on.

    # What is trained on what, in a sentence.
    # System: whose recipe it is.
    # Size: of the model.
    # Source: where its numbers are published.
    # Expected: the published result to compare with. The first sentence stands in the table.
    # Differs: what is known to be other than published.
    # Hardware: v5e:2x2, the smallest slice that holds it, up to the comma; what it needs there, and others.
    # Time: 90 minutes at best, by the roofline of flantune compile, or without "at best" as measured.
    # Command: flantune train RUN.gin --run_dir RUN
    #   --gin.InitConfig.path=CHECKPOINT

`flantune recipes` prints them.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
import re

from absl import logging
import rich.table

from flantune import configs, experiments
from flantune.jobs import gin_files

FIELDS = ("System", "Size", "Source", "Expected", "Differs", "Hardware", "Time", "Command")
FOLDER = "gin/runs"
_FIELD = re.compile(rf"({'|'.join(FIELDS)}): (.*)")
_WIDE = 160  # columns of a terminal that hold all of _WIDE_COLUMNS
_WIDE_COLUMNS = (
    "recipe", "system", "size", "mixture", "steps", "rows", "lengths", "rate", "slice", "least time", "published",
)  # fmt: skip
_COLUMNS = ("recipe, system, size", "training", "slice, least time", "published")
_YOURS = "yours"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """One run file.

    Attributes:
        title: what its header says before the fields.
        header: the text of each field.
        data: as bound; a mixture, modules and vocabulary that the command line names are empty.
    """

    file: pathlib.Path
    title: str
    header: Mapping[str, str]
    data: configs.DataConfig
    num_steps: int
    learning_rate: float
    emb_dim: int

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def smallest_slice(self) -> str:
        """What the field Hardware names first."""
        return _before(r",", self.header["Hardware"])

    @property
    def time(self) -> str:
        """How long a run takes: what the field Time says before anything else."""
        return _before(r" at best\b|,", self.header["Time"])

    @property
    def published(self) -> str:
        """The first sentence of the field Expected."""
        return _before(r"\.\s", self.header["Expected"])

    def as_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "file": str(self.file),
            "title": self.title,
            **{name.lower(): self.header[name] for name in FIELDS},
            "mixture": self.data.mixture or None,
            "num_steps": self.num_steps,
            "batch_size": self.data.batch_size,
            "inputs_length": self.data.inputs_length,
            "targets_length": self.data.targets_length,
            "learning_rate": self.learning_rate,
        }


def find(given: str | None) -> list[Recipe]:
    """The recipes of a folder, or of `gin/runs` here and those that come with flantune; of two with one name, the one here.

    Run files without a header are left out, and the log names them: a recipe is for others to read.

    Raises:
        ValueError: there is no such folder, it holds no run file, or one that is wrong.
    """
    if given is not None:
        looked = [path / given for path in (pathlib.Path(), *gin_files.search_paths([]))]
        folder = next((path for path in looked if path.is_dir()), None)
        if folder is None:
            raise ValueError(f"There is no folder {given}.")
        if not any(folder.glob("*.gin")):
            raise ValueError(f"--folder {folder} holds no file that ends in .gin.")
        return read(folder)
    folders = [path / FOLDER for path in gin_files.search_paths([])]
    files = {file.name: file for folder in reversed(folders) for file in folder.glob("*.gin")}
    return _sorted([_read(file) for file in files.values() if _has_header(file)])


def names() -> list[str]:
    """The names of all run files where `find` looks."""
    folders = (path / FOLDER for path in gin_files.search_paths([]))
    return sorted({file.stem for folder in folders for file in folder.glob("*.gin")})


def file_of(name: str) -> pathlib.Path | None:
    """The run file of a recipe's name, as `find` looks for it; None where there is none."""
    files = (path / FOLDER / f"{name}.gin" for path in gin_files.search_paths([]))
    return next((file for file in files if file.is_file()), None)


def _has_header(file: pathlib.Path) -> bool:
    """Whether a run file is a recipe; the log says what one lacks that is not."""
    try:
        parse_header(file.read_text(encoding="utf-8"), str(file))
    except ValueError as error:
        logging.warning("No recipe: %s", error)
        return False
    return True


def read(folder: pathlib.Path) -> list[Recipe]:
    """The run files of a folder, by system and growing model.

    Includes are looked for two folders above too, so that `CHECKOUT/gin/runs` is read from anywhere.

    Raises:
        ValueError: a file does not parse, or its header lacks a field.
    """
    return _sorted([_read(file) for file in folder.glob("*.gin")])


def _sorted(recipes: Sequence[Recipe]) -> list[Recipe]:
    return sorted(recipes, key=lambda one: (one.header["System"].lower(), one.emb_dim, one.name))


def parse_header(text: str, file: str) -> tuple[str, dict[str, str]]:
    """Title and fields of a run file's header.

    Raises:
        ValueError: it lacks a field, or has one twice or out of order.
    """
    title: list[str] = []
    fields: dict[str, list[str]] = {}
    part = title
    names: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        said = line.removeprefix("#").removeprefix(" ")
        if match := _FIELD.fullmatch(said):
            names.append(match[1])
            part = fields.setdefault(match[1], [])
            said = match[2]
        part.append(said.strip())
    if tuple(names) != FIELDS:
        raise ValueError(
            f"{file}: its header has the fields {', '.join(names) or 'none'}; a run file's are {', '.join(FIELDS)}, in this "
            "order, each once."
        )
    return " ".join(title), {name: " ".join(lines) for name, lines in fields.items()}


def table(recipes: Sequence[Recipe], width: int) -> rich.table.Table:
    """One row for each recipe, systems set apart; fewer columns for a narrow terminal, with the same in them."""
    is_wide = width >= _WIDE
    view = rich.table.Table(*(_WIDE_COLUMNS if is_wide else _COLUMNS))
    for one, after in zip(recipes, [*recipes[1:], None], strict=True):
        is_last = after is None or after.header["System"] != one.header["System"]
        view.add_row(*(_wide_cells(one) if is_wide else _cells(one)), end_section=is_last)
    return view


def _wide_cells(one: Recipe) -> tuple[str, ...]:
    return (
        one.name,
        one.header["System"],
        one.header["Size"],
        one.data.mixture or _YOURS,
        f"{one.num_steps:,}",
        f"{one.data.batch_size:,}",
        f"{one.data.inputs_length} + {one.data.targets_length}",
        f"{one.learning_rate:g}",
        one.smallest_slice,
        one.time,
        one.published,
    )


def _cells(one: Recipe) -> tuple[str, ...]:
    """The same, what belongs together in one cell."""
    name, system, size, mixture, steps, rows, lengths, rate, smallest_slice, time, published = (
        _wide_cells(one)
    )
    training = f"{mixture}\n{steps} x {rows} rows\nof {lengths}\nrate {rate}"
    return f"{name}\n{system}, {size}", training, f"{smallest_slice}\n{time}", published


def _before(end: str, text: str) -> str:
    """What a text says before the first match of a pattern, without a full stop."""
    return re.split(end, text, maxsplit=1)[0].removesuffix(".")


def _read(file: pathlib.Path) -> Recipe:
    title, header = parse_header(file.read_text(encoding="utf-8"), str(file))
    gin_files.parse([str(file)], [], paths=[str(file.absolute().parents[2])])
    # What is in the recipe's place is bound on the command line; "" stands for it.
    data = gin_files.build(configs.DataConfig, mixture="", modules=(), vocabulary="")
    num_steps = gin_files.binding(experiments.train, "num_steps")
    configs.check_whole("experiments.train.num_steps", num_steps)
    assert isinstance(num_steps, int)
    return Recipe(
        file=file,
        title=title,
        header=header,
        data=data,
        num_steps=num_steps,
        learning_rate=gin_files.build(configs.OptimizerConfig).learning_rate,
        emb_dim=gin_files.build(configs.ModelConfig).emb_dim,
    )
