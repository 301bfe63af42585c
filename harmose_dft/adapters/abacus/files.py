"""Finding the files of one ABACUS calculation under all names that its versions use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import FileFormatError
from ..text import COMPRESSED, find_existing, plain_name, read_lines
from .log import find_log
from .text import strip_comment_of_input

_NAMES = (
    re.compile(r"^(?:(?P<before>\d+)_)?data-(?P<kind>[HS])R-sparse_SPIN(?P<spin0>[01])\.csr$"),
    re.compile(r"^(?P<kind>[hs])rs(?P<spin1>[12])(?:g(?P<after>\d+))?_nao\.csr$"),
    re.compile(r"^(?P<kind>s)r(?:g(?P<after>\d+))?_nao\.csr$"),
    re.compile(r"^(?P<kind>S)R\.csr$"),
)
"""3.x and 2.x (with the step in front inside ``matrix/``), 3.9 and newer (geometry step from 1), get_S."""

_DENSE = re.compile(r"^data-(\d+)-([HS])$")

TRUE = ("true", "1", "t", "yes", "y", "on", ".true.")
"""What ABACUS takes for true, lower case."""

VECTORS = ("kspacing",)
"""Keywords of INPUT that may have several values."""

STEP_FOLDER = "matrix"
"""Folder inside OUT.* that holds one file per ionic step (``out_app_flag 0``)."""


@dataclass(frozen=True)
class MatrixFile:
    """One CSR file: what it holds ("H" or "S"), its spin (0 or 1), and the 0-based step its name states."""

    path: Path
    kind: str
    spin: int
    step: int | None


@dataclass(frozen=True)
class Calculation:
    """Folders of a calculation: where ABACUS was started, where it wrote, and the single file asked for, if any."""

    folder: Path
    output: Path
    only: MatrixFile | None = None


def matrix_file(path: Path) -> MatrixFile | None:
    """What a CSR file holds, by its name; None for other files."""
    for pattern in _NAMES:
        if match := pattern.match(plain_name(path)):
            fields = match.groupdict()
            spin = int(fields.get("spin0") or 0) if "spin0" in fields else int(fields.get("spin1") or 1) - 1
            step_before, step_after = fields.get("before"), fields.get("after")
            step = int(step_before) if step_before else int(step_after) - 1 if step_after else None
            return MatrixFile(path, fields["kind"].upper(), spin, step)
    return None


def matrix_files(output: Path) -> list[MatrixFile]:
    """All CSR files of H(R) and S(R) in an OUT folder and its ``matrix`` folder, in order of step and spin."""
    paths = [p for folder in (output, output / STEP_FOLDER) if folder.is_dir() for p in sorted(folder.iterdir())]
    files = [m for p in paths if (m := matrix_file(p)) is not None]
    return sorted(files, key=lambda m: (-1 if m.step is None else m.step, m.kind, m.spin))


def dense_file(output: Path, index: int, kind: str) -> Path | None:
    """The file ``data-<index>-<kind>`` of a k-point's dense matrix, or None."""
    return find_existing(output, f"data-{index}-{kind}")


def recognise(path: Path) -> bool:
    """Whether a path is an ABACUS calculation: its folder, its OUT folder, or a CSR file of H(R) or S(R)."""
    path = Path(path)
    if path.is_file():
        return matrix_file(path) is not None
    return path.is_dir() and (_is_output(path) or any(_is_output(p) for p in _outputs(path)))


def locate(path: Path) -> Calculation:
    """The folders of the calculation that a path belongs to.

    Raises:
        FileFormatError: The path is none of an ABACUS calculation, or it holds several.
    """
    path = Path(path)
    if path.is_file():
        single_file = matrix_file(path)
        if single_file is None:
            raise FileFormatError(
                "This file name is not one of ABACUS's H(R) or S(R) files (data-HR-sparse_SPIN0.csr, hrs1_nao.csr, "
                "...). Give the calculation's folder instead.", path=path
            )  # fmt: skip
        output = path.parent.parent if path.parent.name == STEP_FOLDER else path.parent
        return Calculation(output.parent, output, single_file)
    if not path.is_dir():
        raise FileFormatError("There is no such file or folder.", path=path)
    outputs = [p for p in _outputs(path) if _is_output(p)]
    if _is_output(path) and not (outputs and _holds_start(path)):
        return Calculation(path.parent if path.name.startswith("OUT.") else path, path)
    if len(outputs) != 1:
        names = ", ".join(p.name for p in outputs) or "none"
        raise FileFormatError(
            f"Expected one OUT.* folder with the output of ABACUS; found {names}. Give the OUT folder itself.",
            path=path,
        )
    return Calculation(path, outputs[0])


def _outputs(folder: Path) -> Iterator[Path]:
    return (p for p in sorted(folder.glob("OUT.*")) if p.is_dir())


def _is_output(folder: Path) -> bool:
    names = (p.name.removesuffix(COMPRESSED) for p in folder.iterdir())
    return (
        find_log(folder) is not None
        or any(_DENSE.match(name) for name in names)
        or bool(matrix_files(folder))
    )


def _holds_start(folder: Path) -> bool:
    """Whether the matrices in a folder are an H(R) alone, without log and S(R): what ``init_chg hr`` starts from."""
    return find_log(folder) is None and {m.kind for m in matrix_files(folder)} == {"H"}


def read_input(calculation: Calculation) -> dict[str, str]:
    """Keywords of the INPUT file (lower case), or of the copy in the OUT folder; empty where there is none.

    A keyword has its first value, those of :data:`VECTORS` all of theirs.
    """
    candidates = ((calculation.folder, "INPUT"), (calculation.folder, "INPUT.scf"), (calculation.output, "INPUT"))
    path = next((p for folder, name in candidates if (p := find_existing(folder, name))), None)
    if path is None:
        return {}
    words = [w for line in read_lines(path) if len(w := strip_comment_of_input(line).split()) > 1]
    return {name.lower(): " ".join(rest) if name.lower() in VECTORS else rest[0] for name, *rest in words}


def nspin_of_input(keywords: Mapping[str, str]) -> str:
    """``nspin`` as ABACUS takes it from INPUT: 4 with ``noncolin`` or ``lspinorb``, whatever it says itself."""
    is_spinor = any(keywords.get(name, "0").lower() in TRUE for name in ("noncolin", "lspinorb"))
    return "4" if is_spinor else keywords.get("nspin", "1")


def find_stru(calculation: Calculation, keywords: dict[str, str]) -> Path | None:
    """The STRU file of the run, or None."""
    name = keywords.get("stru_file", "STRU")
    return next((p for folder in (calculation.folder, calculation.output) if (p := find_existing(folder, name))), None)


def find_library_file(calculation: Calculation, name: str, library: str | None) -> Path | None:
    """A ``.orb`` or ``.upf`` file: in the folder that INPUT names, beside the run, or one folder above.

    Args:
        calculation: The run.
        name: File name as in STRU.
        library: ``orbital_dir`` or ``pseudo_dir`` of INPUT, relative to the run.
    """
    folder = calculation.folder
    folders = ([folder / library] if library else []) + [folder, calculation.output, folder.parent]
    return next((p for f in folders if name and (p := find_existing(f, name))), None)
