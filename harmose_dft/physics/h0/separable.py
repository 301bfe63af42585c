"""H0 of crystals fitted to calculations: the kinetic energy and a separable potential on every atom.

H0 = T + mu S + sum_A sum_l sum_kk' D_l,kk'(Z_A) sum_m |beta_lkm A> <beta_lk'm A|.

The functions beta and the sum over atoms, which has terms of one, two and three centres, are those of
:mod:`harmose_dft.physics.integrals.projectors`. The symmetric matrices D_l(Z) stand for everything that an atom does to
electrons nearby: its pseudopotential, and the Hartree, exchange and correlation potential of its density. They are
fitted to Kohn-Sham matrices by least absolute deviations, sixty numbers for an element. H0 is exactly covariant.

Of calculations with spin-orbit coupling the matrices A_y, A_z, A_x (:mod:`harmose_dft.core.spin`) are fitted too, with
the angular momentum between functions of equal l: sum_A sum_l sum_kk' D^so_l,kk'(Z_A) |beta_lk A> L_q <beta_lk' A|.
Collinear spin has no such part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.errors import DataError, DomainError
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.structure import SYMBOLS, Structure
from ..integrals import kinetic, orbital_cutoffs, overlap, zero_matrix
from ..integrals.projectors import Projectors, separable, surroundings
from .base import H0Settings, NumericalH0, choose_holding, untrained_elements
from .separable_equations import (
    AXES,
    SPIN_ORBIT_L_MAX,
    Equations,
    Linear,
    momentum,
    solve_equations,
    subtract_potentials,
    unpack_potentials,
)

Floats = NDArray[np.float64]

RADIUS = 0.8
"""Radius at which the functions beta of an element end, relative to that of its orbitals."""

EXPONENTS = (3.0, 8.0, 20.0, 60.0, 180.0)
"""Exponents of the functions beta, times the square of their radius."""

L_MAX = 3
"""Highest l of the functions beta."""

FIT_ELEMENTS = 120_000
"""Matrix elements that potentials are fitted to, of all structures together: all on-site ones, others at random."""


class FittedNumericalH0(NumericalH0):
    """T, mu S and fitted separable potentials.

    Args:
        basis: Numerical orbitals.
        projectors: The functions beta of every element.
        potentials: Element -> D_l for l = 0, 1, ..., Hartree, (l, k, k').
        shift: mu, Hartree: potentials that end cannot make up for the zero of energy.
        spin_orbit: Element -> D^so_l for l = 1, 2, ..., Hartree, (l, k, k'); empty without spin-orbit coupling.
    """

    kind = "fitted"

    def __init__(
        self,
        basis: OrbitalBasis,
        projectors: Projectors,
        potentials: Mapping[int, Floats],
        shift: float,
        spin_orbit: Mapping[int, Floats],
    ) -> None:
        super().__init__(basis)
        self.projectors, self.shift = projectors, float(shift)
        self.potentials, self.spin_orbit = dict(potentials), dict(spin_orbit)

    def __call__(self, structure: Structure) -> BlockMatrix:
        """H0 in Hartree on the pairs of S.

        Raises:
            DomainError: An element was not fitted.
        """
        present = set(structure.numbers.tolist())
        if missing := sorted(present - set(self.potentials)):
            names = ", ".join(SYMBOLS[z] for z in missing)
            raise DomainError(
                f"The fitted potentials do not cover {names}. Train with these elements, or leave them out."
            )
        t = kinetic(structure, self.basis)
        around = surroundings(structure, self.basis, self.projectors)
        middle = {l: np.eye(2 * l + 1) for l in range(self.projectors.l_max + 1)}
        couplings = {z: self._coupling(self.potentials[z], middle)[None] for z in present}
        total = t + separable(t, around, structure, couplings)[0]
        return total.with_values(total.values + self.shift * overlap(structure, self.basis).values)

    def spin_parts(self, structure: Structure) -> tuple[BlockMatrix, ...]:
        """A_y, A_z, A_x in Hartree on the pairs of S; none without spin-orbit coupling."""
        if not self.spin_orbit:
            return ()
        frame = zero_matrix(structure, self.basis)
        middles = [{l: momentum(l)[q] for l in range(1, SPIN_ORBIT_L_MAX + 1)} for q in range(len(AXES))]
        couplings = {
            z: np.stack([self._coupling(self.spin_orbit[z], middle) for middle in middles])
            for z in set(structure.numbers.tolist())
        }
        around = surroundings(structure, self.basis, self.projectors)
        return separable(frame, around, structure, couplings, sign=-1.0)

    def _coupling(self, potentials: Floats, middle: Mapping[int, Floats]) -> Floats:
        """D between all functions of an element, (beta, beta): D_l times a matrix between the m of each l."""
        out = np.zeros((self.projectors.count, self.projectors.count))
        members = dict(self.projectors.slices())
        for potential, (l, matrix) in zip(potentials, middle.items(), strict=True):
            out[members[l], members[l]] = np.kron(potential, matrix)
        return out

    @classmethod
    def fit(
        cls, basis: OrbitalBasis, functional: str, records: Sequence[Record], settings: H0Settings, seed: int
    ) -> Self:
        """Potentials fitted to a random choice of the training set.

        Raises:
            DataError: An element of the basis does not occur in what was chosen.
        """
        rng = np.random.default_rng(seed)
        chosen = [records[int(i)] for i in rng.permutation(len(records))[: settings.fit_structures]]
        seen = {int(z) for r in chosen for z in r.structure.numbers}
        if missing := sorted(set(basis.elements) - seen):
            untrained = set(missing) - {int(z) for r in records for z in r.structure.numbers}
            if untrained:
                raise untrained_elements(untrained)
            raise DataError(
                f"No structure that potentials are fitted to holds {', '.join(SYMBOLS[z] for z in missing)}; raise "
                f"baseline.fit_structures ({settings.fit_structures}), or set baseline.kind to kinetic."
            )
        cutoffs = orbital_cutoffs(basis)
        projectors = Projectors({z: RADIUS * cutoffs[z] for z in basis.elements}, EXPONENTS, L_MAX)
        equations = [Equations.of(r, basis, projectors, FIT_ELEMENTS // len(chosen), rng) for r in chosen]
        solution = solve_equations([e.scalar for e in equations])
        spin_orbit = {}
        if with_spin := [e.spin_orbit for e in equations if e.spin_orbit is not None]:
            spin_orbit = unpack_potentials(solve_equations(with_spin), basis.elements, projectors, SPIN_ORBIT_L_MAX)
        potentials = unpack_potentials(solution[1:], basis.elements, projectors, L_MAX + 1)
        return cls(basis, projectors, potentials, solution[0], spin_orbit)

    def extend(
        self, basis: OrbitalBasis, records: Sequence[Record], settings: H0Settings, seed: int
    ) -> FittedNumericalH0:
        """The same mu and potentials, and those of new elements, fitted to a random choice of what holds them.

        The zero of energy of these calculations may be another one: a multiple of S is fitted with them and left out.

        Raises:
            DataError: No calculation holds a new element.
        """
        new = tuple(z for z in basis.elements if z not in self.potentials)
        if not new:
            return FittedNumericalH0(basis, self.projectors, self.potentials, self.shift, self.spin_orbit)
        chosen, rng = choose_holding(records, new, settings.fit_structures, seed), np.random.default_rng(seed)
        if untrained := set(new) - {int(z) for r in chosen for z in r.structure.numbers}:
            raise untrained_elements(untrained)
        cutoffs, old = orbital_cutoffs(basis), self.projectors
        radii = {**old.radii, **{z: RADIUS * cutoffs[z] for z in new}}
        projectors = Projectors(radii, old.exponents, old.l_max)
        equations = [Equations.of(r, basis, projectors, FIT_ELEMENTS // len(chosen), rng) for r in chosen]

        def solve(parts: Sequence[Linear], of_old: Mapping[int, Floats], before: int) -> Floats:
            return solve_equations([subtract_potentials(part, of_old, basis, projectors, before) for part in parts])

        solution, spin_orbit = solve([e.scalar for e in equations], self.potentials, 1), self.spin_orbit
        potentials = self.potentials | unpack_potentials(solution[1:], new, projectors, old.l_max + 1)
        if with_spin := [e.spin_orbit for e in equations if e.spin_orbit is not None and spin_orbit]:
            fitted = solve(with_spin, spin_orbit, 0)
            spin_orbit = spin_orbit | unpack_potentials(fitted, new, projectors, SPIN_ORBIT_L_MAX)
        return FittedNumericalH0(basis, projectors, potentials, self.shift, spin_orbit)

    def describe(self) -> dict[str, Any]:
        """The kind, the functions, and the numbers of each element."""
        elements: dict[str, dict[str, Any]] = {
            str(z): {"radius": self.projectors.radii[z], "potentials": self.potentials[z].tolist()}
            for z in sorted(self.potentials)
        }
        for z, potentials in self.spin_orbit.items():
            elements[str(z)]["spin_orbit"] = potentials.tolist()
        exponents = list(self.projectors.exponents)
        return {"kind": self.kind, "shift": self.shift, "exponents": exponents, "elements": elements}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        elements = {int(z): entry for z, entry in description["elements"].items()}

        def potentials(name: str) -> dict[int, Floats]:
            return {z: np.array(e[name], dtype=np.float64) for z, e in elements.items() if name in e}

        radii = {z: float(e["radius"]) for z, e in elements.items()}
        l_max = max(len(p) for p in potentials("potentials").values()) - 1
        projectors = Projectors(radii, tuple(float(a) for a in description["exponents"]), l_max)
        return cls(basis, projectors, potentials("potentials"), description["shift"], potentials("spin_orbit"))
