"""OpenMX's input file (``.dat``): keywords, species, and the structure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ...core.structure import SYMBOLS, Structure
from ..plain_atoms import require_plain_atom
from ..text import read_bytes
from .constants import OPENMX_BOHR_IN_ANGSTROM

LETTERS = "spdf"
"""Letters of the angular momenta, by l."""

MARK = "definition.of.atomic.species"
"""The block that every input has and no other code's files have (lower case)."""

DEFAULT_DATA_PATH = "../DFT_DATA19"
"""Where OpenMX 3.9 looks for PAO and VPS files unless ``DATA.PATH`` says otherwise."""

HEAD_BYTES = 65536
"""How much of a text file is looked at to recognise an OpenMX input or output."""

_SHELLS = re.compile(r"([spdf])(\d+)(?:>(\d+))?")


@dataclass(frozen=True)
class Species:
    """One line of the species definition.

    Args:
        name: Label used in the list of atoms.
        number: Atomic number.
        pao: Name of the file of orbitals, without ``.pao``.
        specification: Such as "s2p2d1".
        angular_momenta: l of every shell, in the order of the matrices.
    """

    name: str
    number: int
    pao: str
    specification: str
    angular_momenta: tuple[int, ...]

    @property
    def basis(self) -> str:
        """As the input has it, such as "C6.0-s2p2d1"."""
        return f"{self.pao}-{self.specification}"


@dataclass(frozen=True)
class Input:
    """Keywords and blocks of an input file.

    Args:
        path: The file the text came from.
        keywords: Lower-case keyword -> value.
        blocks: Lower-case name -> (line number, words) of each line.
    """

    path: Path
    keywords: dict[str, str]
    blocks: dict[str, list[tuple[int, list[str]]]]

    def keyword(self, name: str, default: str = "") -> str:
        """Value of a keyword."""
        return self.keywords.get(name.lower(), default)

    def number(self, name: str, default: float) -> float:
        """Value of a keyword that is a number.

        Raises:
            FileFormatError: It is none.
        """
        text = self.keyword(name) or str(default)
        try:
            value = float(text.split()[0].lower().replace("d", "e"))
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise FileFormatError(f"{name} must be a number; got {text[:40]!r}.", path=self.path)
        return value

    def block(self, name: str) -> list[tuple[int, list[str]]]:
        """Lines of a block.

        Raises:
            FileFormatError: There is no such block.
        """
        if name.lower() not in self.blocks:
            raise FileFormatError(f"The input has no block <{name}. Give the complete input file.", path=self.path)
        return self.blocks[name.lower()]

    @property
    def species(self) -> dict[str, Species]:
        """Species by name."""
        out = {}
        for line, words in self.block("Definition.of.Atomic.Species"):
            if len(words) < 2:
                raise FileFormatError("A species needs a name, orbitals and a potential.", path=self.path, line=line)
            require_plain_atom(words[0], words[2] if len(words) > 2 else "", self.path, line=line,
                               pao=words[1].partition("-")[0])
            out[words[0]] = _species(words[0], words[1], self.path, line)
        return out

    @property
    def atoms(self) -> list[Species]:
        """Species of every atom, in order."""
        if self.keyword("scf.core.hole", "off").lower() == "on":
            raise FileFormatError("The run has a core hole (scf.core.hole on); such runs are not read.", path=self.path)
        species, out = self.species, []
        for line, words in self.block("Atoms.SpeciesAndCoordinates"):
            if len(words) < 5 or words[1] not in species:
                raise FileFormatError(
                    f"Expected number, species ({', '.join(species)}) and three coordinates; got {' '.join(words)!r}.",
                    path=self.path, line=line,
                )  # fmt: skip
            out.append(species[words[1]])
        return out

    @property
    def charge(self) -> float:
        """Charge of the system in units of e."""
        return self.number("scf.system.charge", 0.0)

    def valence_electrons(self) -> float:
        """Electrons by the initial populations of spin up and down in the list of atoms, less the charge.

        Raises:
            FileFormatError: A line of an atom has no populations.
        """
        total = 0.0
        for line, words in self.block("Atoms.SpeciesAndCoordinates"):
            if len(words) < 7:
                raise FileFormatError("The line of an atom has no electron counts.", path=self.path, line=line)
            try:
                total += float(words[5]) + float(words[6])
            except ValueError as error:
                raise FileFormatError(f"Expected electron counts ({error}).", path=self.path, line=line) from error
        return total - self.charge

    def structure(self) -> Structure:
        """The structure as written, not folded; a molecule if there are no lattice vectors.

        Raises:
            FileFormatError: A coordinate is not a number, or a unit is not known.
        """
        unit = self.keyword("Atoms.SpeciesAndCoordinates.Unit", "Ang").lower()
        cell = None
        if "atoms.unitvectors" in self.blocks:
            scale = self._scale(self.keyword("Atoms.UnitVectors.Unit", "Ang").lower())
            cell = scale * self._vectors("Atoms.UnitVectors", 0)
        coordinates = self._vectors("Atoms.SpeciesAndCoordinates", 2)
        if unit == "frac":
            if cell is None:
                raise FileFormatError("Fractional coordinates need the block <Atoms.UnitVectors.", path=self.path)
            positions = coordinates @ cell
        else:
            positions = self._scale(unit) * coordinates
        numbers = np.array([s.number for s in self.atoms])
        return Structure(numbers, positions, cell, round(self.charge), name=self.keyword("System.Name"))

    def _scale(self, unit: str) -> float:
        """Bohr per unit of length."""
        scales = {"ang": 1 / OPENMX_BOHR_IN_ANGSTROM, "au": 1.0}
        if unit not in scales:
            raise FileFormatError(f"The unit {unit!r} is not known; expected Ang, AU or FRAC.", path=self.path)
        return scales[unit]

    def _vectors(self, name: str, first_word: int) -> NDArray[np.float64]:
        """Three numbers of every line of a block, from word ``first_word`` on."""
        out = []
        for line, words in self.block(name):
            try:
                out.append([float(w) for w in words[first_word : first_word + 3]])
            except ValueError as error:
                raise FileFormatError(f"Expected three numbers ({error}).", path=self.path, line=line) from error
            if len(out[-1]) != 3:
                raise FileFormatError(f"Expected three numbers; got {len(out[-1])}.", path=self.path, line=line)
        return np.array(out)


