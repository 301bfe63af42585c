"""Start a PySCF calculation from a prediction: one line, the same answer, fewer cycles."""

from __future__ import annotations

from pyscf import dft, gto

from harmose_dft import seed

WATER = "O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692"

mol = gto.M(atom=WATER, basis="def2-svp", verbose=0)
mf = dft.RKS(mol, xc="b3lyp")
mf = seed(mf)  # the one line
mf.kernel()

plain = dft.RKS(mol, xc="b3lyp").run()
print(f"energy {mf.e_tot:.9f} Hartree, difference {abs(mf.e_tot - plain.e_tot):.1e}")
print(f"{mf.cycles} cycles instead of {plain.cycles}; started from the prediction: {mf.guess.predicted}")
assert abs(mf.e_tot - plain.e_tot) < 1e-7
