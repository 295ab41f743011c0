"""Sphinx settings: pages in Markdown, the API from docstrings, every reference checked."""

import builtins
import importlib.metadata
import inspect
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.pycode import ModuleAnalyzer

import trio_messenger
import trio_messenger.sim
import trio_messenger.sim.strategies
import trio_messenger.transports

project = "trio_messenger"
copyright = "2026, The trio-messenger contributors"
release = importlib.metadata.version("trio-messenger")

extensions = [
    *("myst_parser", "sphinx_copybutton", "sphinx_external_toc"),
    *("sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"),
]
exclude_patterns = ["_build"]
myst_heading_anchors = 3  # as a code host has them
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["pictures.css", "code.css"]
napoleon_numpy_docstring = False  # docstrings have Google's sections

copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True  # of a session, the commands and not what they print

default_role = "py:obj"  # `Node.rpc` in a docstring is a reference, so a misspelt one fails the build
autodoc_member_order = "bysource"  # the author's order tells more than the alphabet
strip_signature_backslash = True  # or the parameter as_ is shown as as\_, and documented as as
html_use_index = False  # the search does better, and on a phone the index runs off the page
html_domain_indices = False

# Builds need no network, so names of other projects cannot be resolved. Ours must be.
others = {*sys.stdlib_module_names, "attr", "attrs", "hypothesis", "msgspec", "outcome", "pytest", "trio"}
nitpick_ignore_regex = [
    (r"py:.*", rf"({'|'.join(others)})\..*"),
    (r"py:.*", "|".join(dir(builtins))),
    (r"py:class", r"trio_messenger(\.\w+)+\._[A-Z]\w*"),  # type variables in signatures
    (r"py:class", r"trio_messenger\.transports\._\w+\.\w+"),  # what only Node.run gives to a transport
]
# The built-in `type` in a signature could be any attribute of that name; Sphinx has no other warning of this kind.
suppress_warnings = ["ref.python"]
nitpick_ignore = [
    # PendingRpc refers to itself, so attrs leaves the names in the signature of its __init__ unresolved.
    ("py:class", "Callback"),
    ("py:class", "Outcome"),
    # The types of the fields of Options are looked for in trio_messenger.sim, which does not export this alias.
    ("py:class", "Availability"),
    # Tests pass subclasses of it, with one rule changed.
    ("py:class", "trio_messenger.nodes.raft.Raft"),
    # Only the simulator gives it to a store.
    ("py:class", "trio_messenger.sim._cluster.durable.Disk"),
]


def keep_docstrings_of_data() -> None:
    """Give what is re-exported the docstrings of constants, aliases and fields that it has where it is defined."""
    for package in (trio_messenger, trio_messenger.sim):
        exporter = ModuleAnalyzer.for_module(package.__name__)
        exporter.analyze()
        for module in [name for name in sys.modules if name.startswith(f"{package.__name__}.")]:
            analyzer = ModuleAnalyzer.for_module(module)
            analyzer.analyze()
            for (scope, name), docstring in analyzer.attr_docs.items():
                if hasattr(package, scope or name):
                    exporter.attr_docs[scope, name] = docstring


