"""Physics of neutral crystals in orbitals with a cutoff: S and H0 from radial functions, without a DFT code.

Numerical orbitals vanish beyond their cutoff; Gaussian ones count as zero there (:class:`GaussianRadial`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.errors import BasisMismatchError, DomainError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.spin import SPIN_OF_NSPIN
from ..core.structure import Structure, format_charge
from ..solver import spacing_of
from ..solver.kpaths import path_across
from .base import Physics, TrainingDefaults
from .electron_count import ElectronCount
from .h0 import H0, H0Settings, NumericalH0
from .integrals import orbital_cutoffs, overlap, overlapping_pairs


class NumericalPhysics(Physics):
    """Crystals: valence electrons, two-centre integrals, pairs within the sum of the orbital cutoffs.

    Args:
        basis: Numerical orbitals, or Gaussian ones with cutoffs.
        h0: The cheap Hamiltonian.
        electrons: Valence electrons.

    Raises:
        BasisMismatchError: The basis has no radial functions.
    """

    h0_base = NumericalH0
    has_levels = False

    def __init__(self, basis: OrbitalBasis, h0: H0, electrons: ElectronCount) -> None:
        if not basis.has_cutoffs:
            raise BasisMismatchError(
                f"The basis {basis.name} has no tabulated radial functions, so its overlap cannot be computed. Convert "
                "the calculations again with their orbital files (.orb, .pao) at hand."
            )
        super().__init__(basis, h0)
        self.electrons = electrons

    @property
    def damped(self) -> bool:
        """Never: a crystal has eigenvectors of S at every k-point, not in its blocks."""
        return False

    def check(self, structure: Structure) -> None:
        """Refuse molecules, ions, and compositions whose electrons are unknown.

        Raises:
            DomainError: With what the model does describe.
        """
        if not structure.periodic:
            raise DomainError(
                f"{structure.formula} {structure.lack_of_cell}; this model describes crystals. Give a structure file "
                "with lattice vectors (cif, POSCAR, extended xyz); a molecule goes into a cell with enough vacuum."
            )
        if structure.charge:
            raise DomainError(
                f"{structure.formula} has charge {format_charge(structure.charge)}; this model was trained on neutral "
                "crystals."
            )
        self.electrons(structure)

    def overlap(self, structure: Structure) -> BlockMatrix:
        """The overlap S on all pairs within the sum of the orbital cutoffs."""
        return overlap(structure, self.basis)

    def n_electrons(self, structure: Structure) -> float:
        """Valence electrons."""
        return self.electrons(structure)

    def overlap_of_record(self, record: Record) -> BlockMatrix:
        """S computed anew, on the same pairs as at prediction."""
        return self.overlap(record.structure)

    def has_free_zero(self, structure: Structure) -> bool:
        """Whether it is a crystal: its average potential is a convention of the code."""
        return structure.periodic

    def mesh_spacing(self, records: Sequence[Record]) -> float | None:
        """Smallest spacing of the meshes at which calculations have eigenvalues, 1/Bohr; None without such.

        Of the lists of a calculation the one with the most k-points counts: a few points of a path can look like those
        that symmetry leaves of a finer mesh.
        """
        spacings = []
        for record in records:
            for entry in sorted(record.eigenvalues, key=lambda e: len(e.kpoints), reverse=True):
                spacing = spacing_of(record.structure, record.overlap, entry.kpoints)
                if spacing is not None:
                    spacings.append(spacing)
                    break
        return min(spacings, default=None)

    @classmethod
    def training_defaults(cls, basis: OrbitalBasis, records: Sequence[Record], h0: str | None) -> TrainingDefaults:
        """Fitted potentials as H0, S and H0 as inputs, pairs up to the largest sum of two cutoffs, the data's spin.

        Charges act through the lattice.
        """
        return TrainingDefaults(
            h0="fitted",
            inputs=("overlap",) if h0 == "none" else ("overlap", "baseline"),
            cutoff=2 * max(orbital_cutoffs(basis).values()),
            spin=SPIN_OF_NSPIN[records[0].nspin] if len(records) else "none",
            lattice=True,
        )

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
        """The physics of a training set, with its electron count; arguments as :meth:`Physics.fit`."""
        if h0 is None:
            h0 = cls._fit_h0(basis, functional, records, settings, seed)
        elif basis != h0.basis:
            h0 = h0.extend(basis, records, settings, seed)
        return cls(basis, h0, ElectronCount.fit(records))

    def describe(self) -> dict[str, Any]:
        """H0, and the training compositions with their electrons."""
        return {"baseline": self.h0.describe(), "electrons": self.electrons.to_list()}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        electrons = ElectronCount.from_list(description.get("electrons", ()))
        return cls(basis, cls._read_h0(description, basis, functional), electrons)


def band_points(structure: Structure, basis: OrbitalBasis, points: int) -> NDArray[np.float64]:
    """Fractional k-points (k, 3) along ASE's path of the lattice; that of the layer for a layer in vacuum."""
    return path_across(structure, *overlapping_pairs(structure, basis), points=points).kpoints
