"""ABACUS among the codes that are read and started."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import BasisMismatchError, DataError, DomainError
from ..code import About, Code, Options, StartingPoint, StartReport, StartWriter

if TYPE_CHECKING:
    from ...core.basis import OrbitalBasis
    from ...core.record import Record
    from ...core.structure import Structure


class AbacusStart(StartWriter):
    """H(R) in the sparse text format that ``init_chg hr`` reads."""

    key = "abacus"
    help = "abacus: H(R) (default hrs1_nao.csr) for init_chg hr, from a model of crystals in ABACUS's orbitals."

    def default_path(self, structure_file: Path) -> Path:
        """ABACUS's own name for the file."""
        return Path("hrs1_nao.csr")

    def require_model(self, name: str, made_by: str, basis: OrbitalBasis) -> None:
        """Refuse models in orbitals that are not ABACUS's.

        Raises:
            BasisMismatchError: The model was trained on calculations of another code.
        """
        if not made_by.startswith("ABACUS"):
            raise BasisMismatchError(
                f"The model {name!r} predicts matrices in the orbitals {basis.name} of {made_by or 'an unknown code'}; "
                "ABACUS needs its own numerical orbitals. Use a model that was trained on ABACUS calculations."
            )

    def require_structure(self, structure: Structure, structure_file: Path) -> None:
        """Refuse molecules.

        Raises:
            DomainError: The structure has no cell.
        """
        if not structure.periodic:
            raise DomainError(
                f"{structure_file} has no cell; ABACUS calculates crystals. Put the molecule into a box."
            )

    def write(self, start: StartingPoint, target: Path, *, force: bool) -> StartReport:
        """Write H(R) of a closed shell or of spinors.

        Raises:
            DataError: The Hamiltonian is collinear: two matrices.
        """
        from .writer import write_hr

        if len(start.hamiltonians) != 1:
            raise DataError(
                f"The start file holds one Hamiltonian; got {len(start.hamiltonians)} (spin up and down) of a "
                "collinear crystal. Start from a closed-shell or spin-orbit model."
            )
        write_hr(start.hamiltonians[0], target, structure=start.structure, basis=start.basis, force=force)
        return StartReport("put it into the folder that read_file_dir names and set init_chg hr in INPUT")


class Abacus(Code):
    """ABACUS with numerical atomic orbitals."""

    name = "ABACUS"
    recognises = "a run with INPUT, STRU and OUT.<suffix> with CSR files (out_mat_hs2 1)"
    priority = 20
    about = About(
        reads="sparse H(R), S(R) of 2.x, 3.x and the new layout, STRU, logs, `istate.info`, `BANDS_*`, `.orb`",
        writes="inputs, `hrs1_nao.csr` for `init_chg hr`, 3.x layout",
        units="Rydberg (13.605698 eV), Bohr (0.5291770 A)",
        orbitals="m = 0, +1, -1, ... times (-1)^m; spin fastest",
        tested="3.8.1 (real); 2.x, 3.9 and newer (documentation)",
    )
    start = AbacusStart()

    def recognise(self, path: Path) -> bool:
        """Whether a file or folder is of an ABACUS calculation with matrices."""
        from . import recognise

        return recognise(path)

    def read(self, path: Path, options: Options) -> Iterable[Record]:
        """The steps of a calculation for which matrices were written."""
        from . import read

        return read(path)
