"""Reciprocal lattices and meshes of k-points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SolverError

Floats = NDArray[np.float64]

SAME = 1e-9
"""Fractional coordinates closer than this are equal."""


def reciprocal_vectors(cell: Floats, periodic: Sequence[bool] | NDArray[np.bool_] = (True, True, True)) -> Floats:
    """Reciprocal vectors b_i of the lattice of the periodic vectors, in their span: b_i . a_j = 2 pi delta_ij.

    Of a layer they lie in its plane, however the third lattice vector is tilted.

    Args:
        cell: Lattice vectors as rows, Bohr, (3, 3).
        periodic: Along which of them the structure is periodic, (3,).

    Returns:
        As rows, 1/Bohr, (3, 3); zero for vectors that are not periodic.
    """
    axes = np.flatnonzero(periodic)
    vectors = np.zeros((3, 3))
    vectors[axes] = 2 * np.pi * np.linalg.pinv(cell[axes]).T
    return vectors


def monkhorst_pack(
    grid: Sequence[int], shift: Sequence[float] = (0.0, 0.0, 0.0), *, time_reversal: bool = True
) -> tuple[Floats, Floats]:
    """Uniform mesh k = (n + shift) / N, n = 0..N-1, folded into (-1/2, 1/2], with weights.

    Monkhorst and Pack's mesh (Phys. Rev. B 13, 5188 (1976)) of an even number of divisions is the one with shift 1/2;
    without shift the mesh contains Gamma.

    Args:
        grid: Divisions along the three reciprocal vectors.
        shift: In units of the mesh spacing.
        time_reversal: Keep one of k and -k with twice the weight (valid where H(-k) = H(k)^*, or where its
            eigenvalues are those of H(k)); no effect on a mesh that does not hold -k.

    Returns:
        Fractional k-points (k, 3) and weights that sum to one, (k,).

    Raises:
        SolverError: The grid is not three positive integers.
    """
    n, offset = np.asarray(grid), np.asarray(shift, dtype=np.float64)
    if n.shape != (3,) or n.dtype.kind not in "iu" or (n < 1).any() or offset.shape != (3,):
        raise SolverError(f"A mesh needs three positive integers and three shifts; got {grid!r} and {shift!r}.")
    index = np.stack(np.meshgrid(*(np.arange(m) for m in n), indexing="ij"), axis=-1).reshape(-1, 3)
    kpoints = (index + offset) / n
    kpoints -= np.ceil(kpoints - 0.5 - SAME)
    double_offset = np.round(2 * offset).astype(np.int64)
    if not time_reversal or not np.allclose(double_offset, 2 * offset, atol=SAME):
        return kpoints, np.full(len(kpoints), 1 / len(kpoints))
    inverse_index = np.ravel_multi_index(tuple(((-index - double_offset) % n).T), tuple(n))
    irreducible, counts = np.unique(np.minimum(np.arange(len(index)), inverse_index), return_counts=True)
    return kpoints[irreducible], counts / len(kpoints)
