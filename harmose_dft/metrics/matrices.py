"""Errors of matrix elements: gauge alignment and sums per pair of shells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import running_sum
from ..core.basis import OrbitalBasis
from ..core.errors import BasisMismatchError
from ..core.matrix import BlockMatrix
from ..core.structure import SYMBOLS

Array = NDArray[Any]
Matrices = BlockMatrix | Sequence[BlockMatrix]


def as_tuple(matrices: Matrices) -> tuple[BlockMatrix, ...]:
    """One matrix per spin direction."""
    return (matrices,) if isinstance(matrices, BlockMatrix) else tuple(matrices)


def gauge_shift(difference: Array, overlap: Array) -> float:
    """The mu for which the sum of |difference - mu S| is smallest: H and H + mu S describe one crystal.

    It is the weighted median of difference / S with weights |S|; for complex matrices, of the real part.

    Args:
        difference: Matrix elements in Hartree.
        overlap: The same elements of S.

    Returns:
        mu in Hartree; zero where S vanishes.
    """
    d, s = np.real(difference).ravel(), np.real(overlap).ravel()
    d, s = d[s != 0], s[s != 0]
    if len(s) == 0:
        return 0.0
    ratio, weight = d / s, np.abs(s)
    order = np.argsort(ratio)
    median_index = np.searchsorted(np.cumsum(weight[order]), 0.5 * weight.sum())
    return float(ratio[order[min(int(median_index), len(order) - 1)]])


def spin_overlap(overlap: BlockMatrix, reference: BlockMatrix) -> BlockMatrix:
    """The overlap on the pairs of another matrix, as S kron 1_2 where that one is a spinor matrix."""
    return (overlap.with_spin() if reference.spinor else overlap).on_pairs_of(reference)


def matrix_difference(prediction: Matrices, reference: Matrices) -> tuple[BlockMatrix, ...]:
    """Prediction minus reference on the union of their pairs, per spin direction.

    Raises:
        BasisMismatchError: They hold different numbers of spin directions.
    """
    predicted, expected = as_tuple(prediction), as_tuple(reference)
    if len(predicted) != len(expected):
        raise BasisMismatchError(
            f"The prediction has {len(predicted)} spin directions; the reference has {len(expected)}."
        )
    return tuple(a - b for a, b in zip(predicted, expected, strict=True))


def aligned_difference(
    difference: Sequence[BlockMatrix], overlap: BlockMatrix
) -> tuple[tuple[BlockMatrix, ...], float]:
    """The difference after the best common shift mu S (1-norm), and mu in Hartree."""
    on_pairs = [spin_overlap(overlap, d).values for d in difference]
    mu = gauge_shift(np.concatenate([d.values for d in difference]), np.concatenate(on_pairs))
    aligned = tuple(d.with_values(d.values - mu * s) for d, s in zip(difference, on_pairs, strict=True))
    return aligned, mu


class BlockErrors:
    """Sums of absolute errors per (element, shell) x (element, shell), over as many matrices as are added.

    Args:
        basis: Shells per element; "C s1" is the first s shell of carbon.
    """

    def __init__(self, basis: OrbitalBasis) -> None:
        self.labels: list[str] = []
        self._start: dict[int, int] = {}
        self._shell_starts: dict[int, NDArray[np.int64]] = {}
        for z in basis.elements:
            ls = basis.angular_momenta(z)
            self._start[z] = len(self.labels)
            self._shell_starts[z] = running_sum([2 * l + 1 for l in ls]).astype(np.int64)
            self.labels += [f"{SYMBOLS[z]} {'spdfghi'[l]}{ls[: n + 1].count(l)}" for n, l in enumerate(ls)]
        self.sums = np.zeros((len(self.labels), len(self.labels)))
        self.counts = np.zeros_like(self.sums)

    def add(self, difference: BlockMatrix, numbers: NDArray[np.int64]) -> None:
        """Add the errors of one matrix of a structure with these atomic numbers."""
        spins = 2 if difference.spinor else 1
        errors = np.abs(difference.values)
        for edges, index in difference.groups(numbers):
            zi, zj = (int(numbers[a]) for a in difference.pairs[edges[0]])
            rows, columns = self._shell_starts[zi], self._shell_starts[zj]
            block = errors[index].sum(axis=0).reshape(spins, rows[-1], spins, columns[-1]).sum(axis=(0, 2))
            sums = np.add.reduceat(np.add.reduceat(block, rows[:-1], axis=0), columns[:-1], axis=1)
            block_slice = np.s_[
                self._start[zi] : self._start[zi] + len(rows) - 1, self._start[zj] : self._start[zj] + len(columns) - 1
            ]
            self.sums[block_slice] += sums
            self.counts[block_slice] += len(edges) * spins**2 * np.outer(np.diff(rows), np.diff(columns))

    def mean(self) -> dict[str, float]:
        """Mean absolute error in Hartree of every pair of shells that occurs, both orders taken together."""
        sums, counts = (a + a.T for a in (self.sums, self.counts))
        return {
            f"{a} - {self.labels[m]}": float(sums[n, m] / counts[n, m])
            for n, a in enumerate(self.labels)
            for m in range(n, len(self.labels))
            if counts[n, m] > 0
        }


class ElementErrors:
    """Sums of absolute errors of on-site blocks per element, and of pair blocks per pair of elements."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, ...], float] = {}
        self.counts: dict[tuple[int, ...], int] = {}

    def add(self, difference: BlockMatrix, numbers: NDArray[np.int64]) -> None:
        """Add the errors of one matrix of a structure with these atomic numbers."""
        on_site = (difference.pairs[:, 0] == difference.pairs[:, 1]) & ~difference.shifts.any(axis=1)
        for edges, index in difference.groups(numbers):
            zi, zj = (int(numbers[a]) for a in difference.pairs[edges[0]])
            errors = np.abs(difference.values[index])
            for key, selected in (((zi,), on_site[edges]), ((min(zi, zj), max(zi, zj)), ~on_site[edges])):
                if selected.any():
                    self.sums[key] = self.sums.get(key, 0.0) + float(errors[selected].sum())
                    self.counts[key] = self.counts.get(key, 0) + errors[selected].size

    def mean(self) -> dict[str, float]:
        """Mean absolute error in Hartree by "C" (on-site blocks) and "C-N" (pair blocks), in the order of Z."""
        keys = sorted(self.sums, key=lambda key: (len(key), key))
        return {"-".join(SYMBOLS[z] for z in key): self.sums[key] / self.counts[key] for key in keys}
