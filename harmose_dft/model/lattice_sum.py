"""The potential of the charges of a large cell: phases are products of three, and sums over atoms matrix products."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .waves import most_counts, wave_weights

Floats = NDArray[np.float64]


def sum_over_lattice(
    charges: Floats, dipoles: Floats, positions: Floats, cell: Floats
) -> tuple[Floats, Floats]:
    """The potential at the atoms and its gradient, those of :func:`harmose_dft.nn.lattice.potential_of_waves`.

    exp(i G.r) is a product of one factor for each direction of the reciprocal lattice, and G.p is linear in the three
    counts of G: five products of (atom, counts) matrices for each count along the first direction, in single precision.

    Args:
        charges: (atom,).
        dipoles: (atom, 3).
        positions: Bohr, (atom, 3).
        cell: Lattice vectors in rows, Bohr.

    Returns:
        Hartree, (atom,), and Hartree/Bohr, (atom, 3), of a unit charge.
    """
    # The direction of the fewest waves is the one whose products with the first are worked out atom by atom.
    order = np.argsort(most_counts(cell))[[1, 0, 2]]
    reciprocal = 2.0 * np.pi * np.linalg.inv(cell[order]).T
    first, second, third = (np.arange(-m, m + 1) for m in most_counts(cell)[order])
    fractions = 2.0 * np.pi * (positions @ np.linalg.inv(cell[order]))
    along_second, along_third = (
        np.exp(1j * fractions[:, [k]] * counts).astype(np.complex64) for k, counts in ((1, second), (2, third))
    )
    moments = dipoles @ reciprocal.T
    value, slopes = np.zeros(len(charges)), np.zeros((len(charges), 3))
    for n in first[first >= 0]:
        waves = n * reciprocal[0] + second[:, None, None] * reciprocal[1] + third[:, None] * reciprocal[2]
        weights = wave_weights(waves, cell)
        if n == 0:  # of G and -G one counts
            weights = weights * ((second[:, None] > 0) | ((second[:, None] == 0) & (third > 0)))
        phases = np.exp(1j * n * fractions[:, 0]).astype(np.complex64)[:, None] * along_second
        back = phases.conj()

        def factor(amounts: NDArray[np.number], back: NDArray[np.complex64] = back) -> NDArray[np.complex64]:
            product: NDArray[np.complex64] = (back * amounts.astype(np.complex64)[:, None]).T @ along_third.conj()
            return product

        factors = factor(charges - 1j * n * moments[:, 0])
        factors -= 1j * (second[:, None] * factor(moments[:, 1]) + factor(moments[:, 2]) * third)
        amplitudes = (weights * factors).astype(np.complex64).T
        terms = phases * (along_third @ amplitudes)
        total = terms.sum(axis=1)
        value += total.real
        slopes[:, 0] -= n * total.imag
        slopes[:, 1] -= (terms @ second.astype(np.complex64)).imag
        slopes[:, 2] -= (phases * (along_third @ (third[:, None] * amplitudes).astype(np.complex64))).sum(axis=1).imag
    return value, slopes @ reciprocal
