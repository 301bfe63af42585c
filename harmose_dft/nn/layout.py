"""Padded orbital layout: every element's shells as slots of one common block.

Blocks of all element pairs are handled as (n, n) arrays over the same slots, ordered by l, then by the index of the
shell among those of equal l, then m = -l..l. Slots that an element lacks are masked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.arrays import running_sum
from ..core.basis import OrbitalBasis

ParameterLabels = Mapping[str, Mapping[int, Sequence[object]]]
"""Name of a parameter -> dimension -> what each of its rows is about (an element, a pair of them, an orbital, a
component of a block). Layers that hold parameters for each element or orbital list them in a method ``labels``, by
which a model is extended to more elements (:mod:`harmose_dft.model.extension`)."""


@dataclass(frozen=True, eq=False)
class OrbitalLayout:
    """Slots that hold the shells of every element of a basis.

    Args:
        slots: Angular momentum of each slot, ascending.
        elements: Atomic numbers; their positions are the species indices.
        orbital_index: For each species the slot component of each of its orbitals.
    """

    slots: tuple[int, ...]
    elements: tuple[int, ...]
    orbital_index: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, basis: OrbitalBasis) -> OrbitalLayout:
        """The smallest layout that holds every element of a basis."""
        per_element = {z: list(basis.angular_momenta(z)) for z in basis.elements}
        l_max = max(max(ls) for ls in per_element.values())
        slots = tuple(l for l in range(l_max + 1) for _ in range(max(ls.count(l) for ls in per_element.values())))
        offsets = running_sum([2 * l + 1 for l in slots])
        index = []
        for ls in per_element.values():
            count_of_l: dict[int, int] = {}
            orbital_slots = []
            for l in ls:
                slot = slots.index(l) + count_of_l.get(l, 0)
                count_of_l[l] = count_of_l.get(l, 0) + 1
                orbital_slots.append(np.arange(offsets[slot], offsets[slot + 1]))
            index.append(np.concatenate(orbital_slots))
        return cls(slots, tuple(per_element), tuple(index))

    @property
    def size(self) -> int:
        """Width n of a padded block."""
        return sum(2 * l + 1 for l in self.slots)

    @property
    def l_max(self) -> int:
        """Highest angular momentum of a slot."""
        return self.slots[-1]

    def species(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Species index of each atom, (atom,)."""
        lookup = {z: k for k, z in enumerate(self.elements)}
        return np.array([lookup[int(z)] for z in numbers], dtype=np.int64)

    def masks(self) -> NDArray[np.bool_]:
        """Which slot components each species has, (species, n)."""
        mask = np.zeros((len(self.elements), self.size), dtype=bool)
        for k, index in enumerate(self.orbital_index):
            mask[k, index] = True
        return mask

    def slot_labels(self) -> list[tuple[int, int]]:
        """Angular momentum of each slot, and its place among those of the same one."""
        return [(l, self.slots[:k].count(l)) for k, l in enumerate(self.slots)]

    def labels(self) -> list[tuple[int, int, int]]:
        """Slot label and m of each component of a padded block's rows, (n,)."""
        return [(l, k, m) for l, k in self.slot_labels() for m in range(-l, l + 1)]

    def pair_labels(self) -> list[tuple[int, int]]:
        """Atomic numbers of every pair of elements, in the order of tables by pairs."""
        return [(a, b) for a in self.elements for b in self.elements]

    def slot_of_component(self) -> NDArray[np.int64]:
        """Slot number of each component, (n,)."""
        return np.repeat(np.arange(len(self.slots)), [2 * l + 1 for l in self.slots])

    def per_shell_pair(self, blocks: NDArray[np.float64]) -> NDArray[np.float64]:
        """Average over the components of each pair of slots, spread over them again, (..., n, n)."""
        slot = np.eye(len(self.slots))[self.slot_of_component()]
        spread = slot / slot.sum(axis=0)
        return np.asarray(slot @ (spread.T @ blocks @ spread) @ slot.T)
