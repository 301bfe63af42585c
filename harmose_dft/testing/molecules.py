"""PySCF calculations in our conventions, made without the package's adapter, for tests of what is written from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..core.basis import GaussianRadial, OrbitalBasis, Shell
from ..core.conventions import PYSCF
from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum
from ..core.structure import SYMBOLS, Structure
from ..core.units import BOHR_IN_ANGSTROM

WATER = ("O 0 0 0.1173", "H 0 0.7572 -0.4692", "H 0 -0.7572 -0.4692")
"""Gas-phase water near its experimental geometry, Angstrom."""


def structure_of(lines: tuple[str, ...] = WATER, name: str = "water") -> Structure:
    """A molecule from "symbol x y z" lines in Angstrom."""
    fields = [line.split() for line in lines]
    numbers = np.array([SYMBOLS.index(f[0]) for f in fields])
    return Structure(numbers, np.array([f[1:] for f in fields], dtype=float) / BOHR_IN_ANGSTROM, name=name)


def mole(structure: Structure, basis: str = "def2-svp"):  # type: ignore[no-untyped-def]
    """PySCF's molecule."""
    from pyscf import gto

    atoms = list(zip(structure.symbols, structure.positions.tolist(), strict=True))
    return gto.M(atom=atoms, basis=basis, charge=structure.charge, unit="Bohr", verbose=0)


def basis_of(mol) -> OrbitalBasis:  # type: ignore[no-untyped-def]
    """Shells of a PySCF molecule whose shells are not generally contracted."""
    shells: dict[int, tuple[Shell, ...]] = {}
    for atom in range(mol.natm):
        ids = [b for b in range(mol.nbas) if mol.bas_atom(b) == atom]
        shells[int(mol.atom_charge(atom))] = tuple(
            Shell(int(mol.bas_angular(b)), GaussianRadial(mol.bas_exp(b), mol.bas_ctr_coeff(b)[:, 0])) for b in ids
        )
    return OrbitalBasis(str(mol.basis), shells)


def hartree_fock(
    structure: Structure, basis: str = "def2-svp"
) -> tuple[OrbitalBasis, BlockMatrix, BlockMatrix, Spectrum, float]:
    """Basis, Fock and overlap matrix, orbitals and total energy of restricted Hartree-Fock."""
    from pyscf import scf

    mol = mole(structure, basis)
    mean_field = scf.RHF(mol).run(conv_tol=1e-10)
    orbital_basis = basis_of(mol)
    index, sign = PYSCF.to_ours(orbital_basis.shell_sequence(structure.numbers))
    orbitals = orbital_basis.orbitals_per_atom(structure.numbers)

    def to_our_order(matrix: NDArray[np.float64]) -> BlockMatrix:
        return BlockMatrix.from_dense(matrix[np.ix_(index, index)] * np.outer(sign, sign), orbitals)

    spectrum = Spectrum(mean_field.mo_energy, mean_field.mo_coeff[index] * sign[:, None], mean_field.mo_occ)
    fock, overlap = to_our_order(mean_field.get_fock()), to_our_order(mean_field.get_ovlp())
    return orbital_basis, fock, overlap, spectrum, float(mean_field.e_tot)
