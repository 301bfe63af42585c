"""OpenMX among the codes that are read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ...core.errors import HarmoseError
from ..code import About, Code, Options, PathOption, StartingPoint, StartReport, StartWriter

if TYPE_CHECKING:
    from ...core.basis import OrbitalBasis
    from ...core.record import Record
    from ...core.structure import Structure


class OpenMXStart(StartWriter):
    """OpenMX cannot start from a prediction; says why."""

    key = "openmx"

    def default_path(self, structure_file: Path) -> NoReturn:
        """Refuses.

        Raises:
            HarmoseError: Always.
        """
        raise HarmoseError(
            "OpenMX cannot start from a predicted Hamiltonian: it restarts only from its own binary restart files "
            "(scf.restart), whose charge-density grids it must have written itself. PySCF and ABACUS are supported."
        )

    def require_model(self, name: str, made_by: str, basis: OrbitalBasis) -> None:
        """Refuses: see :meth:`default_path`."""
        self.default_path(Path())

    def require_structure(self, structure: Structure, structure_file: Path) -> None:
        """Refuses: see :meth:`default_path`."""
        self.default_path(structure_file)

    def write(self, start: StartingPoint, target: Path, *, force: bool) -> StartReport:
        """Refuses: see :meth:`default_path`."""
        self.default_path(target)


class OpenMX(Code):
    """OpenMX 3.7 to 3.9."""

    name = "OpenMX"
    recognises = "a .scfout file (HS.fileout on) or output/overlaps_0.h5 with its input"
    priority = 10
    about = About(
        reads="`.scfout`, `.dat`, `.out`, `.Band`, `.pao`, `overlaps_*.h5` of overlap-only runs",
        writes="inputs",
        units="Hartree, Bohr (1 Bohr = 0.529177249 A)",
        orbitals="p = (x, y, z); d = (z2, x2-y2, xy, xz, yz); f = (z3, xz2, yz2, ...)",
        tested="3.9.9 (real); 3.7, 3.8 (documentation)",
    )
    options = (
        PathOption("pao_dir", "OpenMX: folder with the .pao files, if they are not where the input says."),
    )
    start = OpenMXStart()

    def recognise(self, path: Path) -> bool:
        """Whether a file or folder is of an OpenMX calculation."""
        from . import recognise

        return recognise(path)

    def read(self, path: Path, options: Options) -> Iterable[Record]:
        """All calculations of a folder, or that of one file."""
        from . import read

        return read(path, pao_dir=options.get("pao_dir"))
