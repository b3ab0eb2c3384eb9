"""How the documentation is built from this folder: `make docs`, which leaves docs/_build/index.html."""

from __future__ import annotations

from headstart import __version__

project = "headstart"
version = release = __version__
html_title = f"headstart {__version__}"
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinxcontrib.programoutput",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_copy_source = False
nitpicky = False  # autodoc meets names of numpy and torch, whose own pages a build without a network does not know
myst_heading_anchors = 3
autodoc_typehints = "none"
autodoc_member_order = "bysource"
