"""The matrices that a model may take as features, one class each.

A new input matrix is one subclass of :class:`InputMatrix` with a name; configurations and model files name it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from ..core.matrix import BlockMatrix
from ..core.spin import recombine
from .integrals import Integrals
from .lowdin import orthogonal_density


class InputMatrix(ABC):
    """The matrix of a scalar operator, real and symmetric, that a model takes as a feature.

    It must rotate with the structure as S does; networks rely on it for covariance.

    Attributes:
        name: What configurations and model files call it.
    """

    name: ClassVar[str]

    @abstractmethod
    def compute(self, integrals: Integrals) -> BlockMatrix:
        """The matrix of a structure; pairs that it does not store count as zero.

        Args:
            integrals: The structure, S, H0 and the number of electrons.
        """


class OverlapInput(InputMatrix):
    """S."""

    name = "overlap"

    def compute(self, integrals: Integrals) -> BlockMatrix:
        """S as it is."""
        return integrals.overlap


class H0Input(InputMatrix):
    """H0, Hartree."""

    name = "baseline"

    def compute(self, integrals: Integrals) -> BlockMatrix:
        """H0 as it is."""
        return integrals.h0


class LowdinDensityInput(InputMatrix):
    """The density matrix of H0 in the symmetrically orthogonalised basis.

    It tells the occupation of levels, such as those that a small cell folds to the Fermi level, which no network of
    finite range gets from positions, for a diagonalisation of H0 in training and prediction alike.
    """

    name = "density"

    def compute(self, integrals: Integrals) -> BlockMatrix:
        """Molecules: two electrons in each of the lowest orbitals; crystals: filled as the model's file says."""
        h0 = recombine((integrals.h0, *integrals.h0_spin))
        return orthogonal_density(integrals, h0, integrals.filling)[0]


def input_matrices(names: Sequence[str]) -> tuple[InputMatrix, ...]:
    """Input matrices by name.

    Raises:
        ValueError: There is none of that name.
    """
    kinds = {kind.name: kind for kind in InputMatrix.__subclasses__()}
    return tuple(kinds[_require_input(name)]() for name in names)


def _require_input(name: str) -> str:
    *others, last = (kind.name for kind in InputMatrix.__subclasses__())
    if name not in (*others, last):
        expected = f"{', '.join(map(repr, others))} or {last!r}"
        raise PydanticCustomError(
            "input_matrix",
            "there is no input matrix {name}; expected {expected}",
            {"name": repr(name), "expected": expected},
        )
    return name


InputName = Annotated[str, AfterValidator(_require_input)]
"""Name of an input matrix, checked where a configuration is read."""
