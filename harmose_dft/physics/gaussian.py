"""Physics of closed-shell molecules in contracted Gaussians; PySCF computes the integrals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

from ..adapters import pyscf
from ..core.basis import OrbitalBasis
from ..core.errors import DataError, DomainError, StructureError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.spectrum import Spectrum
from ..core.spin import SPIN_OF_NSPIN, Spin
from ..core.structure import Structure
from ..core.units import HARTREE_IN_EV
from .base import Physics, TrainingDefaults
from .h0 import H0, GaussianH0, H0Settings

SMALLEST_GAP = 0.02
"""Hartree; a molecule with a smaller gap is probably not a closed shell."""


class GaussianPhysics(Physics):
    """Molecules: analytic integrals, every pair of atoms."""

    h0_base = GaussianH0
    has_levels = True

    @property
    def damped(self) -> bool:
        """Wherever there is an H0 to keep."""
        return not self.h0.is_zero

    def check(self, structure: Structure) -> None:
        """Refuse crystals and open shells.

        Raises:
            DomainError: With what the model does describe.
        """
        if structure.periodic:
            raise DomainError(
                f"{structure.formula} has a periodic cell; this model describes molecules. Remove the cell (and "
                "periodic boundary conditions) from the file, or use a model trained on crystals."
            )
        try:
            pyscf.require_closed_shell(structure)
        except StructureError as error:
            raise DomainError(str(error)) from error

    def overlap(self, structure: Structure) -> BlockMatrix:
        """The overlap S on all pairs of atoms."""
        return pyscf.overlap(structure, self.basis)

    def n_electrons(self, structure: Structure) -> int:
        """All electrons but those that pseudopotentials of the basis stand for."""
        return pyscf.count_electrons(structure, self.basis)

    def overlap_of_record(self, record: Record) -> BlockMatrix:
        """The calculation's own overlap, which is on all pairs."""
        return record.overlap

    def has_free_zero(self, structure: Structure) -> bool:
        """Never: potentials of molecules vanish far away."""
        return False

    def doubts(self, spectrum: Spectrum) -> list[str]:
        """A gap too small for a closed shell."""
        if spectrum.gap < SMALLEST_GAP:
            return [f"a gap of {spectrum.gap * HARTREE_IN_EV:.2f} eV: probably not a closed shell"]
        return []

    def require_spin(self, record: Record, spin: Spin) -> None:
        """Refuse open shells.

        Raises:
            DataError: The calculation is of one.
        """
        if SPIN_OF_NSPIN[record.nspin] != spin:
            raise DataError(
                f"Training on molecules takes closed-shell calculations; {record!r} has nspin {record.nspin}."
            )

    @classmethod
    def training_defaults(cls, basis: OrbitalBasis, records: Sequence[Record], h0: str | None) -> TrainingDefaults:
        """Those of the configuration, which are for molecules."""
        return TrainingDefaults()

    @classmethod
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
        """The physics of a training set, with H0 fitted to it; arguments as :meth:`Physics.fit`."""
        if h0 is None:
            return cls(basis, cls._fit_h0(basis, functional, records, settings, seed))
        return cls(basis, h0 if basis == h0.basis else h0.extend(basis, records, settings, seed))

    def describe(self) -> dict[str, Any]:
        """H0; the electrons need no description."""
        return {"baseline": self.h0.describe(), "electrons": []}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        return cls(basis, cls._read_h0(description, basis, functional))