def parse_input(text: str, path: Path) -> Input:
    """Keywords and blocks of an input text; ``#`` begins a comment, names are not case-sensitive.

    Of a keyword or block that is given twice the first one counts, as in OpenMX (Inputtools.c).

    Raises:
        FileFormatError: A block is not closed.
    """
    keywords: dict[str, str] = {}
    blocks: dict[str, list[tuple[int, list[str]]]] = {}
    rows: list[tuple[int, list[str]]] = []
    open_block, opened_line = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.split("#")[0].strip()
        if open_block and line.lower() == f"{open_block}>":
            open_block = ""
        elif open_block and line:
            rows.append((number, line.split()))
        elif line.startswith("<"):
            open_block, opened_line, rows = line[1:].strip().lower(), number, []
            blocks.setdefault(open_block, rows)
        elif line and not open_block:
            name, *value = line.split(maxsplit=1)
            keywords.setdefault(name.lower(), value[0] if value else "")
    if open_block:
        raise FileFormatError(f"The block <{open_block} is not closed by {open_block}>.", path=path, line=opened_line)
    return Input(path, keywords, blocks)


def _species(name: str, definition: str, path: Path, line: int) -> Species:
    """A species from its label and its orbitals, such as "C6.0-s2p2d1"."""
    pao, dash, specification = definition.partition("-")
    symbol = re.match(r"[A-Z][a-z]?", pao)
    shells = _SHELLS.findall(specification)
    if not dash or symbol is None or symbol[0] not in SYMBOLS[1:] or not shells or _SHELLS.sub("", specification):
        raise FileFormatError(
            f"The orbitals {definition!r} of species {name} are not understood; expected an element, a radius and "
            "counts, such as C6.0-s2p2d1.", path=path, line=line,
        )  # fmt: skip
    if any(optimised and optimised != count for _, count, optimised in shells):
        raise FileFormatError(
            f"Species {name} contracts orbitals ({specification}). Contracted orbitals are not in the .pao file; use "
            "the .pao that the orbital optimisation wrote.", path=path, line=line,
        )  # fmt: skip
    if any(len(count) > 2 for _, count, _ in shells):
        raise FileFormatError(
            f"Species {name} has too many shells ({specification[:40]}); expected a few of each letter.", path=path,
            line=line,
        )  # fmt: skip
    counts = sorted((LETTERS.index(letter), int(count)) for letter, count, _ in shells)
    momenta = tuple(l for l, count in counts for _ in range(count))
    return Species(name, SYMBOLS.index(symbol[0]), pao, specification, momenta)


def is_text_of_openmx(path: Path) -> bool:
    """Whether a text file is an input or an output of OpenMX."""
    try:
        head = read_bytes(path)[:HEAD_BYTES].tobytes().lower()
    except FileFormatError:
        return False
    return MARK.encode() in head or b"openmx ver" in head
