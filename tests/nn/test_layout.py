"""Orbital slots of a basis."""

from __future__ import annotations

from harmose_dft.core.basis import OrbitalBasis, Shell
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, SHELLS

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


def test_layout_holds_elements_with_different_shell_orders() -> None:
    basis = OrbitalBasis("mixed", {1: (Shell(1), Shell(0)), 2: (Shell(0), Shell(0))})
    layout = OrbitalLayout.of(basis)
    assert layout.slots == (0, 0, 1)
    assert [i.tolist() for i in layout.orbital_index] == [[2, 3, 4, 0], [0, 1]]
    assert set(SHELLS) == set(BASIS.elements)
