"""PySCF among the codes that are started; its calculations are Python objects, so it has no files to read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..code import About, Code, Options, StartingPoint, StartReport, StartWriter

if TYPE_CHECKING:
    from ...core.basis import OrbitalBasis
    from ...core.record import Record
    from ...core.structure import Structure


class PySCFStart(StartWriter):
    """A checkpoint file for ``init_guess = "chkfile"``, after a test by one Fock build."""

    key = "pyscf"
    help = (
        "pyscf: a checkpoint (default STEM.chk in the working folder) for mf.chkfile = FILE, "
        'mf.init_guess = "chkfile". '
        "The prediction is tested by one Fock build; if it is far from self-consistent, nothing is written."
    )
    test = "testing the density by one Fock build"

    def default_path(self, structure_file: Path) -> Path:
        """Named after the structure file, in the working folder."""
        return Path(structure_file.name).with_suffix(".chk")

    def require_model(self, name: str, made_by: str, basis: OrbitalBasis) -> None:
        """Accepts; PySCF's molecule refuses numerical orbitals when it is built."""

    def require_structure(self, structure: Structure, structure_file: Path) -> None:
        """Accepts; models of molecules refuse crystals."""

    def write(self, start: StartingPoint, target: Path, *, force: bool) -> StartReport:
        """Test the density by one Fock build and write the checkpoint.

        Raises:
            HarmoseError: The density is too far from self-consistent to be a good start.
        """
        from .residual import fock_residual
        from .start import require_near_self_consistent, write_checkpoint

        (hamiltonian,) = start.hamiltonians
        residual = fock_residual(start.structure, hamiltonian, start.functional, start.basis)
        require_near_self_consistent(residual.commutator, start.structure.n_electrons)
        write_checkpoint(target, start.structure, start.basis, start.spectrum, residual.energy, force=force)
        commutator = residual.commutator
        return StartReport(
            f'mf.chkfile = "{target}"; mf.init_guess = "chkfile" (commutator {commutator:.3g} Hartree)',
            {"commutator_hartree": commutator, "energy_hartree": residual.energy},
        )


class PySCF(Code):
    """PySCF's restricted Kohn-Sham molecules and crystals."""

    name = "PySCF"
    recognises = ""
    priority = 50
    about = About(
        reads="any basis, RKS and (crystals) KRKS, by import and `label`; its molecules in QH9 and MD17 databases",
        writes="density by import, or a checkpoint for the SCF",
        units="Hartree, Bohr",
        orbitals="p = (x, y, z); else m = -l..l",
        tested="2.14",
    )
    start = PySCFStart()

    def recognise(self, path: Path) -> bool:
        """No file is a calculation of PySCF."""
        return False

    def read(self, path: Path, options: Options) -> Iterable[Record]:
        """Nothing, as nothing is recognised."""
        return ()
