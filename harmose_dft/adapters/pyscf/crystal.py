"""PySCF's periodic calculations: restricted Kohn-Sham at k-points, and H(R), S(R) from their matrices.

PySCF works with Bloch sums phi_k(r) = sum_R exp(i k.R) phi(r - R), whose phase belongs to the cell, as ours does. On a
mesh of N k-points, A(R) = 1/N sum_k exp(-i k.R) A(k) is periodic in R with the supercell that belongs to the mesh
(Born and von Karman), so the mesh must be dense enough for pairs within the cutoff to be the nearest of their images.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...core.basis import GaussianRadial, OrbitalBasis, Shell
from ...core.errors import HarmoseError, SolverError, StructureError
from ...core.matrix import BlockMatrix
from ...core.orbitals import radial_values
from ...core.record import Eigenvalues, Record
from ...core.structure import SYMBOLS, Structure
from ...solver.kpoints import reciprocal_vectors
from .known_names import library_basis, parsed_functional, refuse_own_ecp
from .molecule import MIN_ECP_ELEMENT, basis_from_mole, basis_label, to_ours

if TYPE_CHECKING:
    from pyscf.pbc.dft.krks import KRKS
    from pyscf.pbc.gto import Cell

KPOINT_SPACING = 0.2
"""Largest spacing of k-points in 1/Bohr, 2 pi included."""

TAIL = 3e-5
"""Magnitude of R(r) (Bohr^-3/2) below which an orbital counts as zero where a crystal's pairs are listed. Overlaps of
orbitals just beyond their cutoffs are then around 1e-6."""

SMEARING = 0.002
"""Width in Hartree of the Fermi-Dirac smearing of the occupations."""

TOLERANCES = {"energy": 1e-9, "gradient": 1e-5}
"""Convergence of the SCF, Hartree per cell."""

MAX_CYCLES = 60

PSEUDOPOTENTIALS = {"lda": "gth-pade", "pade": "gth-pade", "svwn": "gth-pade", "blyp": "gth-blyp", "hf": "gth-hf-rev"}
"""Functional -> the pseudopotentials that belong to it in PySCF's library; others take those of PBE."""

MARGIN = 1e-6


def reference_crystal(
    structure: Structure,
    xc: str,
    basis: str,
    *,
    spacing: float = KPOINT_SPACING,
    ke_cutoff: float | None = None,
) -> Record:
    """A converged restricted Kohn-Sham calculation of a crystal.

    Basis sets whose names begin with "gth" come with Goedecker-Teter-Hutter pseudopotentials and are calculated on
    PySCF's multigrid (local and semilocal functionals); all others describe all electrons, by density fitting.

    Args:
        structure: A crystal with an even number of electrons in its cell.
        xc: PySCF's name of the functional.
        basis: PySCF's name of the basis.
        spacing: Largest spacing of the k-points in 1/Bohr, 2 pi included; the mesh is denser where the range of the
            orbitals asks for it.
        ke_cutoff: Kinetic energy in Hartree that the grid of the pseudopotential calculation holds; PySCF's choice if
            None.

    Returns:
        H(R) and S(R) on all pairs within the sum of the orbital cutoffs, the Fermi level, the eigenvalues at the
        k-points, and provenance.

    Raises:
        StructureError: The structure is a molecule, or has an odd number of electrons.
        SolverError: The SCF did not converge.
        HarmoseError: PySCF does not know the functional, the basis or the pseudopotential.
    """
    parsed_functional(xc)
    cell = to_cell(structure, xc, basis, ke_cutoff)
    our_basis = crystal_basis(basis_from_mole(cell, basis_label(basis)))
    frame = pair_frame(structure, our_basis)
    divisions = choose_mesh(structure, frame, spacing)
    mf = kohn_sham_crystal(cell, xc, divisions)
    overlap, core = np.asarray(mf.get_ovlp()), mf.get_hcore()
    mf.get_hcore = lambda *_: core  # it costs as much as a cycle, and PySCF asks for it twice
    mf.kernel()
    if not mf.converged:
        raise SolverError(
            f"The SCF of {structure.formula} ({xc}/{basis}) did not converge within {MAX_CYCLES} cycles. Check the "
            "structure and the k-points."
        )
    fractional = np.asarray(cell.get_scaled_kpts(mf.kpts))
    fock = rebuild_fock(np.asarray(mf.mo_energy), np.asarray(mf.mo_coeff), overlap)
    return Record(
        structure,
        our_basis,
        (to_real_space(to_ours(fock, our_basis, structure.numbers), fractional, frame),),
        to_real_space(to_ours(overlap, our_basis, structure.numbers), fractional, frame),
        n_electrons=float(cell.nelectron),
        fermi=float(np.mean(mf.get_fermi())),
        energy=float(mf.e_tot),
        eigenvalues=(Eigenvalues(fractional, np.asarray(mf.mo_energy)[None], "PySCF", MARGIN),),
        provenance=_provenance(xc, our_basis.name, cell, divisions, mf),
    )


