"""PySCF: orbital bases, one-electron integrals and reference calculations, in our conventions.

PySCF's spherical order (p = x, y, z; d and higher m = -l..l) is the row ``PYSCF`` of
:mod:`harmose_dft.core.conventions`. Every matrix that leaves this module is in our order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...core.basis import GaussianRadial, OrbitalBasis, Shell, is_label
from ...core.conventions import PYSCF
from ...core.errors import BasisMismatchError, StructureError
from ...core.matrix import BlockMatrix
from ...core.structure import SYMBOLS, Structure
from .known_names import library_basis, library_ecp, refuse_own_ecp

if TYPE_CHECKING:
    from pyscf.gto import Mole

MIN_ECP_ELEMENT = 11
"""No published pseudopotential basis replaces core electrons below sodium under its default name."""


def to_mole(structure: Structure, basis: str | OrbitalBasis) -> Mole:
    """PySCF's molecule for a structure.

    A ``spin`` that the number of electrons rules out is replaced by the lowest possible one, so that integrals of any
    structure can be had; :func:`require_closed_shell` is the check before a calculation.

    Args:
        structure: A molecule.
        basis: A basis that PySCF knows by name (or its text, or a file of it: numbers only), or one made of contracted
            Gaussians, whose name gives the pseudopotentials where PySCF's library has it.

    Returns:
        The built ``pyscf.gto.Mole``, spherical, in Bohr, without point-group symmetry.

    Raises:
        StructureError: The structure is periodic.
        HarmoseError: PySCF does not know the basis for an element, or a basis given as text has pseudopotentials.
        BasisMismatchError: An ``OrbitalBasis`` is not made of Gaussians or misses an element.
    """
    from pyscf import gto

    if structure.periodic:
        raise StructureError("PySCF's molecular code takes no periodic cell; got a crystal. Give a molecule.")
    elements = tuple(sorted(set(structure.numbers.tolist())))
    if isinstance(basis, str):
        shells: dict[str, Any] = {SYMBOLS[z]: _library_basis(basis, z) for z in elements}
        refuse_own_ecp(basis, [SYMBOLS[z] for z in elements if z >= MIN_ECP_ELEMENT])
    else:
        shells = {SYMBOLS[z]: _as_pyscf_basis(basis, z) for z in elements}
    name = basis if isinstance(basis, str) else basis.name
    mol = gto.Mole()
    mol.atom = list(zip(structure.symbols, structure.positions.tolist(), strict=True))
    mol.basis = shells
    mol.ecp = {SYMBOLS[z]: ecp for z in elements if (ecp := _library_ecp(name, z)) is not None}
    mol.unit, mol.charge, mol.verbose = "Bohr", structure.charge, 0
    core = sum(int(mol.ecp[s][0]) for s in structure.symbols if s in mol.ecp)
    electrons = structure.n_electrons - core
    mol.spin = structure.spin if (electrons - structure.spin) % 2 == 0 else electrons % 2
    return mol.build(dump_input=False, parse_arg=False)


def basis_from_mole(mol: Mole, name: str | None = None) -> OrbitalBasis:
    """The orbital basis of a PySCF molecule; generally contracted shells are split in PySCF's order.

    Args:
        mol: A built molecule with spherical orbitals.
        name: What to call the basis; PySCF's name where it has one.

    Raises:
        BasisMismatchError: The molecule uses Cartesian orbitals, or one element has two different bases.
    """
    if mol.cart:
        raise BasisMismatchError(
            "The molecule uses Cartesian orbitals (6 d functions); only spherical ones are supported. Set cart=False."
        )
    shells_by_element: dict[int, tuple[Shell, ...]] = {}
    for atom in range(mol.natm):
        z = _atomic_number(mol, atom)
        shells = tuple(s for b in mol.atom_shell_ids(atom) for s in _split_shell(mol, int(b)))
        if z in shells_by_element and not _same_shells(shells_by_element[z], shells):
            raise BasisMismatchError(
                f"The atoms of element {SYMBOLS[z]} have different basis sets (atom {atom + 1} differs from an earlier "
                "one); one basis per element is supported."
            )
        shells_by_element[z] = shells
    return OrbitalBasis(name or (mol.basis if isinstance(mol.basis, str) else "custom"), shells_by_element)


def orbital_basis(name: str, elements: Iterable[int]) -> OrbitalBasis:
    """A basis set of PySCF's library.

    Args:
        name: PySCF's name of the basis, such as "def2-svp".
        elements: Atomic numbers.

    Raises:
        HarmoseError: PySCF does not know the basis for an element.
    """
    return OrbitalBasis(basis_label(name), {z: _library_shells(name, z) for z in sorted({int(z) for z in elements})})


def core_charges(structure: Structure, basis: OrbitalBasis) -> NDArray[np.float64]:
    """Charges of the ion cores in e, (atom,): of the nuclei, less the electrons that pseudopotentials stand for.

    Args:
        structure: A molecule.
        basis: Its basis; its name gives the pseudopotentials, as in :func:`to_mole`.
    """
    ecps = {z: _library_ecp(basis.name, z) for z in set(structure.numbers.tolist())}
    cores = [int(ecp[0]) if (ecp := ecps[z]) else 0 for z in structure.numbers.tolist()]
    return (structure.numbers - np.array(cores, dtype=np.int64)).astype(np.float64)


def count_electrons(structure: Structure, basis: OrbitalBasis) -> int:
    """Electrons of a molecule but those that pseudopotentials of its basis stand for; as :func:`core_charges`."""
    return int(core_charges(structure, basis).sum()) - structure.charge


def basis_label(name: str) -> str:
    """What a basis is called in files: its name, or "custom" where the user gives its text."""
    return name if is_label(name) else "custom"


def overlap(structure: Structure, basis: OrbitalBasis) -> BlockMatrix:
    """Overlap of the orbitals of a molecule, analytic, in our convention."""
    return to_blocks(to_mole(structure, basis).intor_symmetric("int1e_ovlp"), basis, structure.numbers)


def core_hamiltonian(structure: Structure, basis: OrbitalBasis) -> NDArray[np.float64]:
    """Kinetic energy plus attraction to the nuclei (and pseudopotentials), dense in our convention, (ao, ao)."""
    from pyscf.scf import hf

    return to_ours(hf.get_hcore(to_mole(structure, basis)), basis, structure.numbers)


def dipole_integrals(
    structure: Structure, basis: OrbitalBasis, origin: ArrayLike = (0.0, 0.0, 0.0)
) -> NDArray[np.float64]:
    """<i| r - origin |j> in Bohr, dense in our convention, (xyz, ao, ao)."""
    mol = to_mole(structure, basis)
    with mol.with_common_orig(np.asarray(origin, dtype=np.float64)):
        return to_ours(mol.intor_symmetric("int1e_r", comp=3), basis, structure.numbers)


def to_ours(matrix: NDArray[Any], basis: OrbitalBasis, numbers: Iterable[int]) -> NDArray[Any]:
    """A matrix of PySCF in our orbital order.

    Args:
        matrix: (..., ao, ao).
        basis: The basis of both axes.
        numbers: Atomic numbers, (atom,).
    """
    return _reorder(matrix, *PYSCF.to_ours(basis.shell_sequence(numbers)))


def from_ours(matrix: NDArray[Any], basis: OrbitalBasis, numbers: Iterable[int]) -> NDArray[Any]:
    """A matrix of ours in PySCF's orbital order; the inverse of :func:`to_ours`."""
    return _reorder(matrix, *PYSCF.from_ours(basis.shell_sequence(numbers)))


