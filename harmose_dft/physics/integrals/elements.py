"""Two-centre integrals of one operator between the orbitals of any two elements of a basis."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from ...core.basis import GaussianRadial, NumericalRadial, OrbitalBasis
from ...core.errors import HarmoseError
from .neighbours import orbital_cutoffs
from .operators import Operator, Term, identity
from .tables import GaussianTable, NumericalTable, PairTable
from .transforms import gaussian_transform, grid_for

Floats = NDArray[np.float64]


class ElementIntegrals(ABC):
    """Integrals <a m, 0 | A | b m', R> between all orbitals of two elements, as a function of the vector R.

    The operator acts on the second orbital; a position operator is relative to that orbital's atom. The table of a
    pair of elements is made when the pair is first met.

    Args:
        operator: The operator A.
        basis: The orbitals.
    """

    def __init__(self, operator: Operator, basis: OrbitalBasis) -> None:
        self.components = len(operator(0)[0].coupling)
        self._couplings = {z: _coupling(operator, basis.angular_momenta(z)) for z in basis.elements}
        self._tables: dict[tuple[int, int], PairTable] = {}

    def blocks(self, first: int, second: int, vectors: Floats) -> Floats:
        """Blocks between two elements.

        Args:
            first: Atomic number of the atom at the origin.
            second: Atomic number of the atom at R.
            vectors: R in Bohr, (edge, 3).

        Returns:
            (component of the operator, edge, orbital of first, orbital of second).
        """
        if (first, second) not in self._tables:
            self._tables[first, second] = self._table(first, second)
        images = self._tables[first, second].blocks(vectors)  # (edge, orbital of first, image of second)
        coupling = self._couplings[second]
        return images[None] if coupling is None else np.asarray(images @ coupling.transpose(0, 2, 1)[:, None])

    @abstractmethod
    def _table(self, first: int, second: int) -> PairTable:
        """Table of the first element's orbitals with the images of the second element's."""


class NumericalIntegrals(ElementIntegrals):
    """Integrals of numerical orbitals; refuses functions whose transform does not end (:func:`grid_for`)."""

    def __init__(self, operator: Operator, basis: OrbitalBasis) -> None:
        super().__init__(operator, basis)
        functions = {
            z: [(s.l, s.radial) for s in shells if isinstance(s.radial, NumericalRadial)]
            for z, shells in basis.shells.items()
        }
        self._cutoffs = orbital_cutoffs(basis)
        self._grid = grid_for([f for of_element in functions.values() for f in of_element])
        self._bra, self._ket = (
            {z: self._grid.transforms([(r, t) for l, r in functions[z] for t in op(l)]) for z in functions}
            for op in (identity, operator)
        )

    def _table(self, first: int, second: int) -> PairTable:
        longest = self._cutoffs[first] + self._cutoffs[second]
        return NumericalTable(self._bra[first], self._ket[second], self._grid, longest)


class GaussianIntegrals(ElementIntegrals):
    """Integrals of contracted Gaussians, in closed form."""

    def __init__(self, operator: Operator, basis: OrbitalBasis) -> None:
        super().__init__(operator, basis)
        functions = {
            z: [(s.l, s.radial) for s in shells if isinstance(s.radial, GaussianRadial)]
            for z, shells in basis.shells.items()
        }
        self._bra, self._ket = (
            {z: [gaussian_transform(r, l, t) for l, r in functions[z] for t in op(l)] for z in functions}
            for op in (identity, operator)
        )

    def _table(self, first: int, second: int) -> PairTable:
        return GaussianTable(self._bra[first], self._ket[second])


def element_integrals(operator: Operator, basis: OrbitalBasis) -> ElementIntegrals:
    """Integrals of an operator in a basis, by quadrature for numerical and in closed form for Gaussian orbitals.

    Raises:
        HarmoseError: A shell has no radial function, or numerical and Gaussian functions are mixed.
    """
    orbital_cutoffs(basis)
    kinds = {type(shell.radial) for shells in basis.shells.values() for shell in shells}
    if len(kinds) > 1:
        raise HarmoseError(
            f"The basis {basis.name} mixes numerical and Gaussian radial functions; two-centre integrals need one "
            "kind. Tabulate the Gaussian functions as NumericalRadial."
        )
    return GaussianIntegrals(operator, basis) if kinds == {GaussianRadial} else NumericalIntegrals(operator, basis)


def _coupling(operator: Operator, degrees: tuple[int, ...]) -> Floats | None:
    """Coefficients of each orbital's images under an operator, (q, orbital, orbital of the images); None for identity.

    Block diagonal: the images of a shell are the harmonics of its terms, side by side.
    """
    terms: list[list[Term]] = [operator(l) for l in degrees]
    shells = [np.concatenate([term.coupling for term in of_shell], axis=2) for of_shell in terms]
    matrix = np.stack([block_diag(*components) for components in zip(*shells, strict=True)])
    return None if len(matrix) == 1 and np.array_equal(matrix[0], np.eye(len(matrix[0]))) else matrix
