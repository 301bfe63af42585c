"""Draw the levels and frontier orbitals of a Hamiltonian, here PySCF's own; no model is involved.

Writes levels.png and formaldehyde.molden into the current folder.
"""

from __future__ import annotations

import numpy as np

from harmose_dft.adapters.pyscf import reference
from harmose_dft.core.structure import Structure
from harmose_dft.output import write_molden
from harmose_dft.plots import LevelColumn, draw_orbital, plot_levels
from harmose_dft.solver import solve

# Formaldehyde, positions in Bohr.
formaldehyde = Structure(
    numbers=np.array([6, 8, 1, 1]),
    positions=np.array([[0.0, 0.0, -1.0], [0.0, 0.0, 1.28], [0.0, 1.77, -2.1], [0.0, -1.77, -2.1]]),
)
record = reference(formaldehyde, xc="b3lyp", basis="def2-svp")
spectrum = solve(record.hamiltonian[0], record.overlap, record.n_electrons)
print(spectrum)

homo = int(spectrum.occupied.sum()) - 1
pictures = [
    (name, draw_orbital(formaldehyde, record.basis, spectrum.coefficients[:, n]))
    for name, n in (("LUMO", homo + 1), ("HOMO", homo))
]
plot_levels([LevelColumn("B3LYP/def2-SVP", spectrum)], "levels.png", pictures=pictures, force=True)
write_molden("formaldehyde.molden", formaldehyde, record.basis, spectrum, force=True)