def rebuild_fock(
    energies: NDArray[np.float64], coefficients: NDArray[np.complex128], overlap: NDArray[np.complex128]
) -> NDArray[np.complex128]:
    """F = S C eps C^+ S of complete sets of orbitals: the matrix whose diagonalisation ended the SCF, (k, ao, ao).

    Args:
        energies: Hartree, (k, mo), as many as orbitals.
        coefficients: (k, ao, mo).
        overlap: (k, ao, ao).

    Raises:
        SolverError: The basis is linearly dependent, so that orbitals are missing.
    """
    if coefficients.shape[-2] != coefficients.shape[-1]:
        raise SolverError(
            f"PySCF left out {coefficients.shape[-2] - coefficients.shape[-1]} linearly dependent orbitals. Take a "
            "smaller basis, or one that is made for crystals."
        )
    adjoint = coefficients.conj().transpose(0, 2, 1)
    return np.asarray(overlap @ (coefficients * energies[:, None]) @ adjoint @ overlap)


def to_cell(structure: Structure, xc: str, basis: str, ke_cutoff: float | None = None) -> Cell:
    """PySCF's cell for a crystal.

    Args:
        structure: The crystal.
        xc: The functional, which decides the pseudopotentials.
        basis: PySCF's name of the basis.
        ke_cutoff: Kinetic energy in Hartree that its grid holds; PySCF's choice if None.

    Raises:
        StructureError: The structure is a molecule, or has an odd number of electrons.
        HarmoseError: PySCF does not know the basis or the pseudopotential.
    """
    from pyscf.pbc import gto

    if structure.cell is None:
        raise StructureError(f"{structure.formula} has no cell; got a molecule where a crystal is expected.")
    elements = sorted(set(structure.numbers.tolist()))
    shells = {SYMBOLS[z]: library_basis(basis, SYMBOLS[z]) for z in elements}
    refuse_own_ecp(basis, [SYMBOLS[z] for z in elements if z >= MIN_ECP_ELEMENT])
    cell = gto.Cell()
    cell.atom = list(zip(structure.symbols, structure.positions.tolist(), strict=True))
    cell.a, cell.unit, cell.charge, cell.verbose = structure.cell, "Bohr", structure.charge, 0
    cell.basis = shells
    if has_pseudopotential(basis):
        cell.pseudo = {SYMBOLS[z]: PSEUDOPOTENTIALS.get(xc.lower().partition(",")[0], "gth-pbe") for z in elements}
    cell.ke_cutoff = ke_cutoff
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Electron number", UserWarning)  # said below
            cell.build(dump_input=False, parse_arg=False)
    except (KeyError, RuntimeError) as error:
        raise HarmoseError(
            f"PySCF has no pseudopotential for {structure.formula} with {xc}/{basis}. Take a functional whose "
            "Goedecker-Teter-Hutter potentials cover all its elements, such as pbe, or a basis of all electrons."
        ) from error
    if cell.nelectron % 2:
        raise StructureError(
            f"The cell {structure.formula} has an odd number of electrons ({cell.nelectron}); only closed shells are "
            "calculated. Double the cell."
        )
    return cell


def has_pseudopotential(basis: str) -> bool:
    """Whether a basis of PySCF's library describes valence electrons only."""
    return basis.lower().startswith("gth")


def crystal_basis(basis: OrbitalBasis) -> OrbitalBasis:
    """A Gaussian basis whose orbitals have cutoffs, beyond which their magnitude stays below :data:`TAIL`."""
    r = np.arange(0.0, 60.0, 0.05)

    def with_cutoff(shell: Shell) -> Shell:
        assert isinstance(shell.radial, GaussianRadial)
        beyond = np.flatnonzero(np.abs(radial_values(shell.l, shell.radial, r)) > TAIL)
        return replace(shell, radial=replace(shell.radial, cutoff=round(float(r[beyond[-1] + 1]), 2)))

    return OrbitalBasis(basis.name, {z: tuple(with_cutoff(s) for s in shells) for z, shells in basis.shells.items()})


def kohn_sham_crystal(cell: Cell, xc: str, divisions: Sequence[int]) -> KRKS:
    """PySCF's restricted Kohn-Sham object at a Gamma-centred mesh of k-points.

    Args:
        cell: The crystal.
        xc: PySCF's name of the functional.
        divisions: Of the mesh, (3,).
    """
    from pyscf.pbc import dft
    from pyscf.pbc.scf.addons import smearing_

    mf = dft.KRKS(cell, cell.make_kpts(list(divisions)), xc=xc)
    if not cell.pseudo:
        mf = mf.density_fit()
    elif not mf._numint.libxc.is_hybrid_xc(xc):
        mf = mf.multigrid_numint()
    mf = smearing_(mf, sigma=SMEARING, method="fermi")
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = TOLERANCES["energy"], TOLERANCES["gradient"], MAX_CYCLES
    return mf


