"""Folders of DeepH among the formats that are read and written."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..code import About, Code, Options, RecordWriter

if TYPE_CHECKING:
    from ...core.record import Record


class DeepH(Code):
    """DeepH-pack ("legacy") and DeepH-dock ("chunked")."""

    name = "DeepH"
    recognises = "a folder with POSCAR and hamiltonian.h5, or element.dat and hamiltonians.h5"
    priority = 30
    about = About(
        reads="both folder layouts",
        writes="both",
        units="eV (1 Hartree = 27.2113845 eV), Angstrom (1 Bohr = 0.529177249 A)",
        orbitals="legacy: OpenMX's; chunked: m = -l..l",
        tested="after the sources of DeepH-pack and deepx-dock",
    )
    layouts = MappingProxyType({"deeph": "chunked", "deeph-legacy": "legacy"})

    def recognise(self, path: Path) -> bool:
        """Whether a path is a DeepH folder of either layout."""
        from . import recognise

        return recognise(path)

    def read(self, path: Path, options: Options) -> Iterable[Record]:
        """The calculation in a folder; its shells have no radial functions."""
        from . import read

        return read(path)

    def open_writer(self, layout: str, out: Path, *, force: bool) -> AbstractContextManager[RecordWriter]:
        """A folder of DeepH folders, one for each record."""
        from . import FolderWriter

        return FolderWriter(out, self.layouts[layout], force=force)
