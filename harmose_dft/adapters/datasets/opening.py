"""Opening data sets, recognised by their content."""

from __future__ import annotations

from pathlib import Path

from ...core.errors import DataError, FileFormatError
from ...core.guard import name_damage
from ...core.hdf5 import HDF5_SIGNATURE
from ...data import Dataset
from ...data import open_dataset as open_own
from .databases import open_database
from .hdf5 import open_pyscf_file

SQLITE_MAGIC = b"SQLite format 3\x00"
ZIP_MAGIC = b"PK\x03\x04"
PICKLE_MAGICS = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

NO_PICKLE = (
    "This is a Python pickle (as torch.save and QHNet's processed folders write it), which can run any program and is "
    "never opened. Give the raw database it was made from: QH9Stable.db, QH9Dynamic_*.db or schnorb_hamiltonian_*.db."
)


def recognise(path: Path) -> bool:
    """Whether a file may be a data set: an HDF5 file or an SQLite database."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(16)
    return start == SQLITE_MAGIC or start.startswith(HDF5_SIGNATURE)


def open_dataset(path: str | Path) -> Dataset:
    """Open a data set: the package's own HDF5 files, fixed-molecule and ragged HDF5 files with PySCF matrices, QH9,
    PhiSNet and SchNOrb (MD17) databases.

    Overlaps that a format leaves out are computed by PySCF when a record is read.

    Args:
        path: The file.

    Raises:
        FileFormatError: The file is missing, damaged, a pickle, or of no known format.
        DataError: It holds no records.
    """
    path = Path(path)
    if path.is_dir():
        raise FileFormatError(_about_folder(path), path=path)
    if not path.exists():
        raise FileFormatError("There is no such file.", path=path)
    with path.open("rb") as file:
        start = file.read(16)
    dataset: Dataset | None = None
    if start == SQLITE_MAGIC or start.startswith(HDF5_SIGNATURE):
        with name_damage(path):
            dataset = open_database(path) if start == SQLITE_MAGIC else open_pyscf_file(path) or open_own(path)
    elif start.startswith(ZIP_MAGIC) or start.startswith(PICKLE_MAGICS):
        raise FileFormatError(_about_archive(path), path=path)
    if dataset is None:
        issue = "The file is empty." if not start else "This is neither an HDF5 file nor an SQLite database."
        raise FileFormatError(
            f"{issue} Data sets are .h5 or .db files: harmose-dft label makes one from structures, harmose-dft convert "
            "from calculations.",
            path=path,
        )
    with name_damage(path):
        count = len(dataset)
    if count == 0:
        raise DataError(f"{path} holds no records.")
    return dataset


def _about_folder(path: Path) -> str:
    if (path / "data.mdb").exists():
        return f"The folder is an LMDB database. {NO_PICKLE}"
    return "This is a folder, not a data set. Folders of DFT calculations are read by harmose-dft convert."


def _about_archive(path: Path) -> str:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(path) as archive:
            names = archive.namelist()
    except BadZipFile:
        return NO_PICKLE
    if any(name.endswith(".pkl") for name in names):
        return NO_PICKLE
    return "Archives (.npz, .zip) are not read as data sets; unpack the archive and give the database inside it."
