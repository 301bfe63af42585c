"""What is computed for a structure before a model sees it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.matrix import BlockMatrix
from ..core.structure import Structure
from ..solver import Filling
from .pairs import PairList


@dataclass(frozen=True, eq=False)
class Integrals:
    """A structure with what is computed for it before a model sees it.

    Args:
        structure: The atoms.
        species: Species index of each atom, (atom,).
        pairs: Pairs within the cutoff.
        overlap: S.
        h0: H0, Hartree.
        n_electrons: Electrons.
        h0_spin: What H0 has of the matrices that depend on spin; empty: nothing.
        filling: How a crystal is filled for the density of H0, where the model sees it.
    """

    structure: Structure
    species: NDArray[np.int64]
    pairs: PairList
    overlap: BlockMatrix
    h0: BlockMatrix
    n_electrons: float
    h0_spin: tuple[BlockMatrix, ...] = ()
    filling: Filling | None = None