def keep_colons(_app: Sphinx, what: str, _name: str, _obj: object, _options: object, lines: list[str]) -> None:
    """Keep napoleon from taking the words before a colon in an attribute's docstring for its type."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # it looks at the first line only, which now is an empty comment


FIELDS_ONLY = {"PendingRpc", "Gathered", "Stats", "Retried", "Caller", "Envelope", "EnvelopeLog", "ErrorCode"}


def drop_constructor(_app: Sphinx, what: str, name: str, *_: object) -> tuple[str, None] | None:
    """Show no constructor where users never call it: its parameters are the fields, private ones among them."""
    return ("", None) if what == "class" and name.rpartition(".")[2] in FIELDS_ONLY else None


WIDE = 480
"""Pixels up to which a phone can show a picture without making its words too small to read."""


def mark_wide_pictures(app: Sphinx, doctree: nodes.document) -> None:
    """Put each picture that is wide into a box of its own, which ``pictures.css`` has scroll on a phone."""
    for image in list(doctree.findall(nodes.image)):
        head = Path(app.srcdir, image["uri"]).read_text(encoding="utf-8")[:1000]
        width = re.search(r'<svg[^>]* width="([\d.]+)"', head)
        if width and float(width[1]) > WIDE:
            box = nodes.container(classes=["wide-picture"])
            image.parent.replace(image, box)
            box += image


EMPHASIS = re.compile(r"<!-- emphasize-lines: ([\d, -]+) -->")


def emphasize_lines(_app: Sphinx, doctree: nodes.document) -> None:
    """Set off the lines of a block of code that a comment above it names; a code host shows them as all others."""
    for comment in list(doctree.findall(nodes.raw)):
        if found := EMPHASIS.fullmatch(comment.astext().strip()):
            block = comment.next_node(siblings=True, descend=False)
            if not isinstance(block, nodes.literal_block):
                raise ExtensionError(f"{comment.source}:{comment.line}: there is no code below the comment")
            ranges = [part.partition("-") for part in found[1].split(",")]
            lines = [line for first, _, last in ranges for line in range(int(first), int(last or first) + 1)]
            block["highlight_args"] = {"hl_lines": lines}
            comment.parent.remove(comment)


def public_names() -> dict[str, str]:
    """Return the full names of the public classes and functions, by the names that pages write in code."""
    found = {}
    for package in (trio_messenger.sim, trio_messenger.sim.strategies, trio_messenger.transports, trio_messenger):
        for name, value in vars(package).items():
            if name.startswith("_") or not (inspect.isclass(value) or inspect.isfunction(value)):
                continue
            if not hasattr(package, "__path__") and value.__module__ != package.__name__:
                continue  # a module that is no package only uses what it imports
            found[name] = full = f"{package.__name__}.{name}"
            if inspect.isclass(value):
                found |= {f"{name}.{each}": f"{full}.{each}" for each in dir(value) if not each.startswith("_")}
    return found


def link_names(app: Sphinx, doctree: nodes.document) -> None:
    """Make a public name that a page writes in code a link to its description, the first time on each page.

    A page then reads on a code host as it is, without a role around each name.
    """
    names, linked = public_names(), set[str]()
    for literal in list(doctree.findall(nodes.literal)):
        target = names.get(literal.astext().removesuffix("()"))
        if target is None or target in linked or not is_prose(literal):
            continue
        linked.add(target)
        link = addnodes.pending_xref(
            "", refdomain="py", reftype="obj", reftarget=target, refexplicit=True, refdoc=app.env.docname
        )
        literal.parent.replace(literal, link)
        link += literal


def is_prose(node: nodes.Node) -> bool:
    """Tell whether *node* is in the text of a page, outside of links, headings and the descriptions of the API."""
    kinds = (nodes.reference, nodes.title, addnodes.desc, addnodes.pending_xref, addnodes.download_reference)
    while node is not None:
        if isinstance(node, kinds):
            return False
        node = node.parent
    return True


SCROLLING = re.compile(r'<pre(?=>)|<div class="(wide-picture|table-wrapper)[^"]*"(?=>)')
"""The beginnings of the elements that scroll if they are too wide."""


OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*(?![^<>]*>)")
"""An option of a command in the text of a page, not in a tag."""


def finish_body(_app: Sphinx, _page: str, _template: str, context: dict[str, object], _doctree: object) -> None:
    """Let elements that scroll take the focus, so that the arrow keys scroll them, and keep options in one piece.

    Browsers break lines after a hyphen, also between ``--`` and the name of an option.
    """
    if isinstance(context.get("body"), str):
        body = SCROLLING.sub(r'\g<0> tabindex="0"', context["body"])
        context["body"] = OPTION.sub(r'<span class="option">\g<0></span>', body)


def setup(app: Sphinx) -> None:
    """Connect the above."""
    keep_docstrings_of_data()
    app.connect("autodoc-process-docstring", keep_colons, priority=400)  # napoleon comes at 500
    app.connect("autodoc-process-signature", drop_constructor)
    app.connect("doctree-read", mark_wide_pictures)
    app.connect("doctree-read", emphasize_lines)
    app.connect("doctree-read", link_names)
    app.connect("html-page-context", finish_body)
