"""Prompts from fields: templates, settings, answer options, exemplars, dialogs. Pure Python on `str`, nothing else."""

from flantune.prompting.rendering import Exemplar, Prompt, render
from flantune.prompting.settings import PromptSetting, Separators
from flantune.prompting.template import Template

__all__ = ["Exemplar", "Prompt", "PromptSetting", "Separators", "Template", "render"]
