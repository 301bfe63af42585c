"""Bands of a crystal along a path, with what a plot or a table of them needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..core.errors import SolverError
from ..core.structure import Structure
from ..core.units import HARTREE_IN_EV
from .kpaths import KPath

SMALLEST_GAP = 4e-5
"""Hartree (1 meV); bands that touch, as graphene's do, come as close as rounding and the mesh let them."""


def describe_gaps(indirect: float, direct: float, *, digits: int = 3, unit: str = " eV") -> str:
    """Gaps of a crystal, Hartree, in words: in eV with so many decimals and the unit, or why there is none."""
    if not np.isfinite(indirect):
        return "none (no empty band)"
    if indirect <= SMALLEST_GAP:
        return "none (metal)"
    first, second = (f"{gap * HARTREE_IN_EV:.{digits}f}{unit}" for gap in (indirect, direct))
    return f"{first} (direct {second})"


@dataclass(frozen=True, eq=False)
class BandStructure:
    """Bands along a path through the Brillouin zone.

    Args:
        structure: The crystal.
        path: The k-points.
        energies: Hartree, (spin, k, band), ascending; one spin direction for a closed shell or spinors.
        fermi: Fermi level in Hartree.
        gaps: Indirect and direct gap, Hartree, on the mesh of k-points that the Fermi level comes from; zero for a
            metal.
        n_electrons: Electrons per cell that the basis describes.
        n_orbitals: Orbitals per cell; there may be fewer bands.
        label: What the bands are of, for legends: a model or a code.

    Raises:
        SolverError: The energies are not of the path's k-points.
    """

    structure: Structure
    path: KPath
    energies: NDArray[np.float64]
    fermi: float
    gaps: tuple[float, float]
    n_electrons: float
    n_orbitals: int
    label: str = ""

    def __post_init__(self) -> None:
        if self.energies.ndim != 3 or self.energies.shape[1] != len(self.path.kpoints):
            raise SolverError(
                f"Bands must have shape (spin, k, band) with one k for each of the path's {len(self.path.kpoints)} "
                f"k-points; got {self.energies.shape}."
            )

    def __repr__(self) -> str:
        spins, kpoints, count = self.energies.shape
        return (
            f"BandStructure({self.structure.formula}, {self.label!r}, {self.path_name}, {kpoints} k-points, "
            f"{count} bands, {spins} spin{'s' if spins > 1 else ''})"
        )

    @property
    def path_name(self) -> str:
        """Names of the special points, such as "G-M-K-G"."""
        return "-".join(name for _, name in self.path.ticks)

    @property
    def zero(self) -> float:
        """What plots call zero, Hartree: the valence-band maximum where there is a gap, else the Fermi level.

        With a gap the Fermi level lies anywhere inside it, and differs between codes. The maximum is that on the path.
        """
        below = self.energies[self.energies <= self.fermi]
        if not self.has_gap or not below.size:
            return self.fermi
        return float(below.max())

    @property
    def has_gap(self) -> bool:
        """Whether there is a gap between full and empty bands on the mesh, which the bands of the path respect."""
        return self.gaps[0] > SMALLEST_GAP

    @property
    def energy_label(self) -> str:
        """Label of an axis of energies relative to :attr:`zero`."""
        return f"energy relative to the {'valence-band maximum' if self.has_gap else 'Fermi level'} (eV)"

    @property
    def channel_labels(self) -> tuple[str, ...]:
        """Names of the spin directions in legends, (spin,)."""
        return (self.label,) if len(self.energies) == 1 else (f"{self.label} up", f"{self.label} down")

    def to_dict(self) -> dict[str, object]:
        """A JSON-serialisable description; the unit is the last part of a key."""
        indirect, direct = self.gaps
        return {
            "label": self.label,
            "formula": self.structure.formula,
            "n_atoms": len(self.structure),
            "n_orbitals": self.n_orbitals,
            "n_electrons": self.n_electrons,
            "fermi_ev": self.fermi * HARTREE_IN_EV,
            "gap_ev": indirect * HARTREE_IN_EV,
            "direct_gap_ev": direct * HARTREE_IN_EV,
            "path": self.path_name,
            "kpoints": self.path.kpoints,
            "distances": self.path.distances,
            "energies_ev": self.energies * HARTREE_IN_EV,
        }
