"""Checks of a molecule's prediction by PySCF: one Fock build (``verify``), or the whole calculation (``compare``)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..adapters import pyscf
from ..core.errors import HarmoseError
from ..core.spectrum import Spectrum
from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from ..metrics import EvaluationResult, MetricAccumulator
from ..model.prediction import Prediction, dipole_moment
from ..model.trust import Verification
from ..solver import solve

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Figures:
    """What a comparison lists of a calculation.

    Args:
        spectrum: Orbitals; energies in Hartree.
        dipole: Dipole moment in e*Bohr, (xyz,).
        seconds: Time that the calculation took.
    """

    spectrum: Spectrum
    dipole: Floats
    seconds: float

    def to_dict(self) -> dict[str, float]:
        """JSON-serialisable figures; the unit is the last part of a key."""
        return {
            "homo_ev": self.spectrum.homo * HARTREE_IN_EV,
            "lumo_ev": self.spectrum.lumo * HARTREE_IN_EV,
            "gap_ev": self.spectrum.gap * HARTREE_IN_EV,
            "dipole_debye": float(np.linalg.norm(self.dipole * DIPOLE_AU_IN_DEBYE)),
            "seconds": self.seconds,
        }


@dataclass(frozen=True, eq=False)
class Comparison:
    """A prediction beside the PySCF calculation that it stands for.

    Args:
        model: The prediction's figures.
        reference: Those of the calculation.
        energy: Total energy of the calculation, Hartree.
        provenance: Code, version, functional and basis of the calculation.
        metrics: Errors of the prediction.
    """

    model: Figures
    reference: Figures
    energy: float | None
    provenance: Mapping[str, str]
    metrics: EvaluationResult

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description."""
        return {
            "model": self.model.to_dict(),
            "reference": {**self.reference.to_dict(), "energy_hartree": self.energy, **self.provenance},
            "metrics": self.metrics.to_dict(),
        }


def compare(prediction: Prediction) -> Comparison:
    """Run the PySCF calculation of a molecule, with the model's functional and basis, and compare the prediction.

    Args:
        prediction: Of a closed-shell molecule.

    Raises:
        StructureError: The structure is a crystal or has an open shell.
        HarmoseError: PySCF does not know the functional, or its calculation does not converge.
    """
    structure, basis = prediction.structure, prediction.basis
    start = time.perf_counter()
    record = pyscf.reference(structure, prediction.functional, basis)
    seconds = time.perf_counter() - start
    spectrum = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    metrics = MetricAccumulator(basis)
    metrics.add(record, prediction.hamiltonians, prediction.stage1 or None, reference_spectrum=spectrum)
    model, reference = (
        Figures(orbitals, dipole_moment(structure, basis, orbitals), elapsed)
        for orbitals, elapsed in ((prediction.spectrum, prediction.seconds), (spectrum, seconds))
    )
    return Comparison(model, reference, record.energy, record.provenance, metrics.result())


def verify(prediction: Prediction) -> Prediction:
    """Build one Fock matrix at the predicted density, which tells how far the prediction is from self-consistency.

    Args:
        prediction: Of a closed-shell molecule, with its trust report.

    Returns:
        The prediction with ``trust.verification`` filled in.

    Raises:
        HarmoseError: The prediction has no trust report, or PySCF does not know the functional.
        StructureError: The structure is a crystal or has an open shell.
    """
    if prediction.trust is None:
        raise HarmoseError(
            f"The prediction for {prediction.structure.formula} has no trust report to add the verification to; got "
            "one made with trust=False. Predict again with trust=True."
        )
    residual = pyscf.fock_residual(
        prediction.structure, prediction.hamiltonian, prediction.functional, prediction.basis
    )
    verification = Verification(residual.mean_change, residual.commutator, residual.gradient, residual.energy)
    return replace(prediction, trust=replace(prediction.trust, verification=verification))
