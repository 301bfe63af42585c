"""How far a prediction can be trusted: checks of the matrices, distance from the training set, warnings in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from ..core.units import MICRO
from ..solver import count_electrons, smallest_overlap_eigenvalue
from .domain import DomainReport

if TYPE_CHECKING:
    from ..core.matrix import BlockMatrix
    from ..core.spectrum import Spectrum


@dataclass(frozen=True)
class Verification:
    """How far a predicted Hamiltonian H is from self-consistency: one Fock build F[P] at the density P of its orbitals.

    Args:
        mean_change: Mean of |F[P] - H| over the matrix elements, Hartree.
        commutator: Frobenius norm of F P S - S P F in the symmetrically orthogonalised basis, Hartree.
        gradient: Norm of the occupied-virtual block of F[P] in H's orbitals, Hartree.
        energy: Kohn-Sham energy of P, Hartree; up to the grid an upper bound to the converged energy.
    """

    mean_change: float
    commutator: float
    gradient: float
    energy: float

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable figures; the unit is the last part of a key."""
        return {
            "mean_change_uha": self.mean_change / MICRO,
            "commutator_uha": self.commutator / MICRO,
            "gradient_uha": self.gradient / MICRO,
            "energy_hartree": self.energy,
        }


@dataclass(frozen=True)
class TrustReport:
    """How far a prediction can be trusted.

    Args:
        smallest_overlap_eigenvalue: Smallest eigenvalue of S (of a crystal: at Gamma); near zero the orbitals are
            nearly linearly dependent, and energies of empty orbitals are uncertain.
        electron_count: Tr(P S), the number of electrons in the predicted density.
        covariance_error: Largest deviation of an element of H after a random rotation of the structure, Hartree.
        environment_distance: Largest distance of an atom's surroundings from those in the training set; 1 is the
            99 % quantile of the training atoms.
        unusual_atoms: Atoms far from the training set, by symbol and 1-based index ("C3").
        unseen_pairs: Neighbouring elements that no training structure had near each other ("C-Cl").
        atoms_relative_to_training: Number of atoms divided by that of the largest training structure.
        warnings: Why the prediction may mean nothing, in words; empty if nothing is known against it.
        member_spread: Mean absolute deviation of the second stage's members from their mean over all elements of H,
            Hartree; None for a model with one member.
        verification: Distance from self-consistency; None unless :func:`harmose_dft.verify` has computed it.
    """

    smallest_overlap_eigenvalue: float
    electron_count: float
    covariance_error: float
    environment_distance: float
    unusual_atoms: tuple[str, ...]
    unseen_pairs: tuple[str, ...]
    atoms_relative_to_training: float
    warnings: tuple[str, ...] = ()
    member_spread: float | None = None
    verification: Verification | None = None

    @property
    def in_words(self) -> str:
        """The report as one short sentence."""
        if self.warnings:
            return f"doubtful: {'; '.join(self.warnings)}"
        if self.unseen_pairs:
            return f"unseen pairs of elements: {', '.join(self.unseen_pairs)}"
        place = "within" if self.environment_distance <= 1.0 else "at the border of"
        return f"{place} the training set (distance {self.environment_distance:.2f}, training atoms up to 1)"

    def to_dict(self) -> dict[str, object]:
        """JSON-serialisable figures; a key ends in its unit where there is one. What was not computed is left out."""
        return {
            "smallest_overlap_eigenvalue": self.smallest_overlap_eigenvalue,
            "electron_count": self.electron_count,
            "covariance_error_uha": self.covariance_error / MICRO,
            **({} if self.member_spread is None else {"member_spread_uha": self.member_spread / MICRO}),
            "environment_distance": self.environment_distance,
            "unusual_atoms": list(self.unusual_atoms),
            "unseen_pairs": list(self.unseen_pairs),
            "atoms_relative_to_training": self.atoms_relative_to_training,
            "warnings": list(self.warnings),
            **({} if self.verification is None else {"scf_residual": self.verification.to_dict()}),
        }


def assess(
    overlap: BlockMatrix,
    spectrum: Spectrum,
    domain: DomainReport,
    *,
    covariance_error: float,
    member_spread: float | None,
    doubts: Sequence[str],
) -> TrustReport:
    """Check a predicted spectrum and sum up what speaks for and against it.

    Args:
        overlap: S, spatial.
        spectrum: The predicted orbitals.
        domain: Distance from the training set.
        covariance_error: Largest deviation of an element of H after a rotation, Hartree.
        member_spread: Disagreement of the second stage's members, Hartree; None for one member.
        doubts: Reasons in the orbital energies why the prediction may mean nothing, in words.
    """
    warnings = list(doubts)
    if domain.unusual_atoms:
        atoms = ", ".join(domain.unusual_atoms)
        warnings.insert(0, f"atoms with surroundings unlike those of the training set: {atoms}")
    return TrustReport(
        smallest_overlap_eigenvalue=smallest_overlap_eigenvalue(overlap),
        electron_count=count_electrons(spectrum, overlap),
        covariance_error=covariance_error,
        member_spread=member_spread,
        warnings=tuple(warnings),
        **asdict(domain),
    )
