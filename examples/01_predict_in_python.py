"""Predict the orbitals of a molecule with the bundled model."""

from __future__ import annotations

from ase.build import molecule

import harmose_dft
from harmose_dft.core.units import HARTREE_IN_EV

prediction = harmose_dft.predict(molecule("CH3CH2OH"))
print(prediction)

# Everything is in Hartree and Bohr; eV for the eye.
spectrum = prediction.spectrum
print(f"HOMO {spectrum.homo * HARTREE_IN_EV:.2f} eV, LUMO {spectrum.lumo * HARTREE_IN_EV:.2f} eV")
print("Hamiltonian", prediction.hamiltonian.to_dense().shape, "density matrix", spectrum.density_matrix().shape)
assert prediction.trust is not None
print("how far to trust it:", prediction.trust.in_words)
