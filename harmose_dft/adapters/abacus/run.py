"""Everything about an ABACUS calculation except its matrices: structure, basis, electrons, eigenvalues."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis, Shell
from ...core.errors import FileFormatError
from ...core.record import Eigenvalues
from ...core.structure import SYMBOLS, Structure
from ..plain_atoms import require_whole_valence
from ..text import find_existing
from .eigenvalues import read_bands, read_eig, read_istate, read_kpoints
from .files import Calculation, find_library_file, find_stru, nspin_of_input, read_input
from .log import RunLog, find_log, read_log
from .orbitals import read_orb, read_z_valence, shells_in_name
from .stru import Stru, atomic_number, read_stru
from .structure import fold_into_cell, read_logged_positions, read_md_dump, structure_from_log

HEADER_ROUNDING = 1e-6
"""Fractional coordinates of STRU and of a CSR file's header may differ by this much for one position."""


@dataclass(frozen=True, eq=False)
class Run:
    """One calculation: INPUT keywords, running log (None if absent), and the structure it started from."""

    calculation: Calculation
    keywords: dict[str, str]
    log: RunLog | None
    stru: Stru

    @classmethod
    def at(cls, calculation: Calculation) -> Run:
        """Read what a calculation's folders hold.

        Raises:
            FileFormatError: No file states the structure, or STRU and log are of different runs.
        """
        keywords = read_input(calculation)
        log_path, stru_path = find_log(calculation.output), find_stru(calculation, keywords)
        log = read_log(log_path) if log_path else None
        if stru_path is not None:
            stru = read_stru(stru_path, keywords.get("latname", "none"))
        elif log is not None:
            stru = structure_from_log(log)
        else:
            raise FileFormatError(
                "Neither a STRU file nor a running log is there; the structure is unknown. Put the STRU of the run "
                "beside the OUT folder.", path=calculation.output
            )  # fmt: skip
        if log and log.species:
            in_log = [(s.label, s.atoms) for s in log.species]
            in_file = list(zip(stru.labels, stru.counts, strict=True))
            if in_log != in_file:
                raise FileFormatError(
                    f"The run had {_count_text(in_log)}, this file has {_count_text(in_file)}. It is not of this run.",
                    path=stru.path,
                )
            for species, valence in zip(log.species, log.valence, strict=False):
                require_whole_valence(species.label, atomic_number(species.label, log.path), valence, log.path)
        return cls(calculation, keywords, log, stru)

    @property
    def nspin(self) -> int | None:
        """1, 2 or 4 as the log or INPUT states it."""
        if self.log and self.log.nspin:
            return self.log.nspin
        stated = nspin_of_input({"nspin": ""} | self.keywords)
        return int(stated) if stated in ("1", "2", "4") else None

    @property
    def functional(self) -> str:
        """Exchange-correlation functional, or ""."""
        return (self.log.functional if self.log else "") or self.keywords.get("dft_functional", "")

    @property
    def vectors(self) -> NDArray[np.float64]:
        """Lattice vectors in units of the lattice constant that the log prints, or of that of STRU."""
        stru, constant = self.stru, self.log.constant if self.log else None
        if constant is None or np.isclose(constant, stru.constant, rtol=1e-5):
            return stru.vectors
        return np.asarray(stru.cell / constant)

    def structure(self, step: int, steps: int, header: Stru | None) -> Structure:
        """The structure of an ionic step: atoms in ABACUS's order, folded into the cell.

        Args:
            step: 0-based ionic step.
            steps: Number of steps that have matrices.
            header: The unit cell in the header of the step's CSR file, where it has one.

        Raises:
            FileFormatError: No file states the positions of the step, or two files contradict each other.
        """
        stru, cell = self.stru, self.stru.cell
        cell_moves = self.log is not None and self.log.path.name.startswith("running_cell-relax")
        log_positions = read_logged_positions(self.log, self.vectors) if self.log else []
        dump = find_existing(self.calculation.output, "MD_dump")
        dump_steps = read_md_dump(dump) if dump else {}
        if header is not None:
            if (header.labels, header.counts) != (stru.labels, stru.counts):
                raise FileFormatError(
                    f"The header's atoms are not those of {stru.path.name}. Are they of one run?", path=header.path
                )
            positions = fold_into_cell(header.fractional, None, header.path)
            written = stru.fractional + np.round(positions - stru.fractional)
            from_log = self.log is not None and stru.path == self.log.path
            if from_log or not np.allclose(header.cell, cell, rtol=1e-4, atol=1e-4):
                cell = header.cell  # a log prints six digits
            elif step == 0 and np.abs(written - positions).max() < HEADER_ROUNDING:
                positions = written  # the digits that the run started from
        elif step in dump_steps:
            cell, positions = dump_steps[step]
        elif steps == 1 and step == 0:
            positions = fold_into_cell(
                stru.fractional, log_positions[0] if log_positions else None, stru.path
            )
        elif cell_moves and step > 0:
            raise FileFormatError(
                f"The cell of ionic step {step} of this cell relaxation is not known: these files state that of the "
                "first step only. Run ABACUS again with 'calculation scf' on STRU_ION_D, the relaxed crystal.",
                path=self.calculation.output,
            )
        elif len(log_positions) > step:
            positions = log_positions[step]
        else:
            raise FileFormatError(
                f"The positions of ionic step {step} are not known: neither MD_dump nor the running log states them.",
                path=self.calculation.output,
            )
        if len(positions) != len(stru.numbers):
            raise FileFormatError(
                f"Ionic step {step} has {len(positions)} atoms, {stru.path.name} has {len(stru.numbers)}.",
                path=dump or stru.path,
            )
        return Structure(stru.numbers, positions @ cell, cell, charge=self.log.charge if self.log else 0)

    def basis(self) -> OrbitalBasis:
        """Shells per element, with radial functions where the ``.orb`` files are found.

        Raises:
            FileFormatError: Orbitals are missing, of another element, or not those of the run.
        """
        shells: dict[int, tuple[Shell, ...]] = {}
        names: dict[int, str] = {}
        for n, label in enumerate(self.stru.labels):
            z = atomic_number(label, self.stru.path)
            name = self.stru.orbitals[n] if n < len(self.stru.orbitals) else ""
            shells_of_species = self._species_shells(n, z, name)
            if z in shells and OrbitalBasis("", {z: shells[z]}) != OrbitalBasis("", {z: shells_of_species}):
                raise FileFormatError(
                    f"Two species of {SYMBOLS[z]} have different orbitals ({names[z]}, {name}); a basis is known by "
                    "element here, so such a run cannot be read.", path=self.stru.path
                )  # fmt: skip
            shells[z], names[z] = shells_of_species, name
        stems = sorted({name.removesuffix(".orb") for name in names.values() if name})
        return OrbitalBasis("+".join(stems) or "ABACUS", shells)

    def _species_shells(self, n: int, z: int, name: str) -> tuple[Shell, ...]:
        """Shells of one species: from its ``.orb`` file, else from the log, else from the file's name."""
        log_shells = self.log.species[n].shells if self.log and n < len(self.log.species) else ()
        path = find_library_file(self.calculation, name, self.keywords.get("orbital_dir"))
        if path is not None:
            element, shells = read_orb(path)
            if element != SYMBOLS[z]:
                raise FileFormatError(f"These are orbitals of {element}; STRU uses them for {SYMBOLS[z]}.", path=path)
            if log_shells and tuple(s.l for s in shells) != log_shells:
                orbital_label, log_label = _label(z, [s.l for s in shells]), _label(z, log_shells)
                raise FileFormatError(
                    f"The file holds {orbital_label}; the run used {log_label}. Use the orbital file of the run.",
                    path=path
                )
            return shells
        angular = log_shells or shells_in_name(name)
        if not angular:
            raise FileFormatError(
                f"The orbital file {name or '(none named)'} of {SYMBOLS[z]} is not found, and the log does not state "
                "its shells. Put it beside STRU.", path=self.calculation.folder
            )  # fmt: skip
        return tuple(Shell(l) for l in angular)

    def electrons(self) -> float:
        """Valence electrons: as the log counts them, else from INPUT, else from the pseudopotentials.

        Raises:
            FileFormatError: No file states them.
        """
        if self.log and self.log.n_electrons is not None:
            return self.log.n_electrons
        if (nelec := self._number("nelec")) > 0:
            return nelec
        library, stru = self.keywords.get("pseudo_dir"), self.stru
        paths = [find_library_file(self.calculation, name, library) for name in stru.pseudopotentials]
        upf_paths = [path for path in paths if path is not None]
        if len(upf_paths) < len(stru.labels):
            raise FileFormatError(
                "The number of electrons is not known: no running log states it, and not all pseudopotentials of STRU "
                "are there. Copy one or the other.", path=self.calculation.folder
            )  # fmt: skip
        each = [read_z_valence(path) for path in upf_paths]
        for label, path, electrons in zip(stru.labels, upf_paths, each, strict=True):
            require_whole_valence(label, atomic_number(label, stru.path), electrons, path)
        valence = sum(count * electrons for count, electrons in zip(stru.counts, each, strict=True))
        return valence + self._number("nelec_delta")

    def _number(self, keyword: str) -> float:
        """A number of INPUT; 0 where the keyword is absent."""
        text = self.keywords.get(keyword, "0")
        try:
            return float(text)
        except ValueError as error:
            raise FileFormatError(
                f"{keyword} in INPUT must be a number; got {text!r}.", path=self.calculation.folder
            ) from error

    def eigenvalues(self, step: int, last: bool, spins: int) -> tuple[Eigenvalues, ...]:
        """The code's own eigenvalues of an ionic step (most files hold the last step only).

        Args:
            step: 0-based ionic step.
            last: Whether this is the last step.
            spins: Spin directions of the Hamiltonian.

        Raises:
            FileFormatError: A file is malformed or has another number of spin directions.
        """
        output = self.calculation.output
        out: list[Eigenvalues] = []
        if (path := find_existing(output, "eig_occ.txt")) is not None:
            out.append(read_eig(path, self.vectors, step))
        elif last and (path := find_existing(output, "eig.txt")) is not None:
            out.append(read_eig(path, self.vectors))
        if last and (path := find_existing(output, "istate.info")) is not None:
            out.append(read_istate(path))
        bands = [path for n in (1, 2) if (path := find_existing(output, f"BANDS_{n}.dat"))]
        if last and bands and (path := find_existing(output, "kpoints")) is not None:
            out.append(read_bands(bands, read_kpoints(path)))
        for spectrum in out:
            if len(spectrum.energies) != spins:
                raise FileFormatError(
                    f"The file has {len(spectrum.energies)} spin directions, H(R) has {spins}. Are they of one run?",
                    path=output / spectrum.source,
                )
        return tuple(out)

    def fermi(self, step: int) -> float | None:
        """Fermi level of an ionic step in Hartree, where the log states it."""
        return self.log.fermi[min(step, len(self.log.fermi) - 1)] if self.log else None

    def energy(self, step: int) -> float | None:
        """Total energy of an ionic step in Hartree, where the log states it."""
        return self.log.energy[min(step, len(self.log.energy) - 1)] if self.log else None

    def is_converged(self, step: int) -> bool | None:
        """Whether the SCF of an ionic step has converged, where the log says so."""
        return self.log.converged[min(step, len(self.log.converged) - 1)] if self.log else None

    @property
    def version(self) -> str:
        """Version of ABACUS, or ""."""
        return self.log.version if self.log else ""

    @property
    def gamma_only(self) -> bool:
        """Whether the k-point list of the run holds Gamma alone."""
        path = find_existing(self.calculation.output, "kpoints")
        return path is not None and not read_kpoints(path).any()

    @property
    def output(self) -> Path:
        """The OUT folder."""
        return self.calculation.output


def _count_text(species: Sequence[tuple[str, int]]) -> str:
    return " ".join(f"{label}{count}" for label, count in species)


def _label(z: int, angular: Sequence[int]) -> str:
    return OrbitalBasis("", {z: tuple(Shell(l) for l in angular)}).label(z)
