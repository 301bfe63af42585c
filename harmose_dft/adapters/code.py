"""What the package needs to know of a DFT code or data format: one class in one file, ``adapters/<folder>/code.py``.

:mod:`harmose_dft.adapters.registry` finds the classes; the options of commands, error messages and the tables of the
documentation come from them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ..core.errors import ArgumentError, HarmoseError

if TYPE_CHECKING:
    from ..core.basis import OrbitalBasis
    from ..core.matrix import BlockMatrix
    from ..core.record import Record
    from ..core.spectrum import Spectrum
    from ..core.structure import Structure

Options = Mapping[str, Path | None]
"""Name of a :class:`PathOption` -> the user's value."""


@dataclass(frozen=True)
class About:
    """A row of the documentation's tables of codes.

    Args:
        reads: Files that are read.
        writes: Files that are written; "-" for none.
        units: Units of its files.
        orbitals: Order and sign of its orbitals.
        tested: Versions tested, on real output or after the documentation.
    """

    reads: str
    writes: str
    units: str
    orbitals: str
    tested: str


@dataclass(frozen=True)
class PathOption:
    """A path that a reader or a writer of start files may be told: an option of ``harmose-dft convert`` or ``seed``.

    Args:
        name: Key among its options, such as "pao_dir".
        help: Text of ``--help``.
    """

    name: str
    help: str

    @property
    def flag(self) -> str:
        """The option on the command line, such as ``--pao-dir``."""
        return "--" + self.name.replace("_", "-")


class RecordWriter(Protocol):
    """Where converted records go."""

    def add(self, record: Record) -> None:
        """Append a record."""


class Code(ABC):
    """A DFT code, or a format that calculations come in.

    Attributes:
        name: As people write it.
        recognises: What :meth:`recognise` looks for, for messages.
        about: Row of the documentation.
        priority: Codes with smaller numbers are asked first.
        options: What :meth:`read` can be told.
        layouts: Value of ``harmose-dft convert --format`` -> what it writes, for :meth:`open_writer`.
        start: Writes a file from which the code's SCF starts.
    """

    name: ClassVar[str]
    recognises: ClassVar[str]
    about: ClassVar[About]
    priority: ClassVar[int] = 0
    options: ClassVar[tuple[PathOption, ...]] = ()
    layouts: ClassVar[Mapping[str, str]] = MappingProxyType({})
    start: ClassVar[StartWriter | None] = None

    @abstractmethod
    def recognise(self, path: Path) -> bool:
        """Whether a file or folder was written by this code; cheap."""

    @abstractmethod
    def read(self, path: Path, options: Options) -> Iterable[Record]:
        """The calculations at a path that :meth:`recognise` accepts.

        Raises:
            FileFormatError: A file is damaged or missing.
        """

    def open_writer(self, layout: str, out: Path, *, force: bool) -> AbstractContextManager[RecordWriter]:
        """A writer of records in one of the ``layouts``; nothing is kept if its block fails."""
        raise HarmoseError(f"{self.name} has no layout {layout!r}.")


@dataclass(frozen=True, eq=False)
class StartingPoint:
    """What a start file is made of.

    Args:
        structure: The atoms.
        basis: Shells per element, of the elements present.
        hamiltonians: H, Hartree: one matrix, or two of a collinear crystal (up, down).
        overlap: S.
        spectrum: Orbital energies, coefficients, occupations.
        functional: Functional that H approximates.
        setup: What :meth:`StartWriter.read_setup` of the writer returned.
    """

    structure: Structure
    basis: OrbitalBasis
    hamiltonians: tuple[BlockMatrix, ...]
    overlap: BlockMatrix
    spectrum: Spectrum
    functional: str
    setup: Any = None


@dataclass(frozen=True)
class StartReport:
    """How a start file is used, and what was measured while it was written.

    Args:
        use: What the user has to do, in one line.
        figures: Name with its unit -> value.
        files: All files written; empty where it is the target alone.
    """

    use: str
    figures: Mapping[str, float] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


class StartWriter(ABC):
    """Writes a file from which a code's self-consistent field starts.

    Attributes:
        key: Name of the code on the command line.
        help: Paragraph of ``harmose-dft seed --help``; empty where the code cannot start from a prediction.
        test: What is done before anything is written, for ``--verbose``; empty if nothing takes time.
        options: What :meth:`read_setup` can be told.
    """

    key: ClassVar[str]
    help: ClassVar[str] = ""
    test: ClassVar[str] = ""
    options: ClassVar[tuple[PathOption, ...]] = ()

    @abstractmethod
    def default_path(self, structure_file: Path) -> Path:
        """The file that is written where the user names none.

        Raises:
            HarmoseError: The code cannot start from a prediction; with the reason.
        """

    @abstractmethod
    def require_model(self, name: str, made_by: str, basis: OrbitalBasis) -> None:
        """Refuse a model whose orbitals the code does not have.

        Args:
            name: Name of the model.
            made_by: Code that made the model's training data.
            basis: The model's orbitals.

        Raises:
            BasisMismatchError: With the model's orbitals and what the code needs.
        """

    @abstractmethod
    def require_structure(self, structure: Structure, structure_file: Path) -> None:
        """Refuse a structure that the code does not calculate.

        Raises:
            DomainError: With the reason.
        """

    def read_setup(self, structure: Structure, options: Options) -> Any:
        """Read what the options name, before anything is predicted.

        Args:
            structure: The structure that will be predicted.
            options: Name of a :class:`PathOption` -> the user's value.

        Returns:
            What :meth:`write` needs of it, as ``StartingPoint.setup``; None where there is nothing to read.

        Raises:
            HarmoseError: An option is not among the writer's own, or what it names does not fit the structure.
        """
        names = {option.name for option in self.options}
        for name, value in options.items():
            if value is not None and name not in names:
                raise ArgumentError(f"--{name.replace('_', '-')} is no option of --code {self.key}. Leave it out.")

    @abstractmethod
    def write(self, start: StartingPoint, target: Path, *, force: bool) -> StartReport:
        """Write the file, and those that options ask for.

        Raises:
            OutputExistsError: The file exists and ``force`` is false.
            HarmoseError: The prediction is no good start.
        """
