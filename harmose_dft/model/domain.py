"""Where a model may be trusted: elements, distances and atomic environments of its training set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DomainError
from ..core.structure import SYMBOLS, Structure, format_charge
from ..core.units import BOHR_IN_ANGSTROM

RADII = (2.0, 3.0, 4.2, 6.0)
"""Centres in Bohr of the radial functions that describe an environment."""

REACH = 9.0
"""Bohr; neighbours beyond it do not count as environment."""

CLOSEST = 0.85
"""Pairs closer than this fraction of the closest training pair are refused."""

RIDGE = 1e-3
"""Added to the variance of every descriptor."""

QUANTILE = 0.99
"""Training environments up to this quantile have a distance of at most one."""

LONE = 5.0
"""Bohr; an atom without a neighbour within it stands alone: a free atom, or a molecule torn apart."""

UNUSUAL = 1.5
"""Atoms at a larger distance count as unusual."""

FAR, NEIGHBOURS = 3.0, 0.5
"""Atoms at a larger distance, in whose descriptor a value differs from the training mean by more than so many
neighbours, are far outside the training set: what is predicted there is extrapolated. The second bound keeps training
sets of a few like structures, whose variance is too small, from putting everything far away."""


@dataclass(frozen=True)
class DomainReport:
    """How far a structure is from the training set.

    Args:
        environment_distance: Largest over atoms; 1 is the 99 % quantile of training atoms.
        unusual_atoms: Atoms far from the training set, by symbol and 1-based index ("C3").
        unseen_pairs: Neighbouring elements that no training structure had near each other ("C-Cl").
        atoms_relative_to_training: Number of atoms divided by that of the largest training structure.
        far_atoms: Those of the unusual atoms that are far outside the training set.
    """

    environment_distance: float
    unusual_atoms: tuple[str, ...]
    unseen_pairs: tuple[str, ...]
    atoms_relative_to_training: float
    far_atoms: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class TrainingDomain:
    """Statistics of a training set.

    Args:
        closest: (z1, z2) with z1 <= z2 -> shortest distance in Bohr.
        mean: Element -> mean environment descriptor, (feature,).
        precision: Element -> inverse covariance of the descriptor divided by the squared distance at the quantile.
        largest: Largest number of atoms.
        charges: Net charges, ascending.
    """

    closest: Mapping[tuple[int, int], float]
    mean: Mapping[int, NDArray[np.float64]]
    precision: Mapping[int, NDArray[np.float64]]
    largest: int
    charges: tuple[int, ...] = (0,)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers, ascending."""
        return tuple(sorted(self.mean))

    @classmethod
    def of(cls, structures: Iterable[Structure]) -> TrainingDomain:
        """Statistics of structures."""
        structures = list(structures)
        elements = sorted({int(z) for s in structures for z in s.numbers})
        closest: dict[tuple[int, int], float] = {}
        by_element: dict[int, list[NDArray[np.float64]]] = {z: [] for z in elements}
        for s in structures:
            for pair, distance in _closest(s).items():
                closest[pair] = min(distance, closest.get(pair, np.inf))
            for z, row in zip(s.numbers.tolist(), environments(s, elements), strict=True):
                by_element[z].append(row)
        mean, precision = {}, {}
        for z, rows in by_element.items():
            matrix = np.array(rows)
            mean[z] = matrix.mean(axis=0)
            centred = matrix - mean[z]
            inverse = np.linalg.inv(centred.T @ centred / len(matrix) + RIDGE * np.eye(matrix.shape[1]))
            squared = np.einsum("af,fg,ag->a", centred, inverse, centred)
            precision[z] = inverse / max(float(np.quantile(squared, QUANTILE)), 1e-12)
        charges = tuple(sorted({s.charge for s in structures}))
        return cls(closest, mean, precision, max(len(s) for s in structures), charges)

    def check(self, structure: Structure) -> None:
        """Refuse a structure with unknown elements, another net charge, or atoms too close.

        Raises:
            DomainError: With what is outside.
        """
        unknown_elements = sorted({SYMBOLS[z] for z in structure.numbers.tolist() if z not in self.mean})
        if unknown_elements:
            raise DomainError(
                f"{structure.formula} contains {', '.join(unknown_elements)}; the model was trained on "
                f"{', '.join(SYMBOLS[z] for z in self.elements)} only. Train a model that covers the element."
            )
        if structure.charge not in self.charges:
            raise DomainError(
                f"{structure.formula} has charge {format_charge(structure.charge)}; the model was trained on "
                f"{describe_charges(self.charges)}. Correct the charge, or train a model on such ions."
            )
        for (a, b), distance in _closest(structure).items():
            nearest = self.closest.get((a, b))
            if nearest is not None and distance < CLOSEST * nearest:
                raise DomainError(
                    f"{structure.formula} has {SYMBOLS[a]} and {SYMBOLS[b]} atoms {distance * BOHR_IN_ANGSTROM:.2f} "
                    f"Angstrom apart; the shortest such distance in training was {nearest * BOHR_IN_ANGSTROM:.2f} "
                    "Angstrom. Are the coordinates in Angstrom? Otherwise this bond is new to the model."
                )

    def report(self, structure: Structure) -> DomainReport:
        """Measure how far a structure is from the training set."""
        numbers = structure.numbers.tolist()
        changes = environments(structure, self.elements) - np.array([self.mean[z] for z in numbers])
        squared = (change @ self.precision[z] @ change for z, change in zip(numbers, changes, strict=True))
        distances = np.sqrt(np.array(list(squared)))
        is_far = (distances > FAR) & (np.abs(changes).max(axis=1) > NEIGHBOURS)
        unseen = sorted(f"{SYMBOLS[a]}-{SYMBOLS[b]}" for a, b in _closest(structure) if (a, b) not in self.closest)
        return DomainReport(
            environment_distance=float(distances.max()),
            unusual_atoms=_name_atoms(structure, distances > UNUSUAL),
            unseen_pairs=tuple(unseen),
            atoms_relative_to_training=len(structure) / self.largest,
            far_atoms=_name_atoms(structure, is_far),
        )

    @property
    def in_words(self) -> str:
        """What the model was trained on, in a sentence or two."""
        z = self.elements
        unseen = [f"{SYMBOLS[a]}-{SYMBOLS[b]}" for i, a in enumerate(z) for b in z[i:] if (a, b) not in self.closest]
        apart = f" Never near each other in training: {', '.join(unseen)}." if unseen else ""
        return (
            f"{describe_charges(self.charges)}, of {', '.join(SYMBOLS[e] for e in z)}, with up to {self.largest} atoms "
            f"in training.{apart}"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable description."""
        return {
            "closest_bohr": {f"{a}-{b}": d for (a, b), d in sorted(self.closest.items())},
            "mean": {str(z): v.tolist() for z, v in self.mean.items()},
            "precision": {str(z): v.tolist() for z, v in self.precision.items()},
            "largest": self.largest,
            "charges": list(self.charges),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainingDomain:
        """Inverse of :meth:`to_dict`."""
        closest = {tuple(int(x) for x in k.split("-")): float(v) for k, v in data["closest_bohr"].items()}
        return cls(
            closest={(k[0], k[1]): v for k, v in closest.items()},
            mean={int(z): np.asarray(v) for z, v in data["mean"].items()},
            precision={int(z): np.asarray(v) for z, v in data["precision"].items()},
            largest=int(data["largest"]),
            charges=tuple(int(q) for q in data.get("charges", (0,))),
        )


def describe_charges(charges: Sequence[int]) -> str:
    """Net charges in words: "neutral structures only", or "structures of charge -1, 0, +1"."""
    if tuple(charges) == (0,):
        return "neutral structures only"
    return f"structures of charge {', '.join(map(format_charge, charges))}"


def lone_atoms(structure: Structure) -> tuple[str, ...]:
    """Atoms without a neighbour within :data:`LONE`, by symbol and 1-based index ("C3")."""
    _, bound, _ = _distances(structure, LONE)
    alone = np.setdiff1d(np.arange(len(structure)), bound)
    return _name_atoms(structure, alone)


def _name_atoms(structure: Structure, selected: NDArray[np.bool_] | NDArray[np.int64]) -> tuple[str, ...]:
    """Symbol and 1-based index of the atoms of a mask or of indices."""
    indices = np.arange(len(structure))[selected]
    return tuple(f"{structure.symbols[i]}{i + 1}" for i in indices.tolist())


def environments(structure: Structure, elements: Sequence[int]) -> NDArray[np.float64]:
    """Descriptor of each atom's environment: Gaussians of the distances to the neighbours of each element.

    Returns:
        (atom, len(elements) * len(RADII)).
    """
    distances, i, j = _distances(structure, REACH)
    weights = (1.0 - (distances / REACH) ** 2) ** 2
    radial = np.exp(-((distances[:, None] - np.array(RADII)) ** 2)) * weights[:, None]
    out = np.zeros((len(structure), len(elements), len(RADII)))
    lookup = {z: k for k, z in enumerate(elements)}
    kinds = np.array([lookup.get(int(z), -1) for z in structure.numbers], dtype=np.int64)
    in_elements = kinds[j] >= 0
    np.add.at(out, (i[in_elements], kinds[j][in_elements]), radial[in_elements])
    return out.reshape(len(structure), -1)


def _distances(
    structure: Structure, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Distances up to a reach with both atoms, periodic images included."""
    from ..physics.integrals.neighbours import neighbour_pairs

    pairs, shifts = neighbour_pairs(structure, np.full(len(structure), reach / 2))
    distance = np.linalg.norm(structure.pair_vectors(pairs, shifts), axis=1)
    is_pair = (pairs[:, 0] != pairs[:, 1]) | (shifts != 0).any(axis=1)
    return distance[is_pair], pairs[is_pair, 0], pairs[is_pair, 1]


def _closest(structure: Structure) -> dict[tuple[int, int], float]:
    """Shortest distance of each pair of elements within the reach."""
    distances, i, j = _distances(structure, REACH)
    shortest: dict[tuple[int, int], float] = {}
    kinds = np.sort(np.stack([structure.numbers[i], structure.numbers[j]], axis=1), axis=1)
    for pair in np.unique(kinds, axis=0) if len(kinds) else []:
        shortest[int(pair[0]), int(pair[1])] = float(distances[(kinds == pair).all(axis=1)].min())
    return shortest
