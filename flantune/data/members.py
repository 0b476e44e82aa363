"""`Member`: a task in a setting, bound to the prepared rows of a split. Read `data/input/prompts.py` next, which renders its rows."""

from collections.abc import Mapping
import dataclasses

from flantune import prompting
from flantune.data import task as task_lib
from flantune.data.store import reader as store_lib
from flantune.prompting import rendering

POOL_SPLIT = "train"  # where exemplars come from, whatever split the query is of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """A task in a setting, with the templates that may be used and the rows of a split.

    Attributes:
        name: "family:dataset#setting".
        usable: positions of the templates that may be used.
        pool: rows of the training split, from which exemplars come; None without shots.
    """

    name: str
    task: task_lib.InstructionTask
    setting: prompting.PromptSetting
    usable: tuple[int, ...]
    split: str
    reader: store_lib.Reader
    pool: store_lib.Reader | None


def supports(task: task_lib.InstructionTask, setting: prompting.PromptSetting) -> bool:
    """Whether a task has a template for a setting."""
    return bool(rendering.usable_templates(task.templates, "all", setting))


def make_member(
    name: str,
    task: task_lib.InstructionTask,
    setting: prompting.PromptSetting,
    readers: Mapping[str, store_lib.Reader],
    *,
    split: str,
    templates: str,
) -> Member:
    """A member that uses the "training", "held_out" or "all" templates of a task.

    Args:
        readers: of the split, and of the training split where the setting has shots.

    Raises:
        ValueError: the task has no such template.
    """
    usable = rendering.usable_templates(task.templates, templates, setting)
    if task.is_tokenized and setting != prompting.PromptSetting():
        raise ValueError(f"{name!r} asks for a setting, but its rows are ids: it has no prompts.")
    if not usable:
        with_options = dataclasses.replace(setting, options="in_prompt")
        if rendering.usable_templates(task.templates, templates, with_options):
            raise ValueError(
                f"{name!r} leaves answer options out, but every template of task {task.name!r} that it could use lists the "
                "choices itself; ask for a setting without no_options."
            )
        have = sorted({(template.kind, template.group) for template in task.templates})
        shown = ", ".join(kind + (f" (group {group!r})" if group else "") for kind, group in have)
        group = f" in the group {setting.group!r}" if setting.group else ""
        raise ValueError(
            f"{name!r} needs a template of kind {' or '.join(setting.kinds)}{group} in the set {templates!r}; task "
            f"{task.name!r} has none. Its templates are: {shown}."
        )
    return Member(
        name=name,
        task=task,
        setting=setting,
        usable=usable,
        split=split,
        reader=readers[split],
        pool=readers[POOL_SPLIT] if setting.is_few_shot else None,
    )


def splits_of(setting: prompting.PromptSetting, split: str) -> tuple[str, ...]:
    """The splits that a member reads: its own, and the training split for exemplars."""
    return tuple(dict.fromkeys((split, POOL_SPLIT))) if setting.is_few_shot else (split,)
