"""What is known of a prediction besides its spectrum, gathered for the trust report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ...core.matrix import BlockMatrix
from ...core.spectrum import Spectrum
from ...core.structure import Structure
from ..domain import DomainReport, TrainingDomain, lone_atoms
from .certificate import Certificate, Deviation, compare_orbitals


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of a prediction besides its spectrum.

    Args:
        domain: Distance from the training set.
        covariance_error: Largest deviation of an element of H after a rotation, Hartree.
        member_spread: Disagreement of the second stage's members, Hartree; None for one member.
        doubts: Reasons in the orbital energies why the prediction may mean nothing, in words.
        lone_atoms: Atoms without a neighbour, by symbol and 1-based index.
        h0_distance: Mean of |H - H0| over the matrix elements, Hartree.
        correction: What the second stage changed; None for crystals and models of one stage.
        certificate: What cheap Fock builds say; None where none were asked for.
        dipole: Length of the dipole moment, e*Bohr; None for a crystal.
        charged: Whether the structure has a net charge.
        correction_size: Mean of |H - stage 1's H| over the matrix elements of a crystal, Hartree; None for molecules
            and models of one stage.
    """

    domain: DomainReport
    covariance_error: float
    member_spread: float | None
    doubts: Sequence[str]
    lone_atoms: Sequence[str] = ()
    h0_distance: float | None = None
    correction: Deviation | None = None
    certificate: Certificate | None = None
    dipole: float | None = None
    charged: bool = False
    correction_size: float | None = None


class Matrices(Protocol):
    """Predicted matrices of one structure."""

    @property
    def h0(self) -> BlockMatrix:
        """The physics baseline, Hartree."""

    @property
    def hamiltonians(self) -> tuple[BlockMatrix, ...]:
        """H, one matrix per spin direction, Hartree."""

    @property
    def stage1(self) -> tuple[BlockMatrix, ...]:
        """The first stage's H; empty where there is one stage."""

    @property
    def spread(self) -> float | None:
        """Disagreement of the second stage's members, Hartree."""


def gather_evidence(
    structure: Structure,
    matrices: Matrices,
    spectrum: Spectrum,
    domain: TrainingDomain,
    *,
    covariance_error: float,
    doubts: Sequence[str],
    dipole: float | None,
    certificate: Certificate | None,
) -> Evidence:
    """Measure what a prediction's matrices and surroundings say about it.

    Args:
        structure: The atoms.
        matrices: Predicted for them.
        spectrum: The orbitals of the predicted matrices.
        domain: Of the model.
        covariance_error: Largest deviation of an element of H after a rotation, Hartree.
        doubts: Reasons in the orbital energies why the prediction may mean nothing, in words.
        dipole: Length of the dipole moment, e*Bohr, where intervals are wanted.
        certificate: What cheap Fock builds say; None where there were none.
    """
    size = len(matrices.h0.values)
    changes = [np.abs((h - matrices.h0).values).mean() for h in matrices.hamiltonians if len(h.values) == size]
    molecule = not structure.periodic
    correction, correction_size = None, None
    if molecule and matrices.stage1:
        correction = compare_orbitals(matrices.stage1[0].to_dense(), spectrum)[0]
    elif matrices.stage1:
        pairs = zip(matrices.hamiltonians, matrices.stage1, strict=True)
        correction_size = float(np.mean([np.abs((h - first).values).mean() for h, first in pairs]))
    return Evidence(
        domain=domain.report(structure),
        covariance_error=covariance_error,
        member_spread=matrices.spread,
        doubts=doubts,
        lone_atoms=lone_atoms(structure) if molecule else (),
        h0_distance=float(np.mean(changes)) if changes else None,
        correction=correction,
        certificate=certificate,
        dipole=dipole,
        charged=structure.charge != 0,
        correction_size=correction_size,
    )
