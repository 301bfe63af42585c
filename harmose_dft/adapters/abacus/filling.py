"""k-points and smearing of an ABACUS calculation, from its INPUT and KPT."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ...core.units import RYDBERG_IN_HARTREE
from ...solver import Smearing, monkhorst_pack
from ..text import read_lines
from .files import TRUE
from .grid import read_number
from .text import parse_floats, strip_comment

Floats = NDArray[np.float64]

SMEARINGS = {
    "fixed": Smearing.NONE, "gauss": Smearing.GAUSSIAN, "gaussian": Smearing.GAUSSIAN, "fd": Smearing.FERMI_DIRAC,
    "mp": Smearing.METHFESSEL_PAXTON, "mv": Smearing.COLD, "cold": Smearing.COLD,
}  # fmt: skip
"""``smearing_method`` of INPUT."""

DEFAULT_SIGMA = 0.015
"""Rydberg."""

SIGMA_OF_KELVIN = 3.166815e-6
"""Rydberg of ``smearing_sigma`` for each Kelvin of ``smearing_sigma_temp``, as compiled into ABACUS: k_B / 2."""

HEADS = ("K_POINTS", "KPOINTS", "K")
MONKHORST_PACK = ("Monkhorst-Pack", "MP", "mp")
MOST_DIVISIONS = 1000


def read_smearing(keywords: Mapping[str, str], path: Path) -> tuple[Smearing, float]:
    """Smearing function and width in Hartree.

    Args:
        keywords: Of INPUT.
        path: The calculation's folder, for errors.

    Raises:
        FileFormatError: The function is none of those that are computed here.
    """
    name = keywords.get("smearing_method", "gauss").lower()
    if name not in SMEARINGS:
        raise FileFormatError(
            f"smearing_method is {name}; expected one of {', '.join(SMEARINGS)}. Use one of them for a start from a "
            "density.", path=path
        )  # fmt: skip
    if SMEARINGS[name] is Smearing.NONE:
        return Smearing.NONE, 0.0
    sigma = read_number(keywords, "smearing_sigma", path) if "smearing_sigma" in keywords else DEFAULT_SIGMA
    if "smearing_sigma_temp" in keywords:
        sigma = SIGMA_OF_KELVIN * read_number(keywords, "smearing_sigma_temp", path)
    if not sigma > 0:
        raise FileFormatError(f"smearing_sigma must be positive with {name}; got {sigma:g}.", path=path)
    return SMEARINGS[name], sigma * RYDBERG_IN_HARTREE


def read_mesh(keywords: Mapping[str, str], folder: Path, cell: Floats, *, time_reversal: bool) -> tuple[Floats, Floats]:
    """k-points (k, 3), fractional, and weights (k,) of the mesh of a calculation.

    Args:
        keywords: Of INPUT: ``gamma_only``, ``kspacing`` and ``kpoint_file`` count.
        folder: Folder of the calculation.
        cell: Lattice vectors, rows, Bohr.
        time_reversal: See :func:`~harmose_dft.solver.monkhorst_pack`.

    Raises:
        FileFormatError: There is no KPT file, it holds no mesh, or ``kspacing`` is neither one number nor three.
    """
    if keywords.get("gamma_only", "0").lower() in TRUE:
        return monkhorst_pack((1, 1, 1))
    words = keywords.get("kspacing", "0").split()
    spacing = np.array([read_number({"kspacing": word}, "kspacing", folder) for word in words])
    if len(spacing) not in (1, 3) or (spacing.any() and not spacing.min() > 0):
        raise FileFormatError(
            f"kspacing in INPUT must be one positive number or three; got {' '.join(words)}.", path=folder
        )
    if spacing.any():
        lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell), axis=0)
        return monkhorst_pack((lengths / spacing + 1).astype(int).tolist(), time_reversal=time_reversal)
    return _read_kpt(folder / keywords.get("kpoint_file", "KPT"), time_reversal)


def _read_kpt(path: Path, time_reversal: bool) -> tuple[Floats, Floats]:
    lines = [words for line in read_lines(path) if (words := strip_comment(line).split())]
    start = next((n for n, words in enumerate(lines) if words[0] in HEADS), None)
    rest = [] if start is None else lines[start + 1 : start + 4]
    if len(rest) < 3:
        raise FileFormatError("A KPT file has a line K_POINTS and three more with its k-points.", path=path)
    kind = rest[1][0]
    if rest[0][0] != "0" or kind not in ("Gamma", *MONKHORST_PACK):
        raise FileFormatError(
            f"The k-points are given as {kind!r}; a density is computed on a mesh ('Gamma' or 'Monkhorst-Pack'). Give "
            "the k-points of the SCF as a mesh.", path=path
        )  # fmt: skip
    numbers = parse_floats([*rest[2], "0", "0", "0"], path, (start or 0) + 4, "a mesh of k-points", 6)
    divisions = numbers[:3].astype(int).tolist()
    if min(divisions) < 1 or max(divisions) > MOST_DIVISIONS:
        raise FileFormatError(f"A mesh of {divisions} k-points cannot be.", path=path)
    # Of Monkhorst and Pack's mesh, ABACUS's offsets count in halves of the spacing.
    offsets = numbers[3:6].tolist()
    shift = offsets if kind == "Gamma" else [(x + (n + 1) % 2) / 2 for x, n in zip(offsets, divisions, strict=True)]
    return monkhorst_pack(divisions, shift, time_reversal=time_reversal)
