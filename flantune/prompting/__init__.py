"""Prompts from fields: templates, answer options, stateless choices. Pure Python on `str`, nothing else imported."""

from flantune.prompting.options import SETTINGS, PromptSetting
from flantune.prompting.rendering import Prompt, render
from flantune.prompting.template import Template

__all__ = ["SETTINGS", "Prompt", "PromptSetting", "Template", "render"]
