"""Sphinx configuration; build with: sphinx-build docs docs/_build."""

from __future__ import annotations

from importlib.metadata import version as installed

project = "harmose_dft"
author = "The harmose_dft developers"
version = release = installed("harmose-dft")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath"]
autodoc_typehints = "description"
autodoc_mock_imports = ["sisl", "seekpath", "dask"]

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "harmose_dft"
