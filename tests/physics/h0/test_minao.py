"""H0 from one Fock build: agreement with PySCF's first SCF cycle."""

from __future__ import annotations

import numpy as np

from harmose_dft.adapters import pyscf as adapter
from harmose_dft.core.structure import Structure
from harmose_dft.physics.h0.minao import MinaoH0

BASIS = adapter.orbital_basis("def2-svp", [1, 8])
WATER = Structure(np.array([8, 1, 1]), np.array([[0.1, 0.0, 0.2], [0.0, 1.4, 1.3], [0.3, -1.5, 1.2]]))


def test_minao_is_the_fock_matrix_of_the_first_scf_cycle() -> None:
    mf = adapter.kohn_sham(adapter.to_mole(WATER, "def2-svp"), "b3lyp", 3)
    expected = mf.get_fock(dm=mf.get_init_guess(key="minao"))
    got = MinaoH0(BASIS, "b3lyp").dense(WATER)
    np.testing.assert_allclose(got, adapter.to_ours(expected, BASIS, WATER.numbers), atol=1e-10)
