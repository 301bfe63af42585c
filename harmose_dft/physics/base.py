"""What is known of a structure without learning, as training, prediction and model.json share it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.errors import DataError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.spectrum import Spectrum
from ..core.spin import SPIN_OF_NSPIN, Spin
from ..core.structure import Structure
from .h0 import H0, H0Settings, h0_class


@dataclass(frozen=True)
class TrainingDefaults:
    """Values that a training configuration takes where it says nothing; None: those of the configuration itself.

    Args:
        h0: Kind of H0.
        inputs: Input matrices of the network.
        cutoff: Largest distance of a pair in Bohr.
        spin: Which Hamiltonians the model describes.
        lattice: Whether learned charges act through a lattice.
    """

    h0: str | None = None
    inputs: tuple[str, ...] | None = None
    cutoff: float | None = None
    spin: Spin | None = None
    lattice: bool | None = None


class Physics(ABC):
    """Overlap, H0 and electron count of structures in one basis, computed without a self-consistent field.

    Args:
        basis: Basis of the matrices.
        h0: The cheap Hamiltonian that a model corrects; ``physics.h0(structure)`` is its matrix on the pairs of S.
    """

    h0_base: ClassVar[type[H0]]
    """Kinds of H0 that apply to its basis are subclasses of this class."""

    has_levels: ClassVar[bool]
    """Whether structures have discrete orbitals, as molecules do, so that the losses in their basis apply."""

    def __init__(self, basis: OrbitalBasis, h0: H0) -> None:
        self.basis, self.h0 = basis, h0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.basis.name!r}, h0={self.h0.kind!r})"

    @property
    @abstractmethod
    def damped(self) -> bool:
        """Whether corrections to H0 are damped where S is nearly singular."""

    @abstractmethod
    def check(self, structure: Structure) -> None:
        """Refuse structures that models of this physics cannot describe.

        Raises:
            DomainError: With what they do describe.
        """

    @abstractmethod
    def overlap(self, structure: Structure) -> BlockMatrix:
        """The overlap S."""

    @abstractmethod
    def n_electrons(self, structure: Structure) -> float:
        """Electrons that the basis describes."""

    def core_charges(self, structure: Structure) -> NDArray[np.float64]:
        """Charges of the nuclei, or of the ion cores with pseudopotentials, in units of e, (atom,).

        Raises:
            DomainError: The training set tells the electrons of compositions only, not those of each element.
        """
        origin, numbers = np.zeros((1, 3)), structure.numbers.tolist()
        charges = {z: self.n_electrons(Structure(np.array([z]), origin, structure.cell)) for z in set(numbers)}
        return np.array([charges[z] for z in numbers], dtype=np.float64)

    @abstractmethod
    def overlap_of_record(self, record: Record) -> BlockMatrix:
        """The overlap that a calculation is trained with."""

    @abstractmethod
    def has_free_zero(self, structure: Structure) -> bool:
        """Whether the zero of energy is arbitrary, so that H is known up to a multiple of S."""

    def doubts(self, spectrum: Spectrum) -> list[str]:
        """Reasons in the predicted orbital energies why a prediction may mean nothing, in sentences."""
        return []

    def mesh_spacing(self, records: Sequence[Record]) -> float | None:
        """Smallest spacing of k-points of calculations, 1/Bohr; None where they have none."""
        return None

    def require_spin(self, record: Record, spin: Spin) -> None:
        """Refuse to train on a calculation of another kind of spin than the model's.

        Raises:
            DataError: It has another one.
        """
        if (kind := SPIN_OF_NSPIN[record.nspin]) != spin:
            raise DataError(
                f"{record!r} has nspin {record.nspin} (spin: {kind}); this model is of spin: {spin}. A model "
                "describes one kind: train on calculations of one nspin, and leave model.spin out to take theirs."
            )

    @classmethod
    @abstractmethod
    def training_defaults(cls, basis: OrbitalBasis, records: Sequence[Record], h0: str | None) -> TrainingDefaults:
        """Values for a training configuration that says nothing.

        Args:
            basis: Basis of the data.
            records: The training set.
            h0: The kind of H0 that the configuration names; None where it names none.
        """

    @classmethod
    @abstractmethod
    def fit(
        cls,
        basis: OrbitalBasis,
        functional: str,
        records: Sequence[Record],
        settings: H0Settings,
        *,
        seed: int = 0,
        h0: H0 | None = None,
    ) -> Self:
        """The physics of a training set, with the parameters that it determines.

        Args:
            basis: Basis of the data.
            functional: Functional of the data.
            records: The training set, read when asked for.
            settings: The section ``baseline`` of the configuration.
            seed: Seed of random choices.
            h0: H0 of the model that training starts from, which is kept and extended to new elements.

        Raises:
            DataError: The training set is empty or contradicts itself, or H0 does not apply to its basis.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What model.json holds of it: ``baseline`` (the H0) and ``electrons``."""

    @classmethod
    @abstractmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`; further entries do not matter.

        Raises:
            HarmoseError: The description does not fit the basis.
        """

    @classmethod
    def _fit_h0(
        cls, basis: OrbitalBasis, functional: str, records: Sequence[Record], settings: H0Settings, seed: int
    ) -> H0:
        if not len(records):
            raise DataError("The training set is empty.")
        return h0_class(settings.kind, cls.h0_base).fit(basis, functional, records, settings, seed)

    @classmethod
    def _read_h0(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> H0:
        h0 = description["baseline"]
        return h0_class(str(h0["kind"]), cls.h0_base).from_description(h0, basis, functional)
