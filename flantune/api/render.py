"""`flantune.render`: examples of a task as text, with the choices that were made for each."""

from collections.abc import Sequence
import dataclasses
import os
from typing import Any

from flantune import configs, experiments
from flantune.configs import DataConfig
from flantune.jobs import task_search


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderedExample:
    """A row of a task as a prompt and its target; `print` shows both.

    Attributes:
        row: of the split.
        template: its number in the task.
        exemplars: rows of the training split that are shown solved before the query.
        options_style: of the answer options, as drawn; None where none are listed.
        dialog_style: of the turns, where the template is a dialog.
        inputs: the prompt.
        query: the end of the prompt, without exemplars.
        targets: what is trained on.
        references: the answers that metrics accept.
        candidates: what ranking chooses from.
        inputs_tokens: of the prompt in the vocabulary, its EOS included; `targets_tokens` likewise.
        fit: "whole", "cut" or "dropped": whether the example fits the lengths.
    """

    row: int
    template: int
    exemplars: tuple[int, ...]
    options_style: tuple[object, ...] | None
    dialog_style: tuple[object, ...] | None
    inputs: str
    query: str
    targets: str
    references: tuple[str, ...]
    candidates: tuple[str, ...]
    inputs_tokens: int
    targets_tokens: int
    fit: str

    def __str__(self) -> str:
        return f"{self.inputs}\n---\n{self.targets}"


def render(
    task: str,
    /,
    *,
    setting: str | None = None,
    split: str = "train",
    num_examples: int = 3,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
    prepared_dir: str | os.PathLike[str] | None = None,
    modules: Sequence[str] | None = None,
    vocabulary: str = "bytes",
    inputs_length: int = 4096,
    targets_length: int = 1024,
) -> list[RenderedExample]:
    """The first examples of a task's split; a row to which no template applies is left out.

        for example in flantune.render("quickstart:sort_numbers", setting="3_shot"):
            print(example)

    The split is prepared if it is not. The choices are those of training with this seed, in the first epoch.

    Args:
        task: "FAMILY:DATASET", or with its setting, "FAMILY:DATASET#SETTING".
        setting: "few_shot", "no_options", "3_shot.label_balanced", ...
        num_examples: rows of the split.
        data_dir: root of source files; None: FLANTUNE_DATA_DIR, then the current directory.
        prepared_dir: the prepared store; None: FLANTUNE_PREPARED_DIR, then ~/.cache/flantune/prepared.
        modules: Python modules that export tasks; None: every module of `tasks/`.
        vocabulary: that tokens are counted in, as `DataConfig.vocabulary` names one.
        inputs_length: longest prompt in tokens: what is longer is cut as the task allows, or dropped.
        targets_length: longest target in tokens.

    Raises:
        KeyError: there is no such task, setting or split.
        ValueError: `task` is a mixture, or its source cannot be read.
    """
    configs.check_whole("num_examples", num_examples, 0)
    fields = task_search.data_config(task, modules) | {
        "vocabulary": vocabulary,
        "inputs_length": inputs_length,
        "targets_length": targets_length,
        "data_dir": None if data_dir is None else os.fspath(data_dir),
        "prepared_dir": None if prepared_dir is None else os.fspath(prepared_dir),
    }
    found: dict[str, Any] = experiments.describe(  # Any: of a task, a mixture or a module
        data=DataConfig(**fields),
        name=task if setting is None else f"{task}#{setting}",
        split=split,
        num_examples=num_examples,
        seed=seed,
    )
    if "examples" not in found:
        kind = next(key for key in ("mixture", "module") if key in found)
        raise ValueError(f"{task!r} is a {kind}, not a task: name one of its tasks.")
    return [_example(item) for item in found["examples"] if "inputs" in item]


def _example(item: dict[str, Any]) -> RenderedExample:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in item.items()
    }
    return RenderedExample(**values)
