"""OpenMX's orbitals: the ``.pao`` files, where to find them, and the order of their components."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.basis import NumericalRadial, OrbitalBasis, Shell
from ...core.conventions import OPENMX
from ...core.errors import FileFormatError
from ...core.matrix import BlockMatrix
from ...core.structure import SYMBOLS
from ..text import find_existing, read_text
from .input import DEFAULT_DATA_PATH, Input
from .interpolation import interpolate

DATA_PATH_VARIABLE = "OPENMX_DFT_DATA_PATH"
"""Environment variable (ASE's) that names the folder with PAO/ and VPS/."""

PARENTS_SEARCHED = 3
"""Folders above a calculation in which a DFT_DATA folder is looked for."""


def read_pao(path: Path, angular_momenta: tuple[int, ...]) -> tuple[Shell, ...]:
    """Shells of a ``.pao`` file: for every l the first functions of the table, as many as are asked for.

    The tables hold ln r, r (Bohr) and R_0(r), R_1(r), ..., with integral of R^2 r^2 = 1; the functions are those that
    OpenMX interpolates between the points (:mod:`harmose_dft.adapters.openmx.interpolation`).

    Args:
        path: The file.
        angular_momenta: l of every shell, ascending.

    Raises:
        FileFormatError: A table is missing, damaged, or has too few functions.
    """
    text = read_text(path).replace("\r\n", "\n")
    functions: dict[int, Iterator[NumericalRadial]] = {}
    for l in sorted(set(angular_momenta)):
        table, line = _table(text, l, path)
        n_asked, n_held = angular_momenta.count(l), table.shape[1] - 2
        if n_held < n_asked:
            raise FileFormatError(
                f"The table of l = {l} holds {n_held} functions; the input asks for {n_asked}.", path=path, line=line
            )
        functions[l] = (interpolate(table[:, 1], column) for column in table[:, 2:].T)
    return tuple(Shell(l, next(functions[l])) for l in angular_momenta)


def _table(text: str, l: int, path: Path) -> tuple[NDArray[np.float64], int]:
    """The table of one angular momentum, (point, 2 + function), and the number of its first line."""
    name = f"pseudo.atomic.orbitals.L={l}"
    begin, end = text.find(f"<{name}\n"), text.find(f"\n{name}>")
    if begin < 0 or end < begin:
        raise FileFormatError(f"There is no table <{name} ... {name}>. Is this the right .pao file?", path=path)
    line = text.count("\n", 0, begin) + 2
    try:
        table = np.array([row.split() for row in text[begin:end].splitlines()[1:]], dtype=np.float64)
    except ValueError as error:
        raise FileFormatError(f"<{name} is no table of numbers ({error}).", path=path, line=line) from error
    if table.ndim != 2 or table.shape[1] < 3 or not np.isfinite(table).all() or (np.diff(table[:, 1]) <= 0).any():
        raise FileFormatError(
            f"<{name} needs ascending radii in its second column and finite functions in the others.",
            path=path, line=line,
        )  # fmt: skip
    return table, line


def find_pao(name: str, settings: Input, folder: Path, pao_dir: Path | None = None) -> Path | None:
    """The ``.pao`` file of this name, or None.

    Looked for in ``pao_dir`` (or its PAO/) if given; otherwise in DATA.PATH of the input, beside the calculation, in
    $OPENMX_DFT_DATA_PATH, and in DFT_DATA* folders up to three levels above the calculation.

    Args:
        name: Without ``.pao``.
        settings: The input file.
        folder: Folder of the calculation.
        pao_dir: Folder given by the user.
    """
    candidates = iter([pao_dir / "PAO", pao_dir]) if pao_dir is not None else _candidates(settings, folder)
    return next((p for c in candidates if (p := find_existing(c, f"{name}.pao")) is not None), None)


def _candidates(settings: Input, folder: Path) -> Iterator[Path]:
    yield folder / settings.keyword("DATA.PATH", DEFAULT_DATA_PATH) / "PAO"
    yield folder
    if DATA_PATH_VARIABLE in os.environ:
        yield Path(os.environ[DATA_PATH_VARIABLE]) / "PAO"
    for parent in folder.resolve().parents[:PARENTS_SEARCHED]:
        yield from sorted(parent.glob("DFT_DATA*/PAO"), reverse=True)


def read_basis(settings: Input, folder: Path, pao_dir: Path | None = None) -> tuple[OrbitalBasis, str]:
    """The basis of an input, and a remark where its radial functions came from.

    Raises:
        FileFormatError: An element occurs with two different bases, a ``.pao`` file is damaged, or ``pao_dir`` lacks
            one.
    """
    species_used = {s.name: s for s in settings.atoms}.values()
    shells: dict[int, tuple[Shell, ...]] = {}
    names: dict[int, str] = {}
    files, missing = [], []
    for species in species_used:
        z = species.number
        if names.setdefault(z, species.basis) != species.basis:
            raise FileFormatError(
                f"{SYMBOLS[z]} occurs with two bases, {names[z]} and {species.basis}; one basis per element is "
                "supported. Use the same orbitals for all atoms of an element.", path=settings.path,
            )  # fmt: skip
        file = find_pao(species.pao, settings, folder, pao_dir)
        if file is None and pao_dir is not None:
            raise FileFormatError(
                f"The folder has no {species.pao}.pao, which {settings.path.name} uses. Give DFT_DATA19/PAO of the "
                "OpenMX installation that made the calculation.", path=pao_dir,
            )  # fmt: skip
        if file is None:
            missing.append(f"{species.pao}.pao")
            shells[z] = tuple(Shell(l) for l in species.angular_momenta)
        else:
            files.append(file)
            shells[z] = read_pao(file, species.angular_momenta)
    basis_note = f"radial functions from {files[0].parent}" if files else ""
    if missing:
        lacking = f"no radial functions: {', '.join(sorted(set(missing)))} not found"
        basis_note = f"{basis_note}; {lacking}" if basis_note else lacking
    return OrbitalBasis("+".join(names[z] for z in sorted(names)), shells), basis_note


def to_our_order(matrix: BlockMatrix, basis: OrbitalBasis, numbers: NDArray[np.int64]) -> BlockMatrix:
    """A matrix with its orbitals brought from OpenMX's order to ours."""
    return matrix.reorder(*OPENMX.to_ours(basis.shell_sequence(numbers.tolist())))
