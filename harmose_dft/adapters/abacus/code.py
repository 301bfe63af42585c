"""ABACUS among the codes that are read and started."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.errors import BasisMismatchError, DataError, DomainError
from ..code import About, Code, Options, PathOption, StartingPoint, StartReport, StartWriter

if TYPE_CHECKING:
    from ...core.basis import OrbitalBasis
    from ...core.record import Record
    from ...core.structure import Structure
    from .density import Setup


class AbacusStart(StartWriter):
    """H(R) in the sparse text format that ``init_chg hr`` reads, and the density that ``init_chg file`` reads."""

    key = "abacus"
    help = (
        "abacus: H(R) (default hrs1_nao.csr) for init_chg hr, from a model of crystals in ABACUS's orbitals; with "
        "--run also the density (chg.cube or SPIN1_CHG.cube beside it) for init_chg file, which all versions read."
    )
    options = (
        PathOption("run", "abacus: folder of the calculation that shall start (INPUT, KPT); also write its density."),
    )

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
                f"{structure_file} {structure.lack_of_cell}; ABACUS calculates crystals. Put the molecule into a box."
            )

    def read_setup(self, structure: Structure, options: Options) -> Setup | None:
        """What the calculation that shall start says of its density; None where its folder is not given.

        Raises:
            FileFormatError: INPUT or KPT is missing or malformed, or its calculation has another cell, other atoms or
                an unknown grid.
        """
        from .density import Setup

        super().read_setup(structure, options)
        run = options.get("run")
        return None if run is None else Setup.of_run(run, structure)

    def write(self, start: StartingPoint, target: Path, *, force: bool) -> StartReport:
        """Write H(R) of a closed shell or of spinors, and the density where the folder of a calculation is given.

        Raises:
            DataError: The Hamiltonian is collinear (two matrices) and no folder is given, or the calculation has
                another kind of spin.
            HarmoseError: The calculation's grid does not hold the electrons.
        """
        from .density import write_density
        from .writer import write_hr

        setup: Setup | None = start.setup
        is_collinear = len(start.hamiltonians) != 1
        if is_collinear and setup is None:
            raise DataError(
                f"The start file holds one Hamiltonian; got {len(start.hamiltonians)} (spin up and down) of a "
                "collinear crystal. Start from a closed-shell or spin-orbit model, or from the density: name the "
                "folder of the calculation with --run."
            )
        if setup is None:
            write_hr(start.hamiltonians[0], target, structure=start.structure, basis=start.basis, force=force)
            return StartReport("put it into the folder that read_file_dir names and set init_chg hr in INPUT")
        files, figures = write_density(start, setup, target.parent, force=force)
        if not is_collinear:
            write_hr(start.hamiltonians[0], target, structure=start.structure, basis=start.basis, force=force)
            files = [*files, target]
        return StartReport(setup.use, figures, tuple(files))


class Abacus(Code):
    """ABACUS with numerical atomic orbitals."""

    name = "ABACUS"
    recognises = "a run with INPUT, STRU and OUT.<suffix> with CSR files (out_mat_hs2 1)"
    priority = 20
    about = About(
        reads="sparse H(R), S(R) of 2.x, 3.x and the new layout, STRU, logs, `istate.info`, `BANDS_*`, `.orb`",
        writes="inputs, `hrs1_nao.csr` for `init_chg hr`, `chg.cube` or `SPIN1_CHG.cube` for `init_chg file`, H(R) in "
        "3.x layout",
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
