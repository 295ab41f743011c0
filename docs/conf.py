"""Sphinx settings: pages in Markdown, the API from docstrings, every reference checked."""

import builtins
import importlib.metadata
import sys

project = "trio_messenger"
copyright = "2026, The trio-messenger contributors"
release = importlib.metadata.version("trio-messenger")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"

default_role = "py:obj"  # `Node.rpc` in a docstring is a reference, so a misspelt one fails the build
autodoc_member_order = "bysource"  # the author's order tells more than the alphabet

# Builds need no network, so names of other projects cannot be resolved. Ours must be.
others = {*sys.stdlib_module_names, "attr", "attrs", "msgspec", "outcome", "trio"}
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(others)})\..*"),
    (r"py:.*", "|".join(dir(builtins))),
]
