"""The density of states of a prediction."""

from __future__ import annotations

import numpy as np

from ..core.structure import SYMBOLS
from ..core.units import HARTREE_IN_EV
from ..model.prediction import Prediction
from ..output.dos import DosTable
from ..solver import density_of_states

BELOW, ABOVE, STEP, BROADENING = 20.0, 10.0, 0.05, 0.2
"""Range below the highest filled and above the lowest empty level, spacing, and standard deviation of states, eV."""


def compute_dos(prediction: Prediction) -> DosTable:
    """States per eV around the gap or the Fermi level, in all and of each element (Mulliken's projection).

    Args:
        prediction: Of a molecule, or of a crystal on its mesh of k-points.
    """
    spectrum, structure = prediction.spectrum, prediction.structure
    if spectrum.fermi is not None and structure.periodic:
        low = high = spectrum.fermi
    else:
        low, high = spectrum.homo, spectrum.lumo
    if not (np.isfinite(low) and np.isfinite(high)):  # all orbitals filled, or none
        low, high = float(spectrum.energies.min()), float(spectrum.energies.max())
    grid = np.arange(low * HARTREE_IN_EV - BELOW, high * HARTREE_IN_EV + ABOVE + STEP / 2, STEP)
    dos = density_of_states(spectrum, prediction.overlap, grid / HARTREE_IN_EV, BROADENING / HARTREE_IN_EV)
    per_atom = dos.per_atom().sum(axis=0) / HARTREE_IN_EV
    elements = {
        SYMBOLS[z]: per_atom[structure.numbers == z].sum(axis=0) for z in sorted(set(structure.numbers.tolist()))
    }
    return DosTable(grid, dos.total.sum(axis=0) / HARTREE_IN_EV, elements, BROADENING)
