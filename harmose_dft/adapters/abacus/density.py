"""The density of a prediction on the grid of an ABACUS calculation, as the files that ``init_chg file`` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from ...core.errors import DataError, FileFormatError, HarmoseError
from ...core.files import require_absent
from ...core.matrix import BlockMatrix
from ...core.spin import spin_block
from ...core.structure import Structure
from ...solver import Smearing, count_on_grid, density_blocks, density_on_grid, solve_kpoints
from .cube import CubeNames, DensityCube, write_density_cube
from .files import Calculation, find_library_file, find_stru, nspin_of_input, read_input
from .filling import read_mesh, read_smearing
from .grid import grid_of_run, is_same_cell
from .log import find_log, read_log
from .orbitals import read_z_valence
from .stru import atomic_number, read_stru
from .writer import to_abacus_order

if TYPE_CHECKING:
    from ..code import StartingPoint

Floats = NDArray[np.float64]

LARGEST_DEVIATION = 1e-3
"""Relative deviation of the electrons on the grid from those of the calculation up to which a density is written.

With converged Hamiltonians it is below 2e-7 on ABACUS's grids for 60 to 100 Ry (silicon, graphene, iron); a grid of
0.75 Bohr reaches 6e-4 and one of 0.8 Bohr 9e-3 in graphene."""


SAME_ATOM = 0.01
"""Bohr; positions in two files that differ by less are those of one atom."""


@dataclass(frozen=True, eq=False)
class Setup:
    """What a calculation that shall start says of its density.

    Args:
        folder: Its folder, with INPUT and KPT.
        shape: Points of the grid along the lattice vectors.
        nspin: 1, 2 or 4.
        kpoints: Its k-points, (k, 3), fractional.
        weights: Their weights, (k,).
        smearing: Function that the occupations follow.
        width: Of the smearing, Hartree.
        version: Of ABACUS, as the log of an earlier run states it; "" without one.
        valence: Valence electrons by atomic number, of pseudopotentials that are there.
    """

    folder: Path
    shape: tuple[int, int, int]
    nspin: int
    kpoints: Floats
    weights: Floats
    smearing: Smearing
    width: float
    version: str
    valence: Mapping[int, float]

    @classmethod
    def of_run(cls, folder: Path, structure: Structure) -> Self:
        """Read the folder of a calculation.

        Args:
            folder: Holds INPUT, KPT, perhaps STRU and the OUT folder of an earlier run.
            structure: The crystal of the prediction.

        Raises:
            FileFormatError: INPUT or KPT is missing or malformed, or the calculation has another cell or other atoms.
        """
        assert structure.cell is not None
        calculation = Calculation(folder, folder)
        keywords = read_input(calculation)
        if not keywords:
            raise FileFormatError(
                "There is no INPUT in the folder of the calculation that shall start. Give the folder that holds "
                "INPUT, KPT and STRU (--run).", path=folder,
            )
        output = folder / f"OUT.{keywords.get('suffix', 'ABACUS')}"
        log_path = find_log(output) if output.is_dir() else None
        log = read_log(log_path) if log_path else None
        stru = find_stru(calculation, keywords)
        valence = {} if stru is None else _read_run_structure(structure, stru, calculation, keywords)
        shape = grid_of_run(keywords, log, output, structure.cell, folder)
        nspin = nspin_of_input(keywords)
        if nspin not in ("1", "2", "4"):
            raise FileFormatError(f"nspin in INPUT must be 1, 2 or 4; got {nspin!r}.", path=folder)
        kpoints, weights = read_mesh(keywords, folder, structure.cell, time_reversal=nspin != "4")
        smearing, width = read_smearing(keywords, folder)
        version = log.version if log else ""
        return cls(folder, shape, int(nspin), kpoints, weights, smearing, width, version, valence)

    @property
    def file_names(self) -> list[str]:
        """The density files that the version reads."""
        return CubeNames.of_version(self.version).file_names(self.nspin)

    @property
    def use(self) -> str:
        """What the user has to do with the files."""
        older = ", ".join(CubeNames.SPIN.file_names(self.nspin))
        rename = "" if self.version else f"; versions up to 3.9.0.5 and 3.10 want the density as {older}: rename it"
        return f"put them into the folder that read_file_dir names and set init_chg file in INPUT{rename}"


def _read_run_structure(
    structure: Structure, path: Path, calculation: Calculation, keywords: Mapping[str, str]
) -> dict[int, float]:
    """Valence electrons by atomic number; refuses a STRU of another cell, or with other atoms in whatever order."""
    assert structure.cell is not None
    stru = read_stru(path, keywords.get("latname", "none"))
    has_same_atoms = sorted(stru.numbers.tolist()) == sorted(structure.numbers.tolist())
    if not has_same_atoms or not is_same_cell(stru.cell, structure.cell):
        raise FileFormatError(
            f"The calculation that shall start is not one of this structure: it has {len(stru.numbers)} atoms in the "
            f"cell {np.round(stru.cell, 4).tolist()}, the structure ({structure.formula}) has {len(structure)} in "
            f"{np.round(structure.cell, 4).tolist()} Bohr. Give the folder of its own calculation.", path=path
        )  # fmt: skip
    distance = _largest_distance(structure, stru.numbers, stru.fractional)
    if not distance < SAME_ATOM:
        raise FileFormatError(
            f"The atoms of the calculation that shall start lie up to {distance:.3g} Bohr from those of the structure "
            f"({structure.formula}); expected less than {SAME_ATOM:g}. Give the folder of its own run.", path=path
        )  # fmt: skip
    files = {
        atomic_number(label, path): find_library_file(calculation, name, keywords.get("pseudo_dir"))
        for label, name in zip(stru.labels, stru.pseudopotentials, strict=False)
    }
    return {z: read_z_valence(file) for z, file in files.items() if file is not None}


def _largest_distance(structure: Structure, numbers: NDArray[np.int64], fractional: Floats) -> float:
    """Largest distance in Bohr of an atom from the nearest atom of its element (or an image) in a list of others."""
    from scipy.spatial import cKDTree

    assert structure.cell is not None
    positions = structure.positions @ np.linalg.inv(structure.cell)
    largest = 0.0
    for z in sorted(set(numbers.tolist())):
        others, atoms = fractional[numbers == z], positions[structure.numbers == z]
        _, nearest = cKDTree(np.mod(np.mod(others, 1.0), 1.0), boxsize=1.0).query(np.mod(np.mod(atoms, 1.0), 1.0))
        offsets = atoms - others[nearest]
        vectors = (offsets - np.round(offsets)) @ structure.cell
        largest = max(largest, float(np.linalg.norm(vectors, axis=1).max()))
    return largest


def write_density(
    start: StartingPoint, setup: Setup, folder: Path, *, force: bool
) -> tuple[list[Path], dict[str, float]]:
    """Fill the predicted bands as the calculation will, and write the density on its grid.

    The density depends on k-points and smearing more than on the error of a good prediction: both are those of the
    calculation. Like ABACUS, the density is scaled to the number of electrons.

    Args:
        start: The prediction.
        setup: Of the calculation.
        folder: Where the files go.
        force: Whether existing files may be replaced.

    Returns:
        Files, and figures: electrons on the grid before they were scaled, electrons of the calculation.

    Raises:
        DataError: The prediction has another kind of spin than the calculation.
        HarmoseError: The grid does not hold the electrons.
        OutputExistsError: A file exists and ``force`` is false.
    """
    files = [folder / name for name in setup.file_names]
    for file in files:
        require_absent(file, force)
    matrices, fermi, electrons = fill(start, setup)
    structure = start.structure
    assert structure.cell is not None
    values = [density_on_grid(p, structure, start.basis, setup.shape) for p in matrices]
    count = sum(count_on_grid(v, structure.cell) for v in values)
    if not abs(count / electrons - 1) <= LARGEST_DEVIATION:
        raise HarmoseError(
            f"The density holds {count:.5f} electrons on a grid of {' x '.join(map(str, setup.shape))} points; "
            f"expected {electrons:g} (deviation {count / electrons - 1:+.1e}, at most {LARGEST_DEVIATION:g}). The grid "
            "is too coarse for these orbitals, or the model leaves out pairs whose orbitals overlap. Raise ecutwfc."
        )
    _, ordered = to_abacus_order(start.hamiltonians[0], structure)
    valence = np.array([setup.valence.get(z, z) for z in ordered.numbers.tolist()], dtype=np.float64)
    values = [v * (electrons / count) for v in values]
    values += [np.zeros(setup.shape)] * (len(files) - len(values))  # without magnetic moments
    for file, value in zip(files, values, strict=True):
        write_density_cube(file, DensityCube(value, ordered, setup.nspin, fermi, valence), force=force)
    return files, {"electrons_on_grid": count, "electrons": electrons}


def fill(start: StartingPoint, setup: Setup) -> tuple[tuple[BlockMatrix, ...], float | None, float]:
    """Density matrices (one, or up and down), Fermi level in Hartree, and electrons of a prediction.

    Raises:
        DataError: The prediction has another kind of spin than the calculation.
    """
    h = start.hamiltonians
    nspin = 4 if h[0].spinor else len(h)
    if nspin != setup.nspin:
        raise DataError(
            f"The model predicts for nspin {nspin}; the calculation in {setup.folder} has nspin {setup.nspin}. Use a "
            "model that was trained on calculations of that kind, or change nspin in INPUT."
        )
    electrons = round(start.spectrum.n_electrons, 6)
    spectrum = solve_kpoints(
        h, start.overlap, setup.kpoints, electrons, weights=setup.weights, smearing=setup.smearing, width=setup.width
    )
    matrices = density_blocks(spectrum, h[0])
    if nspin == 4:
        up, down = (spin_block(matrices[0], s, s) for s in (0, 1))
        matrices = (up.with_values(np.ascontiguousarray((up.values + down.values).real)),)
    return matrices, spectrum.fermi, electrons
