"""Attraction of an electron by spherical Gaussian charges on the atoms of a molecule: analytic three-centre integrals.

A charge q (a/pi)^(3/2) exp(-a r^2) attracts an electron by -q erf(sqrt(a) r) / r. Libcint computes the integrals of the
charge as those of an s function, <i j | s>.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...core.structure import Structure

if TYPE_CHECKING:
    from pyscf.gto import Mole

EXPONENT_CUTOFF = 30.0
"""Primitive pairs whose Gaussian prefactor is below exp(-30) = 1e-13 are skipped."""

POINT_CHARGE_EXPONENT = 1e16
"""Width parameter (Bohr^-2) at which a Gaussian charge is a point charge for every orbital (PySCF's own choice)."""

BUFFER = 2**25
"""Bytes of integrals held at once; more only where those of a single atom are more."""

AtomCharges = Sequence[tuple[float, float]]
"""(a_k in Bohr^-2, q_k) of the charges of one atom."""


def merge_charges(left: AtomCharges, right: AtomCharges) -> tuple[tuple[float, float], ...]:
    """Both sets of charges, those of equal exponent added up."""
    total = dict(left)
    for exponent, charge in right:
        total[exponent] = total.get(exponent, 0.0) + charge
    return tuple(total.items())


def charge_attraction(
    mol: Mole,
    structure: Structure,
    charges: Mapping[int, AtomCharges],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """sum_A sum_k q_k <i| erf(sqrt(a_k) r_A) / r_A |j>: an electron in the field of Gaussian charges.

    The charges of an atom form one contracted s function, so that one three-centre integral per pair of orbitals and
    atom gives their sum. The sum over atoms is taken batch by batch, so that memory grows like the matrix.

    Args:
        mol: PySCF's molecule, whose orbitals i, j are.
        structure: The atoms that carry charges.
        charges: Element -> its charges.
        weights: Factor of the charges of each atom, (atom,); by default one.

    Returns:
        (ao, ao) in PySCF's order, Hartree.
    """
    from pyscf import lib
    from pyscf.gto import mole, moleintor

    atm, bas, env = mole.conc_env(mol._atm, mol._bas, mol._env, *_charge_shells(structure, charges))
    env[mole.PTR_EXPCUTOFF] = EXPONENT_CUTOFF
    optimizer = moleintor.make_cintopt(atm, bas[: mol.nbas], env, "int3c2e_sph")
    n = mol.nao_nr()
    total = np.zeros(n * (n + 1) // 2)  # lower triangle, row by row
    batch = max(1, min(len(structure), BUFFER // total.nbytes))
    buffer = np.empty(batch * total.size)
    for start in range(0, len(structure), batch):
        atoms = mol.nbas + start, mol.nbas + min(start + batch, len(structure))
        shells = (0, mol.nbas, 0, mol.nbas, *atoms)
        integrals = moleintor.getints3c(
            "int3c2e_sph", atm, bas, env, shells, aosym="s2ij", cintopt=optimizer, out=buffer
        )
        for atom, of_atom in enumerate(integrals.T, start=start):
            total += of_atom if weights is None else weights[atom] * of_atom
    return np.asarray(lib.unpack_tril(total))


def _charge_shells(
    structure: Structure, charges: Mapping[int, AtomCharges]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float64]]:
    """Libcint's tables (atoms, shells, numbers) of one contracted s function per atom."""
    from pyscf.gto import mole

    # Numbers: libcint's header, then exponents and coefficients of each element, then the coordinates of the atoms.
    env = [np.zeros(mole.PTR_ENV_START)]
    offsets: dict[int, tuple[int, int]] = {}
    length = mole.PTR_ENV_START
    for z, pairs in charges.items():
        exponents, weights = np.array(pairs).T
        # sqrt(4 pi) undoes the harmonic Y_00 that libcint multiplies an s function with.
        env += [exponents, weights * np.sqrt(4 * np.pi) * (exponents / np.pi) ** 1.5]
        offsets[z] = (length, len(pairs))
        length += 2 * len(pairs)
    atm = np.zeros((len(structure), mole.ATM_SLOTS), dtype=np.int32)
    bas = np.zeros((len(structure), mole.BAS_SLOTS), dtype=np.int32)
    atm[:, mole.PTR_COORD] = length + 3 * np.arange(len(structure))
    start, count = np.array([offsets[z] for z in structure.numbers.tolist()]).T
    bas[:, mole.ATOM_OF], bas[:, mole.NPRIM_OF], bas[:, mole.NCTR_OF] = np.arange(len(structure)), count, 1
    bas[:, mole.PTR_EXP], bas[:, mole.PTR_COEFF] = start, start + count
    return atm, bas, np.concatenate([*env, structure.positions.ravel()])
