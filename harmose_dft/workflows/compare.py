"""Checks of a prediction by PySCF: one Fock build, or the whole calculation."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV

if TYPE_CHECKING:
    from ..core.spectrum import Spectrum
    from ..model.prediction import Prediction


def dipole(prediction: Prediction, spectrum: Spectrum) -> list[float] | None:
    """Dipole moment in Debye of a molecule with the given orbitals, (xyz,); None for a crystal."""
    structure = prediction.structure
    if structure.periodic:
        return None
    from ..adapters.pyscf import dipole_integrals
    from ..solver import properties

    integrals = dipole_integrals(structure, prediction.basis)
    moment = properties.dipole(spectrum.density_matrix(), integrals, structure.positions, structure.numbers)
    return [float(m) for m in moment * DIPOLE_AU_IN_DEBYE]


def verified(prediction: Prediction) -> Prediction:
    """The prediction with the SCF residual of one Fock build in its trust report."""
    from ..adapters.pyscf import fock_residual
    from ..model.trust import Verification

    residual = fock_residual(prediction.structure, prediction.hamiltonian, prediction.functional, prediction.basis)
    assert prediction.trust is not None
    verification = Verification(residual.mean_change, residual.commutator, residual.gradient, residual.energy)
    return replace(prediction, trust=replace(prediction.trust, verification=verification))


def compared(prediction: Prediction) -> tuple[dict[str, Any], Spectrum]:
    """The PySCF calculation with the model's functional and basis, next to the prediction.

    Returns:
        Frontier energies, dipole and time of both, and the metrics of the difference; the reference's orbitals.
    """
    from ..adapters import pyscf
    from ..metrics import MetricAccumulator
    from ..solver import solve

    start = time.perf_counter()
    record = pyscf.reference(prediction.structure, prediction.functional, prediction.basis)
    seconds = time.perf_counter() - start
    spectrum = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
    metrics = MetricAccumulator(prediction.basis)
    metrics.add(record, prediction.hamiltonians, prediction.stage1 or None, reference_spectrum=spectrum)

    def figures(orbitals: Spectrum, elapsed: float) -> dict[str, float | None]:
        moment = dipole(prediction, orbitals)
        return {
            "homo_ev": orbitals.homo * HARTREE_IN_EV,
            "lumo_ev": orbitals.lumo * HARTREE_IN_EV,
            "gap_ev": orbitals.gap * HARTREE_IN_EV,
            "dipole_debye": None if moment is None else float(np.linalg.norm(moment)),
            "seconds": elapsed,
        }

    comparison = {
        "model": figures(prediction.spectrum, prediction.seconds),
        "reference": {**figures(spectrum, seconds), "energy_hartree": record.energy, **record.provenance},
        "metrics": metrics.result().to_dict(),
    }
    return comparison, spectrum
