"""Whether a calculation can be one: checked at every door through which records and results come in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .basis import GaussianRadial
from .errors import DataError
from .matrix import BlockMatrix
from .record import Record
from .spectrum import Spectrum

LARGEST_ELEMENT = 1e6
"""Hartree; elements of H beyond this do not exist (1.5 times the exponent of a Gaussian, at most)."""

FARTHEST_CELL = 10_000
"""Cells that the atoms of a pair may be apart, along each lattice vector."""

LARGEST_ENERGY = 1e7
"""Hartree; energies of all atoms together stay far below."""

HERMITIAN_WITHIN = 1e-4
"""H and its adjoint (Hartree), S and its transpose, may differ by this much: files of single precision are read."""

NORMALISED_WITHIN = 0.05
"""Diagonal elements of S may differ from one by this much; no element is larger than one by more."""

LATTICE_SUMS = 10
"""Factor of that bound where a calculation at Gamma has summed S over the lattice."""

NEGATIVE_WITHIN = 1e-3
"""Eigenvalues of S above minus this count as rounding (of a crystal: as blocks left out)."""

LARGEST_FACTORISED = 1500
"""Orbitals up to which S is tested for positive eigenvalues, which costs a Cholesky factorisation."""

LIGHTEST_WITH_POTENTIAL = 37
"""Atomic number from which Gaussian bases come with effective core potentials (def2: rubidium)."""

EFFECTIVE = ("ecp", "lanl", "stuttgart", "crenb", "pp", "gth")
"""Parts of names of Gaussian bases that have effective core potentials for lighter atoms, too."""

OVERSHOOT = 0.1
"""Methfessel-Paxton and cold smearing go beyond full and empty by up to this share of an orbital (0.04 and 0.08)."""

ELECTRONS_WITHIN = 1e-6
LARGEST_CHARGE = 1.0
"""Rounding of a count of electrons; electrons that a fractional charge may add to the nuclear charges."""


def require_sound(record: Record, name: str = "") -> Record:
    """The record itself, if it can be a calculation.

    Args:
        record: The record.
        name: Where it is from, for the error.

    Raises:
        DataError: A number is not finite or too large, a matrix is not Hermitian, S is no overlap of normalised
            orbitals, H has an orbital without elements, or the electrons do not fit the atoms.
    """
    problem = _problem(record)
    if problem:
        raise DataError(f"{name + ': ' if name else ''}{record.structure.formula} is damaged: {problem}.")
    return record


def require_sound_spectrum(record: Record, spectrum: Spectrum) -> None:
    """Refuse a spectrum that does not belong to a record.

    Raises:
        DataError: A number is not finite, a shape does not fit, or orbitals are not orthonormal in S.
    """
    problem = _spectrum_problem(record, spectrum)
    if problem:
        raise DataError(f"The spectrum of {record.structure.formula} is damaged: {problem}.")


def _problem(record: Record) -> str:
    """What is wrong with a record; empty if nothing is."""
    for h in record.hamiltonian:
        if problem := _hermitian_problem("H", h, LARGEST_ELEMENT):
            return problem
        if not _rows_with_elements(h).all():
            return "H has an orbital without any element"
    if len({(h.spinor, len(h)) for h in record.hamiltonian}) > 1:
        return "the two spin directions of H have different blocks"
    return _overlap_problem(record) or _electron_problem(record) or _energy_problem(record)


def _hermitian_problem(label: str, matrix: BlockMatrix, largest: float) -> str:
    if not len(matrix.values):
        return f"{label} has no elements"
    if np.abs(matrix.shifts).max(initial=0) > FARTHEST_CELL:
        return f"{label} has a block {np.abs(matrix.shifts).max()} cells away"
    if not np.isfinite(matrix.values).all():
        return f"{label} holds a number that is not finite"
    peak = float(np.abs(matrix.values).max())
    if peak > largest:
        return f"{label} holds an element of {peak:.2g}; expected at most {largest:g}"
    error = matrix.hermiticity_error()
    return f"{label} differs from its adjoint by {error:.1e}" if error > HERMITIAN_WITHIN else ""


def _rows_with_elements(matrix: BlockMatrix) -> NDArray[np.bool_]:
    rows, _ = matrix.coordinates()
    return np.bincount(rows[matrix.values != 0], minlength=matrix.size) > 0


def _overlap_problem(record: Record) -> str:
    overlap = record.overlap
    is_summed = record.structure.periodic and len(overlap) <= len(record.structure) ** 2
    slack = LATTICE_SUMS if is_summed else 1
    if problem := _hermitian_problem("S", overlap, 1 + slack * NORMALISED_WITHIN):
        return problem
    rows, columns = overlap.coordinates()
    home = np.repeat(~overlap.shifts.any(axis=1), np.diff(overlap.pointers))
    diagonal = np.zeros(overlap.size)
    on_site = home & (rows == columns)
    diagonal[rows[on_site]] = overlap.values[on_site].real
    worst = float(np.abs(diagonal - 1).max())
    if worst > slack * NORMALISED_WITHIN:
        return f"a diagonal element of S differs from one by {worst:.2g}"
    if overlap.size <= LARGEST_FACTORISED:
        try:
            np.linalg.cholesky(overlap.to_dense() + NEGATIVE_WITHIN * np.eye(overlap.size))
        except np.linalg.LinAlgError:
            return "S has negative eigenvalues"
    return ""


def _electron_problem(record: Record) -> str:
    """Electrons against atoms and orbitals; NaN is allowed where a code keeps neither them nor radial functions."""
    n, structure = record.n_electrons, record.structure
    if np.isnan(n) and not record.basis.has_radial(structure.numbers.tolist()):
        return ""
    room = 2 * record.overlap.size
    nuclear = float(structure.numbers.sum()) - structure.charge
    if not 0 < n <= room:
        return f"it has {n:g} electrons; expected more than none and at most the {room} that its orbitals hold"
    if n > nuclear + LARGEST_CHARGE:
        return f"it has {n:g} electrons, more than its nuclei and its charge allow ({nuclear:g})"
    if _has_all_electrons(record) and abs(n - nuclear) > ELECTRONS_WITHIN:
        return f"it has {n:g} electrons; its nuclei and its charge give {nuclear:g}"
    return ""


def _has_all_electrons(record: Record) -> bool:
    """Whether the basis describes the electrons of the cores, too."""
    light = bool(record.structure.numbers.max() < LIGHTEST_WITH_POTENTIAL)
    shells = (s for z in set(record.structure.numbers.tolist()) for s in record.basis.shells[z])
    gaussian = all(isinstance(s.radial, GaussianRadial) for s in shells)
    return light and gaussian and not any(part in record.basis.name.lower() for part in EFFECTIVE)


def _energy_problem(record: Record) -> str:
    for quantity, value in (("total energy", record.energy), ("Fermi level", record.fermi)):
        if value is not None and not abs(value) <= LARGEST_ENERGY:
            return f"its {quantity} is {value:g}"
    for listed in record.eigenvalues:
        if not (_is_bounded(listed.energies) and _is_bounded(listed.kpoints)):
            return f"the eigenvalues of {listed.source} hold a number that is not finite"
    return ""


def _is_bounded(array: NDArray[Any]) -> bool:
    return bool(np.isfinite(array).all() and (np.abs(array) <= LARGEST_ENERGY).all())


def _spectrum_problem(record: Record, spectrum: Spectrum) -> str:
    size = record.overlap.size * (2 if record.spinor else 1)
    n_orbitals = spectrum.energies.shape[-1]
    arrays = (spectrum.energies, spectrum.coefficients, spectrum.occupations)
    if not all(_is_bounded(a) for a in arrays):
        return "it holds a number that is not finite"
    if spectrum.coefficients.shape[-2] != size or not 0 < n_orbitals <= size:
        return f"it has {n_orbitals} orbitals of {spectrum.coefficients.shape[-2]} components; the matrices have {size}"
    slack = ELECTRONS_WITHIN if spectrum.weights is None else 2 * OVERSHOOT
    if (spectrum.occupations < -slack).any() or (spectrum.occupations > 2 + slack).any():
        return "an occupation lies outside 0 to 2"
    if (np.diff(spectrum.energies, axis=-1) < -HERMITIAN_WITHIN).any():
        return "its energies do not ascend"
    if spectrum.weights is not None:
        fits = spectrum.kpoints is not None and spectrum.kpoints.shape == (len(spectrum.weights), 3)
        if not fits or spectrum.energies.shape[-2:-1] != spectrum.weights.shape:
            return "its k-points, weights and energies have different lengths"
        if abs(float(spectrum.weights.sum()) - 1) > HERMITIAN_WITHIN:
            return "its weights do not sum to one"
    elif spectrum.energies.ndim == 1 and not record.structure.periodic:
        return _residual_problem(record, spectrum)
    return ""


def _residual_problem(record: Record, spectrum: Spectrum) -> str:
    """C^T S C = 1 and H C = S C eps of a molecule."""
    c, s = spectrum.coefficients, record.overlap.to_dense()
    if record.spinor or not record.hamiltonian:
        return ""
    sc = s @ c
    if np.abs(c.T @ sc - np.eye(c.shape[1])).max() > HERMITIAN_WITHIN:
        return "its orbitals are not orthonormal"
    if len(record.hamiltonian) == 1:
        projected = c.T @ record.hamiltonian[0].to_dense() @ c - np.diag(spectrum.energies)
        if np.abs(projected).max() > HERMITIAN_WITHIN:
            return "its energies are not those of H"
    return ""