def choose_mesh(structure: Structure, frame: BlockMatrix, spacing: float) -> tuple[int, int, int]:
    """Divisions of a mesh with a largest spacing, dense enough for the nearest images to be told from others.

    Along lattice vectors that no pair crosses, such as the vacuum above a layer, there is one.
    """
    assert structure.cell is not None
    is_crossed = (frame.shifts != 0).any(axis=0)
    lengths = np.linalg.norm(reciprocal_vectors(structure.cell, is_crossed), axis=1)
    divisions = np.maximum(np.ceil(lengths / spacing - MARGIN), 1).astype(int)
    while not images_are_nearest(structure, frame, divisions):
        divisions = np.where(is_crossed, divisions + 1, 1)
    a, b, c = divisions.tolist()
    return a, b, c


def images_are_nearest(structure: Structure, frame: BlockMatrix, divisions: NDArray[np.int64]) -> bool:
    """Whether every pair is shorter than its images by the lattice vectors of the mesh's supercell."""
    assert structure.cell is not None
    vectors = structure.pair_vectors(frame.pairs, frame.shifts)
    images = [np.array(step) * divisions @ structure.cell for step in product((-1, 0, 1), repeat=3) if any(step)]
    lengths = np.linalg.norm(vectors, axis=1)
    return all((np.linalg.norm(vectors + image, axis=1) > lengths + MARGIN).all() for image in images)


def pair_frame(structure: Structure, basis: OrbitalBasis) -> BlockMatrix:
    """Zero blocks on all pairs of atoms within the sum of the orbital cutoffs.

    PySCF lists lattice vectors within a radius; here pairs are listed by distance.
    """
    from scipy.spatial import cKDTree

    assert structure.cell is not None
    reach = {z: max(s.radial.cutoff or 0.0 for s in shells if s.radial) for z, shells in basis.shells.items()}
    cutoffs = np.array([reach[z] for z in structure.numbers.tolist()])
    spans = np.ceil((2 * cutoffs.max() + np.ptp(structure.positions, axis=0).max()) * np.linalg.norm(
        np.linalg.inv(structure.cell), axis=0)).astype(int)
    shifts = np.array(list(product(*(range(-n, n + 1) for n in spans))))
    atoms = np.tile(np.arange(len(structure)), len(shifts))
    images = (structure.positions[None] + (shifts @ structure.cell)[:, None]).reshape(-1, 3)
    near = cKDTree(structure.positions).sparse_distance_matrix(
        cKDTree(images), 2 * cutoffs.max(), output_type="ndarray"
    )
    i, image = near["i"], near["j"]
    j = atoms[image]
    kept = near["v"] < cutoffs[i] + cutoffs[j]
    pairs, shift = np.stack([i, j], 1)[kept], np.repeat(shifts, len(structure), axis=0)[image][kept]
    order = np.lexsort((*shift.T[::-1], pairs[:, 1], pairs[:, 0]))
    orbitals = basis.orbitals_per_atom(structure.numbers)
    size = int(np.prod(orbitals[pairs], axis=1).sum())
    return BlockMatrix(orbitals, pairs[order], shift[order], np.zeros(size))


def to_real_space(matrices: NDArray[Any], kpoints: NDArray[np.float64], frame: BlockMatrix) -> BlockMatrix:
    """A(R) = 1/N sum_k exp(-2 pi i k.R) A(k) on the pairs of a frame.

    Args:
        matrices: A(k) on a full mesh, (k, ao, ao), in our orbital order.
        kpoints: Fractional, (k, 3).
        frame: The pairs.
    """
    values = np.zeros(len(frame.values), dtype=np.complex128)
    for matrix, k in zip(matrices, kpoints, strict=True):
        values += frame.gather(matrix, -k)
    return frame.with_values(np.ascontiguousarray(values.real) / len(kpoints)).symmetrize()


def _provenance(xc: str, basis: str, cell: Cell, divisions: Sequence[int], mf: KRKS) -> dict[str, str]:
    import pyscf

    pseudo = sorted(set(cell.pseudo.values())) if cell.pseudo else []
    return {
        "code": "PySCF",
        "version": pyscf.__version__,
        "functional": xc,
        "basis": basis,
        "method": "KRKS",
        "kpoints": "x".join(str(n) for n in divisions),
        "smearing": f"Fermi-Dirac, {SMEARING:g} Hartree",
        "scf_cycles": str(mf.cycles),
        **({"pseudopotential": "+".join(pseudo), "mesh": "x".join(str(n) for n in cell.mesh)} if pseudo else {}),
    }
