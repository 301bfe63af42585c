"""A basis can be copied, pickled, and changed by nobody."""

from __future__ import annotations

import copy
import pickle

import pytest

from harmose_dft.adapters.pyscf import orbital_basis
from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.core.errors import HarmoseError


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))])
def test_copied_basis_is_equal_and_still_read_only(again) -> None:  # type: ignore[no-untyped-def]
    basis = orbital_basis("def2-svp", [1, 8])
    other: OrbitalBasis = again(basis)
    assert other == basis
    assert other.name == "def2-svp"
    assert [other.label(z) for z in other.elements] == ["2s1p", "3s2p1d"]
    with pytest.raises(TypeError):
        other.shells[1] = ()  # type: ignore[index]


def test_more_orbitals_than_an_element_can_have_are_refused() -> None:
    with pytest.raises(HarmoseError, match="1001 orbitals of an element; expected at most 1000"):
        OrbitalBasis("endless", {1: (Shell(0),) * 1001})


def test_orbitals_have_values_in_space_where_every_shell_of_the_elements_has_a_radial_function() -> None:
    gaussian = orbital_basis("def2-svp", [1]).shells[1]
    basis = OrbitalBasis("mixed", {1: gaussian, 8: (Shell(0), *gaussian)})
    assert basis.has_radial([1, 1])
    assert not basis.has_radial([1, 8])
