"""Sphinx configuration; build with: sphinx-build -W docs docs/_build."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harmose_dft import __version__

project = "harmose_dft"
author = "The harmose_dft developers"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_mock_imports = ["sisl", "seekpath", "dask"]

exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "harmose_dft"


def escape_bars(app: Any, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Keep |x| of formulas in docstrings from being read as a reStructuredText substitution."""
    for n, line in enumerate(lines):
        parts = line.split("``")
        parts[::2] = [part.replace("|", r"\|") for part in parts[::2]]
        lines[n] = "``".join(parts)


def setup(app: Any) -> None:
    """Sphinx's hook."""
    app.connect("autodoc-process-docstring", escape_bars)
