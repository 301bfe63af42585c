"""Orbital conventions of the codes, as data.

Ours: real spherical harmonics Y_lm with the polar axis z, no Condon-Shortley phase, m = -l..l inside a shell
(``m < 0`` is the sine, ``m > 0`` the cosine type: p = y, z, x). A convention lists, for every l, the m value and the
sign of each of the code's components, in the code's order: ``code[k] = sign[k] * ours[m[k]]``.

Each row is proved by a test that compares overlaps (``tests/test_conventions.py`` and the tests of the adapters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .errors import HarmoseError

Component = tuple[int, int]
"""(m, sign) of one component of a shell."""

MAX_L = 4
"""Highest angular momentum in the tables (g)."""


@dataclass(frozen=True)
class OrbitalConvention:
    """Order and sign of the components of a shell in one code.

    Args:
        name: Name of the code.
        components: For each l, the (m, sign) of the code's components in the code's order.
        spin_fastest: Whether spinor matrices interleave spin (orbital-major) rather than stack it.
    """

    name: str
    components: MappingProxyType[int, tuple[Component, ...]]
    spin_fastest: bool = False

    def to_ours(self, shells: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Index and sign such that ``ours = sign * code[index]`` for a run of shells.

        Args:
            shells: Angular momenta of the shells, in order.

        Returns:
            ``index`` (ao,) and ``sign`` (ao,).

        Raises:
            HarmoseError: An angular momentum is not in the table.
        """
        index: list[int] = []
        sign: list[int] = []
        offset = 0
        for l in shells:
            if l not in self.components:
                raise HarmoseError(
                    f"The orbital convention of {self.name} has no entry for l = {l}; it knows l = "
                    f"{sorted(self.components)}. Add the row to harmose_dft/core/conventions.py with a test."
                )
            source_of = {m: (k, s) for k, (m, s) in enumerate(self.components[l])}
            for m in range(-l, l + 1):
                index.append(offset + source_of[m][0])
                sign.append(source_of[m][1])
            offset += 2 * l + 1
        return np.asarray(index, dtype=np.int64), np.asarray(sign, dtype=np.float64)

    def from_ours(self, shells: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Index and sign such that ``code = sign * ours[index]``; the inverse of :meth:`to_ours`."""
        index, sign = self.to_ours(shells)
        inverse = np.argsort(index)
        return inverse, sign[inverse]


def _row(*components: int | Component) -> tuple[Component, ...]:
    return tuple((c, 1) if isinstance(c, int) else c for c in components)


def _ascending(l: int) -> tuple[Component, ...]:
    return _row(*range(-l, l + 1))


def _alternating(l: int) -> tuple[Component, ...]:
    """m = 0, +1, -1, +2, -2, ... with the sign (-1)^m."""
    order = [0] + [s * m for m in range(1, l + 1) for s in (1, -1)]
    return tuple((m, -1 if m % 2 else 1) for m in order)


OURS = OrbitalConvention("harmose_dft", MappingProxyType({l: _ascending(l) for l in range(MAX_L + 1)}))

PYSCF = OrbitalConvention(
    "pyscf", MappingProxyType({0: _row(0), 1: _row(1, -1, 0), **{l: _ascending(l) for l in range(2, MAX_L + 1)}})
)
"""PySCF, spherical: p = x, y, z; d and higher m = -l..l."""

OPENMX = OrbitalConvention(
    "openmx",
    MappingProxyType(
        {
            0: _row(0),
            1: _row(1, -1, 0),
            2: _row(0, 2, -2, 1, -1),
            3: _row(0, 1, -1, 2, -2, 3, -3),
        }
    ),
)
"""OpenMX: px py pz; d3z2-r2 dx2-y2 dxy dxz dyz; f5z2-3r2 f5xz2 f5yz2 fz(x2-y2) fxyz fx3-3xy2 f3yx2-y3."""

ABACUS = OrbitalConvention(
    "abacus", MappingProxyType({l: _alternating(l) for l in range(MAX_L + 1)}), spin_fastest=True
)
"""ABACUS: m = 0, +1, -1, +2, -2, ... with the sign (-1)^m; spinor matrices have spin as the fastest index."""

MOLDEN = OrbitalConvention(
    "molden",
    MappingProxyType(
        {
            0: _row(0),
            1: _row(1, -1, 0),
            **{l: _row(0, *(s * m for m in range(1, l + 1) for s in (1, -1))) for l in range(2, MAX_L + 1)},
        }
    ),
)
"""Molden files: p = x, y, z; d and higher m = 0, +1, -1, +2, -2, ..."""

ORCA = OrbitalConvention("orca", MappingProxyType({0: _row(0), 1: _row(0, 1, -1), 2: _row(0, 1, -1, 2, -2)}))
"""ORCA: pz px py; dz2 dxz dyz dx2-y2 dxy. (From f on, ORCA flips the signs of |m| >= 3.)"""

CONVENTIONS = MappingProxyType({c.name: c for c in (OURS, PYSCF, OPENMX, ABACUS, MOLDEN, ORCA)})

E3NN_AXES = [1, 2, 0]
"""Cartesian axes (y, z, x). e3nn's harmonics have the polar axis y; on ``r[:, E3NN_AXES]`` their order is ours."""
