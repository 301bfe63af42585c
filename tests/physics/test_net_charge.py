"""The net charge of an ion, and H0 of charged molecules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harmose_dft.adapters.pyscf import orbital_basis
from harmose_dft.core.rotations import random_rotations, rotate_matrix
from harmose_dft.core.structure import Structure
from harmose_dft.physics.h0.none import NoGaussianH0
from harmose_dft.physics.h0.sap import SapH0
from harmose_dft.physics.integrals.net_charge import net_charge_potential, share_net_charge
from harmose_dft.testing.models import water

BASIS = orbital_basis("def2-svp", (1, 8))


def charged(charge: int, k: int = 0) -> Structure:
    return replace(water(k), charge=charge)


def test_shares_add_up_to_the_charge_and_are_linear_in_it() -> None:
    single = share_net_charge(charged(1))
    assert single.sum() == pytest.approx(1.0, abs=1e-12)
    assert (single > 0.1).all()
    np.testing.assert_allclose(share_net_charge(charged(-2)), -2 * single, atol=1e-12)
    np.testing.assert_array_equal(share_net_charge(water(0)), 0)


def test_equal_atoms_far_apart_share_equally() -> None:
    pair = Structure(np.array([8, 8]), np.array([[0, 0, 0], [0, 0, 200.0]]), charge=1)
    np.testing.assert_allclose(share_net_charge(pair), [0.5, 0.5], atol=1e-12)


def test_an_electron_far_away_sees_a_point_charge() -> None:
    """On a hydrogen atom 60 Bohr away the matrix is S times the potential of the ion."""
    ion = charged(1)
    positions = np.append(ion.positions, ion.positions[:1] + np.array([[0, 0, 60.0]]), axis=0)
    far = Structure(np.append(ion.numbers, 1), positions, charge=1)
    shares, distances = share_net_charge(far), np.linalg.norm(far.positions[:3] - far.positions[3], axis=1)
    potential = net_charge_potential(far, BASIS)
    s = slice(len(potential) - 5, len(potential) - 4)  # the contracted 1s
    alone = Structure(far.numbers[3:], far.positions[3:], charge=1)
    of_itself = net_charge_potential(alone, BASIS)[:1, :1] * shares[3]
    np.testing.assert_allclose(potential[s, s] - of_itself, -(shares[:3] / distances).sum(), atol=1e-4)


def test_ions_are_deeper_and_h0_is_covariant() -> None:
    h0 = SapH0(BASIS)
    neutral, cation, anion = (h0(charged(q)).to_dense() for q in (0, 1, -1))
    assert np.trace(cation) < np.trace(neutral) < np.trace(anion)
    np.testing.assert_allclose(cation - neutral, neutral - anion, atol=1e-12)
    rotation = random_rotations(1)[0]
    turned = rotate_matrix(h0(charged(1)), water(0).numbers, BASIS, rotation).to_dense()
    np.testing.assert_allclose(h0(charged(1).rotate(rotation)).to_dense(), turned, atol=1e-10)


def test_no_h0_stays_zero() -> None:
    assert not NoGaussianH0(BASIS)(charged(1)).to_dense().any()
