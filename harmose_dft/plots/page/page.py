"""The page itself: template, style and script of this folder with a report's figures, in one file without links.

Whatever comes from files is escaped by the template or lies in a block of JSON. The page's content-security policy
lets run only the two scripts whose hashes it names, plotly.js and the page's own, and loads nothing.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import HarmoseError, printable
from ...core.files import atomic_path
from ...core.units import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from .charts import band_chart, level_chart
from .data import Report
from .scenes import charge_scene, crystal_scene, describe_atoms, orbital_scene

MOST_ATOMS = 400
"""Atoms whose charges are listed."""

LARGEST_PAGE = 5_000_000
"""Bytes."""


def require_page_tools() -> None:
    """Refuse to begin where a package that pages need is missing.

    Raises:
        HarmoseError: With how to install it.
    """
    from importlib.util import find_spec

    missing = [name for name in ("jinja2", "plotly", "skimage") if find_spec(name) is None]
    if missing:
        raise HarmoseError(
            f"A report needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            "Install what reports need with: pip install 'harmose-dft[report]'"
        )


def write_page(path: str | Path, report: Report, *, force: bool = False) -> None:
    """Write a report as one HTML file.

    Args:
        path: The file.
        report: What it shows.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
        HarmoseError: A package is missing, or the page would be larger than :data:`LARGEST_PAGE`.
    """
    with atomic_path(path, force) as temporary:
        page = render_page(report).encode("utf-8")
        if len(page) > LARGEST_PAGE:
            raise HarmoseError(
                f"The report on {report.title} would have {len(page) / 1e6:.1f} MB; at most {LARGEST_PAGE / 1e6:g} MB "
                "open well everywhere. Ask for fewer orbitals."
            )
        temporary.write_bytes(page)


def render_page(report: Report) -> str:
    """The page as text.

    Raises:
        HarmoseError: A package that pages need is missing.
    """
    require_page_tools()
    from jinja2 import Environment, StrictUndefined
    from plotly.offline import get_plotlyjs

    viewer, script = get_plotlyjs(), _read("report.js")
    figures, notes = draw_figures(report)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.from_string(_read("report.html")).render(
        report=report,
        formula=split_formula(report.structure.formula),
        description=describe(report),
        orbitals=[(o, o.energy * HARTREE_IN_EV, notes[f"orbital-{n}"]) for n, o in enumerate(report.orbitals)],
        charges=list_charges(report),
        dipole=None if report.dipole is None else float(np.linalg.norm(report.dipole)) * DIPOLE_AU_IN_DEBYE,
        figures=figures,
        style=_read("report.css"),
        script=script,
        viewer=base64.b64encode(gzip.compress(viewer.encode("utf-8"), 9, mtime=0)).decode("ascii"),
        hashes=[_hash(viewer), _hash(script)],
        printable=printable,
    )


def draw_figures(report: Report) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Figures of a page in plotly's form, and a note to some of them; keys are those of the page's elements."""
    figures, notes = {}, {}
    for n, orbital in enumerate(report.orbitals):
        figure, isovalue = orbital_scene(report, orbital)
        figures[f"orbital-{n}"], notes[f"orbital-{n}"] = figure.to_dict(), f"{isovalue:.3f}"
    if report.columns:
        figures["levels"] = level_chart(report).to_dict()
    if report.structure.periodic:
        figures["crystal"] = crystal_scene(report).to_dict()
    elif report.charges:
        figures["charges"] = charge_scene(report).to_dict()
    if report.bands is not None:
        figures["bands"] = band_chart(report.bands).to_dict()
    return figures, notes


def describe(report: Report) -> str:
    """Atoms, orbitals and, of a crystal, the lattice, in words."""
    structure = report.structure
    orbitals = int(report.basis.orbitals_per_atom(structure.numbers).sum())
    text = f"{len(structure)} atoms ({describe_atoms(structure)}), {orbitals} orbitals"
    if structure.cell is None:
        return f"{text}, charge {structure.charge:+d}" if structure.charge else text
    lengths = " × ".join(f"{x:.3f}" for x in np.linalg.norm(structure.cell, axis=1) * BOHR_IN_ANGSTROM)
    return f"{text}, cell {lengths} Å"


def split_formula(formula: str) -> list[tuple[str, str]]:
    """Symbols and counts of a Hill formula: [("C", "2"), ("H", "6"), ("O", "")]."""
    return re.findall(r"([A-Z][a-z]?)(\d*)", formula)


def list_charges(report: Report) -> list[tuple[str, list[float]]]:
    """Label and charges of each kind, atom by atom; of very many atoms the first ones."""
    labels = [f"{symbol}{n}" for n, symbol in enumerate(report.structure.symbols, start=1)][:MOST_ATOMS]
    columns = [(charges.round(3) + 0.0).tolist()[:MOST_ATOMS] for charges in report.charges.values()]
    return [(label, list(row)) for label, *row in zip(labels, *columns, strict=True)] if columns else []


def _read(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """A script's name in a content-security policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}"
