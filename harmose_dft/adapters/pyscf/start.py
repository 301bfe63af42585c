"""Checkpoint files from which PySCF starts, and the test that a start has to pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.conventions import PYSCF
from ...core.errors import HarmoseError
from ...core.files import atomic_path
from ...core.spectrum import Spectrum
from ...core.structure import Structure
from .molecule import to_mole

LARGEST_COMMUTATOR = 0.15
"""Hartree per square root of the number of electrons; a start whose ``|FPS - SPF|`` is larger is rejected.

Ethanol, glycine and phenol in B3LYP/def2-SVP: PySCF's minao density has 1.0 to 1.2; predictions that saved cycles had
0.04 to 0.11 (in Hartree-Fock, which the model was not made for, too); one with an intruder state, which cost a cycle,
had 0.38. Energies do not tell: that of minao lies below the converged one, as its density is not that of a determinant.
"""

LARGEST_PROJECTED_COMMUTATOR = 0.7
"""The same for orbitals that were projected into another basis than the model's.

Methanol and acetaldehyde in B3LYP: projected into def2-SVPD 0.08 (7 and 7 cycles; from minao 9 and 10), cc-pVTZ 0.20
(8 and 8; 9 and 10), def2-TZVP 0.61 and 0.58 (8 and 8; 9 and 10); minao has 1.0 to 1.1 in all of them.
"""


def require_near_self_consistent(commutator: float, n_electrons: int, *, projected: bool = False) -> None:
    """Refuse a start from which an SCF may take longer than from PySCF's own.

    Args:
        commutator: ``|FPS - SPF|`` at the density, Hartree: :func:`harmose_dft.solver.orthogonal.commutator_norm`.
        n_electrons: Number of electrons.
        projected: Whether the orbitals come from another basis.

    Raises:
        HarmoseError: The commutator is larger than ``LARGEST_COMMUTATOR`` or ``LARGEST_PROJECTED_COMMUTATOR``
            allows, or not a number.
    """
    limit = LARGEST_PROJECTED_COMMUTATOR if projected else LARGEST_COMMUTATOR
    largest = limit * float(np.sqrt(n_electrons))
    basis = ", or this basis too far from the model's" if projected else ""
    if not commutator <= largest:
        raise HarmoseError(
            f"The predicted density is far from self-consistent: |FPS - SPF| = {commutator:.2f} Hartree, expected at "
            f"most {largest:.2f}. The molecule is probably unlike those of the training set{basis}."
        )


def pyscf_orbitals(structure: Structure, basis: OrbitalBasis, spectrum: Spectrum) -> NDArray[np.float64]:
    """Orbitals of a molecule in PySCF's order, (ao, mo)."""
    index, sign = PYSCF.from_ours(basis.shell_sequence(structure.numbers))
    return np.asarray(sign[:, None] * spectrum.coefficients[index].real)


def write_checkpoint(
    path: str | Path, structure: Structure, basis: OrbitalBasis, spectrum: Spectrum, energy: float, *,
    force: bool = False,
) -> None:
    """Write orbitals as a checkpoint file of PySCF, to be read by ``mf.init_guess = "chkfile"``.

    Args:
        path: The file; give it to PySCF as ``mf.chkfile``.
        structure: The molecule.
        basis: Its basis, of Gaussians.
        spectrum: Orbital energies, coefficients, occupations.
        energy: Energy of their density, Hartree.
        force: Whether an existing file may be replaced.

    Raises:
        OutputExistsError: The file exists and ``force`` is false.
    """
    from pyscf.scf import chkfile

    mol = to_mole(structure, basis)
    orbitals = pyscf_orbitals(structure, basis, spectrum)
    with atomic_path(path, force) as temporary:
        chkfile.dump_scf(mol, str(temporary), energy, spectrum.energies, orbitals, spectrum.occupations)