def to_blocks(matrix: NDArray[Any], basis: OrbitalBasis, numbers: Sequence[int] | NDArray[np.int64]) -> BlockMatrix:
    """A dense matrix of PySCF, (ao, ao), as blocks in our order."""
    return BlockMatrix.from_dense(to_ours(matrix, basis, numbers), basis.orbitals_per_atom(numbers))


def _reorder(matrix: NDArray[Any], index: NDArray[np.int64], sign: NDArray[np.float64]) -> NDArray[Any]:
    if np.shape(matrix)[-2:] != (len(index), len(index)):
        raise BasisMismatchError(
            f"The basis has {len(index)} orbitals for these atoms; got a matrix of shape {np.shape(matrix)}."
        )
    return matrix[..., index[:, None], index[None, :]] * (sign[:, None] * sign[None, :])


def _atomic_number(mol: Mole, atom: int) -> int:
    """Atomic number whatever the core charge left by a pseudopotential."""
    return int(mol.atom_charge(atom)) + int(mol.atom_nelec_core(atom))


def _split_shell(mol: Mole, shell: int) -> list[Shell]:
    """One shell per contraction; PySCF numbers the orbitals contraction by contraction."""
    exponents, coefficients = mol.bas_exp(shell), mol.bas_ctr_coeff(shell)
    l = int(mol.bas_angular(shell))
    return [Shell(l, GaussianRadial(exponents.copy(), column.copy())) for column in coefficients.T]


def _same_shells(left: tuple[Shell, ...], right: tuple[Shell, ...]) -> bool:
    return OrbitalBasis("", {1: left}) == OrbitalBasis("", {1: right})


def _as_pyscf_basis(basis: OrbitalBasis, z: int) -> list[list[Any]]:
    """Shells of one element in PySCF's nested-list format, [[l, [exponent, coefficient], ...], ...]."""
    ls = basis.angular_momenta(z)
    if list(ls) != sorted(ls):
        raise BasisMismatchError(f"PySCF orders shells by angular momentum; {basis.name} has {ls} for {SYMBOLS[z]}.")
    out = []
    for shell in basis.shells[z]:
        if not isinstance(shell.radial, GaussianRadial):
            raise BasisMismatchError(
                f"PySCF needs contracted Gaussians; the basis {basis.name} has none for {SYMBOLS[z]} "
                f"({type(shell.radial).__name__}). Use the integrals of the code the basis belongs to."
            )
        primitives = np.stack(shell.radial.arrays(), axis=1)
        out.append([shell.l, *primitives.tolist()])
    return out


@lru_cache(maxsize=512)
def _library_basis(name: str, z: int) -> list[list[Any]]:
    """A basis of PySCF's library in its nested-list format."""
    return library_basis(name, SYMBOLS[z])


@lru_cache(maxsize=512)
def _library_shells(name: str, z: int) -> tuple[Shell, ...]:
    atom = Structure(np.array([z]), np.zeros((1, 3)))
    return basis_from_mole(to_mole(atom, name)).shells[z]


@lru_cache(maxsize=512)
def _library_ecp(name: str, z: int) -> list[Any] | None:
    """The pseudopotential that belongs to a basis of the library, None for an all-electron basis."""
    return None if z < MIN_ECP_ELEMENT else library_ecp(name, SYMBOLS[z])
