"""The site: pages, notebooks, and the reference from the docstrings. Built by ``make docs``.

The source folder is the repository, not docs/, so that a relative link leads to the same file here and there.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

import bcd_implicit

project = "bcd_implicit"
version = release = bcd_implicit.__version__

root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*.ipynb", "notebooks/solutions/*.ipynb", "README.md", "CHANGELOG.md"]
exclude_patterns = [".*", "build", "docs/templates"]
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx-mathjax-offline",  # formulas without a network
]

html_theme = "furo"
html_title = "bcd_implicit"
html_extra_path = ["redirect"]  # the site opens at its root too
html_copy_source = False
smartquotes = False  # a prime is a transpose

myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # make notebooks executes them

templates_path = [str(Path(__file__).parent / "templates")]  # autosummary would look in the source folder
# Public names are on the page of the package; the template leaves them out of the module that defines them, and out of
# modules what these only pass on.
autosummary_context = {
    "module_of": {name: getattr(getattr(bcd_implicit, name), "__module__", "") for name in bcd_implicit.__all__}
}
autosummary_mock_imports = ["bcd_implicit.__main__", "torch"]  # an import of the first starts the command line
autodoc_mock_imports = ["torch"]  # optional, and the site is built without it
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_inherit_docstrings = False  # said once, by the base class
autodoc_typehints = "none"  # the docstrings have the types, with shapes
numpydoc_show_class_members = False


def without_request_methods(app: Sphinx, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn adds to estimators: it refers to scikit-learn's own documentation."""
    return True if re.fullmatch("set_.*_request", name) else None


def warn_of_missing_names(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn, so that the strict build fails, if a public name is documented nowhere."""
    documented = env.domaindata["py"]["objects"]
    for name in bcd_implicit.__all__:
        if f"bcd_implicit.{name}" not in documented:
            logging.getLogger(__name__).warning("the public name bcd_implicit.%s is on no page", name)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.config.mathjax_path = "mathjax/tex-svg.js"  # the extension's own choice needs fonts, which files may not load
    app.connect("autodoc-skip-member", without_request_methods)
    app.connect("env-check-consistency", warn_of_missing_names)
