"""A structure's identity, by content."""

from __future__ import annotations

import hashlib

import numpy as np

from ..core.structure import Structure

POSITION_DECIMALS = 7
"""Positions (Bohr) that agree to this many decimals count as equal; text formats keep about eight."""


def structure_id(structure: Structure) -> str:
    """First 32 hex digits of the sha256 of atoms, positions, cell, charge and spin; the name does not count.

    Args:
        structure: The atoms, in order.
    """
    digest = hashlib.sha256(f"{structure.charge} {structure.spin};".encode())
    digest.update(structure.numbers.astype("<i8").tobytes())
    for array in (structure.positions, structure.cell):
        if array is not None:
            digest.update((np.round(array, POSITION_DECIMALS) + 0.0).astype("<f8").tobytes())
    return digest.hexdigest()[:32]
