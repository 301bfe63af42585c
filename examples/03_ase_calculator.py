"""Relax a molecule in ASE with self-consistent forces; every SCF starts from a prediction."""

from __future__ import annotations

from ase.build import molecule
from ase.optimize import BFGS

from harmose_dft import HarmoseCalculator

atoms = molecule("H2O")
atoms.calc = HarmoseCalculator(mode="scf", grid_level=1)
BFGS(atoms).run(fmax=0.05, steps=4)
print(f"{atoms.get_potential_energy():.4f} eV after {atoms.calc.results['fock_builds']} Fock builds in the last step")
print(f"HOMO-LUMO gap {atoms.calc.results['gap']:.2f} eV, dipole {atoms.get_dipole_moment().round(3)} e*Angstrom")

# Without self-consistency: the energy of the predicted density, and the predicted levels.
atoms.calc = HarmoseCalculator(mode="oneshot", grid_level=1)
print(f"one shot: {atoms.get_potential_energy():.4f} eV, gap {atoms.calc.results['gap']:.2f} eV")
