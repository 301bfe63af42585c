"""The result of a prediction: matrices, spectrum, trust, and a short table of it for notebooks and terminals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..core.basis import GaussianRadial, OrbitalBasis
from ..core.errors import DataError, printable
from ..core.matrix import BlockMatrix
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from ..plots.sketch import sketch_levels
from ..solver import band_gap, properties
from ..solver.band_structure import describe_gaps
from .trust import TrustReport

if TYPE_CHECKING:
    from rich.table import Table

HASH_SHOWN = 8
"""Characters of a model's hash that tables show."""


@dataclass(frozen=True)
class ModelInfo:
    """Which model made a prediction.

    Args:
        name: Its name.
        sha256: Hash of its weights.
    """

    name: str
    sha256: str


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """Everything predicted for one structure.

    In a notebook or by ``rich.print`` it is shown as a short table; ``harmose_dft.view`` draws its orbitals.

    Args:
        structure: The atoms.
        basis: Shells per element, of the elements present.
        hamiltonians: H, Hartree: one matrix, or two of a collinear crystal (up, down).
        overlap: S.
        spectrum: Orbital energies, coefficients, occupations.
        functional: Functional that H approximates.
        model: Name and hash of the model.
        seconds: Time for this structure (its share of a batch, and its refinement).
        trust: How far the prediction can be trusted; None where the report was not asked for.
        stage1: The first stage's Hamiltonian, one matrix per spin direction as in ``hamiltonians``; empty where the
            model has one stage.
        network: The network's own Hamiltonian, where cheap Fock builds have refined it to ``hamiltonians``; empty where
            ``hamiltonians`` is the network's.
    """

    structure: Structure
    basis: OrbitalBasis
    hamiltonians: tuple[BlockMatrix, ...]
    overlap: BlockMatrix
    spectrum: Spectrum
    functional: str
    model: ModelInfo
    seconds: float
    trust: TrustReport | None = None
    stage1: tuple[BlockMatrix, ...] = ()
    network: tuple[BlockMatrix, ...] = ()

    @property
    def hamiltonian(self) -> BlockMatrix:
        """H of a closed shell, or of spinors.

        Raises:
            DataError: There are two, of a collinear crystal.
        """
        return single_matrix(self.hamiltonians)

    @property
    def level_of_theory(self) -> str:
        """Functional, basis and model in one line, such as "b3lyp/def2-svp by organic (0123abcd), refined"."""
        model = f"{self.model.name} ({self.model.sha256[:HASH_SHOWN]})"
        return f"{self.functional}/{self.basis.name} by {model}{', refined' if self.network else ''}"

    @property
    def dipole(self) -> NDArray[np.float64] | None:
        """Dipole moment in e*Bohr of a molecule, (xyz,); None for a crystal, which has none.

        That of an ion depends on the origin, which is the origin of the coordinates, as in PySCF.
        """
        return None if self.structure.periodic else dipole_moment(self.structure, self.basis, self.spectrum)

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value}" for name, value in self._energies())
        return printable(f"Prediction({self.structure.formula}, {self.level_of_theory}, {figures})")

    def __rich__(self) -> Table:
        """A table for terminals."""
        from rich import box
        from rich.markup import escape as literal
        from rich.table import Table

        title = literal(printable(self._title))
        table = Table(box=box.SIMPLE_HEAD, show_header=False, title=title, title_justify="left")
        for name, value in self._rows():
            table.add_row(name, literal(printable(value)))
        return table

    def _repr_html_(self) -> str:
        """A table for notebooks, and the levels around a molecule's gap."""
        rows = "".join(
            f'<tr><td style="text-align:left">{escape(name)}</td><td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in self._rows()
        )
        table = f"<table><caption>{escape(self._title)}</caption><tbody>{rows}</tbody></table>"
        levels = sketch_levels(self.spectrum)
        return f'<div style="display:flex;flex-wrap:wrap;gap:1.5em;align-items:center">{table}{levels}</div>'

    @property
    def _title(self) -> str:
        return f"{self.structure.formula}, {self.level_of_theory}"

    def _rows(self) -> Iterator[tuple[str, str]]:
        """Name and value of each line of the table."""
        yield "atoms, orbitals", f"{len(self.structure)}, {self.overlap.size}"
        yield "electrons", f"{self.spectrum.n_electrons:.6g}"
        yield from self._energies()
        radial = {type(shell.radial) for shells in self.basis.shells.values() for shell in shells}
        if radial == {GaussianRadial} and (moment := self.dipole) is not None:
            yield "dipole", f"{np.linalg.norm(moment) * DIPOLE_AU_IN_DEBYE:.3f} D"
        yield "trust", "not asked for (trust=False)" if self.trust is None else self.trust.in_words

    def _energies(self) -> Iterator[tuple[str, str]]:
        """Frontier energies of a molecule, Fermi level and gaps of a crystal, in eV."""
        if self.structure.periodic and self.spectrum.fermi is not None:
            yield "Fermi level", _in_ev(self.spectrum.fermi)
            yield "gap", describe_gaps(*band_gap(self.spectrum))
            return
        for name, energy in (("HOMO", self.spectrum.homo), ("LUMO", self.spectrum.lumo), ("gap", self.spectrum.gap)):
            yield name, _in_ev(energy) if np.isfinite(energy) else "none"


def _in_ev(energy: float) -> str:
    return f"{energy * HARTREE_IN_EV:.3f} eV"


def dipole_moment(structure: Structure, basis: OrbitalBasis, spectrum: Spectrum) -> NDArray[np.float64]:
    """Dipole moment in e*Bohr of a molecule about the origin of the coordinates, (xyz,).

    Args:
        structure: A molecule.
        basis: Its Gaussian basis.
        spectrum: Its orbitals.
    """
    from ..adapters.pyscf import core_charges, dipole_integrals

    integrals = dipole_integrals(structure, basis)
    return properties.dipole(
        spectrum.density_matrix(), integrals, structure.positions, core_charges(structure, basis)
    )


def single_matrix(hamiltonians: Sequence[BlockMatrix]) -> BlockMatrix:
    """The only Hamiltonian of a closed shell or of spinors.

    Raises:
        DataError: There are two, of a collinear crystal.
    """
    if len(hamiltonians) > 1:
        raise DataError(
            "A collinear crystal has two Hamiltonians, spin up and spin down, and one is wanted here. In Python, "
            "`hamiltonians` holds both."
        )
    return hamiltonians[0]
