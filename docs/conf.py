"""Sphinx's settings. `make docs` builds the pages; what is made from the code comes from `reference.py`, beside this file."""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # reference.py, and this checkout's flantune

from flantune import __version__  # noqa: E402, the path comes first

project = "flantune"
author = "the flantune authors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference"]
exclude_patterns = ["notebooks", "starter"]  # reference.py makes pages of the notebooks
default_role = "literal"  # docstrings mark code as Markdown does
smartquotes = False  # flags keep their two hyphens

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

toc_object_entries = False  # headings name them
autodoc_typehints = "none"  # signatures have them
napoleon_use_ivar = True
# Not ours, and not looked up over the network.
nitpick_ignore_regex = [(r"py:.*", r".*")]

html_theme = "furo"
html_title = "flantune"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}
