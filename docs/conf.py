"""The site: pages, notebooks, and the reference from the docstrings. Built by ``make docs``.

The source folder is the repository, not docs/, so that a relative link leads to the same file here and there.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import toctree
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.autosummary import autosummary_toc
from sphinx.util import logging

import bcd_implicit

sys.path.insert(0, str(Path(__file__).parent))  # for the extensions that stand beside this file

# Whose names people use: each is described in one place, under its shortest path.
HOMES = (
    "bcd_implicit",
    *(f"bcd_implicit.{room}" for room in ("compose", "constraints", "datasets", "networks", "plots")),
)
MODULES = "docs/modules/"
REPOSITORY = "https://github.com/bcd-implicit/bcd_implicit"


def shown_above() -> dict[str, list[str]]:
    """Names by module that defines them or passes them on, but that are described under a shorter path."""
    names: dict[str, list[str]] = {}
    for home in HOMES:
        for name in import_module(home).__all__:
            module = getattr(getattr(import_module(home), name), "__module__", "")
            while module.startswith(f"{home}."):
                names.setdefault(module, []).append(name)
                module = module.rpartition(".")[0]
    return names


project = "bcd_implicit"
version = release = bcd_implicit.__version__
project_copyright = (
    f"the bcd_implicit developers · version {version} · MIT licence · {REPOSITORY.removeprefix('https://')}"
)

root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*.ipynb", "notebooks/solutions/*.ipynb", "*.md"]
exclude_patterns = [".*", "build", "docs/templates"]
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",  # the source beside each name, without a network
    "sphinx_copybutton",
    "sphinx_design",
    "notebook_gallery",
    "sphinx-mathjax-offline",  # formulas without a network
]

html_theme = "furo"
html_title = f"bcd_implicit {version}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_logo = html_favicon = "static/logo.svg"
html_theme_options = {
    "source_repository": REPOSITORY,
    "source_branch": "main",
    "source_directory": "",
    "footer_icons": [{"name": "Repository", "url": REPOSITORY, "html": "Repository", "class": ""}],
}
html_extra_path = ["redirect"]  # the site opens at its root too
html_copy_source = False
html_search_scorer = str(Path(__file__).parent / "search_scorer.js")  # relative to the current folder otherwise
smartquotes = False  # a prime is a transpose

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4  # a link to a heading that is not there fails the strict build
nb_execution_mode = "off"  # make notebooks executes them
nb_render_markdown_format = "myst"  # formulas in outputs
nb_ipywidgets_js: dict[str, Any] = {}  # the scripts come from the network, and sliders would need Python

# The first two are Python's, the others the shell's: a command may go on in lines that begin with "> ".
copybutton_prompt_text = r">>> |\.\.\. |\$ |> "
copybutton_prompt_is_regexp = True

templates_path = [str(Path(__file__).parent / "templates")]  # autosummary would look in the source folder
autosummary_context = {"shown_above": shown_above(), "homes": HOMES}
autosummary_mock_imports = ["bcd_implicit.__main__", "torch"]  # an import of the first starts the command line
autodoc_mock_imports = ["torch"]  # optional, and the site is built without it
# The value of a dictionary of classes and functions says less than the line above it.
autodoc_default_options = {"members": True, "member-order": "bysource", "no-value": True}
autodoc_inherit_docstrings = False  # said once, by the base class
autodoc_typehints = "none"  # the docstrings have the types, with shapes
numpydoc_show_class_members = False


def without_other_libraries(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what a class has from other libraries: it refers to their own documentation."""
    function = getattr(obj, "fget", obj)
    module = getattr(getattr(function, "__objclass__", function), "__module__", None) or ""
    foreign = module and module.partition(".")[0] not in ("bcd_implicit", "torch")
    return True if foreign or re.fullmatch("set_.*_request", name) else None


def named_defaults(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show a default that is a function or a class by its name, not by ``<function name>``."""
    if signature:
        signature = re.sub(r"<function (?:\w+\.)*(\w+)>|<class '(?:\w+\.)*(\w+)'>", r"\1\2", signature)
    return signature, returns


def keep_modules_out_of_the_sidebar(app: Sphinx, doctree: nodes.document) -> None:
    """Take lists of modules out of the navigation: with 300 modules its tree, made anew for each page, took minutes."""
    for toc in list(doctree.findall(autosummary_toc)):
        pages = [page for tree in toc.findall(toctree) for page in tree["includefiles"]]
        if app.env.docname.startswith(MODULES) or f"{MODULES}bcd_implicit" in pages:
            toc.parent.remove(toc)


def keep_punctuation_with_formulas(app: Sphinx, doctree: nodes.document) -> None:
    """Keep a formula, the comma after it and the bracket before it on a line: browsers break it beside a picture."""
    for formula in list(doctree.findall(nodes.math)):
        parent, at = formula.parent, formula.parent.index(formula)
        before, after = parent[:at][-1:], parent[at + 1 :][:1]
        opened = re.search(r"\(+$", before[0]) if before and isinstance(before[0], nodes.Text) else None
        closed = re.match(r"[,.;:)?]+", after[0]) if after and isinstance(after[0], nodes.Text) else None
        if opened or closed:
            marks = [nodes.Text(mark[0]) if mark else nodes.Text("") for mark in (opened, closed)]
            parent[at] = nodes.inline("", "", marks[0], formula.deepcopy(), marks[1], classes=["unbroken"])
            if opened:
                parent[at - 1] = nodes.Text(before[0][: opened.start()])
            if closed:
                parent[at + 1] = nodes.Text(after[0][closed.end() :])


def no_links_to_made_sources(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Leave out the links to a page's source in the repository where there is none: the build writes these pages."""
    if pagename.startswith(MODULES):
        context["page_source_suffix"] = ""


def warn_of_missing_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn, so that the strict build fails, if a public name is documented nowhere."""
    documented = env.domaindata["py"]["objects"]
    for home in HOMES:
        for name in import_module(home).__all__:
            if f"{home}.{name}" not in documented:
                logging.getLogger(__name__).warning("the public name %s.%s is on no page", home, name)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.config.mathjax_path = "mathjax/tex-svg.js"  # the extension's own choice needs fonts, which files may not load
    app.connect("doctree-read", keep_modules_out_of_the_sidebar, priority=100)  # before Sphinx collects the trees
    app.connect("doctree-read", keep_punctuation_with_formulas)
    app.connect("autodoc-skip-member", without_other_libraries)
    app.connect("autodoc-process-signature", named_defaults)
    app.connect("html-page-context", no_links_to_made_sources)
    app.connect("env-check-consistency", warn_of_missing_names)
