"""Collecting the CSR matrices of every ionic step and refusing those that do not belong together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...core.errors import FileFormatError
from ...core.matrix import BlockMatrix
from ..text import plain_name
from .csr import CsrSection, read_csr
from .files import Calculation, MatrixFile, matrix_files

HERMITIAN_WITHIN = 1e-6
"""H(R) and H(-R)^+ (Hartree), S(R) and S(-R)^T may differ by this much; files have 8 decimals."""

NORMALISED_WITHIN = 0.05
"""Diagonal elements of S(R = 0) may differ from one by this much."""

GET_S = "SR.csr"
"""File that ``calculation get_S`` writes; beside H(R) it is a leftover of another run."""

Located = tuple[MatrixFile, CsrSection]
_Sections = dict[tuple[int, int], Located]


@dataclass(frozen=True, eq=False)
class StepMatrices:
    """Matrices of one ionic step with their files: spin directions of H (none: overlap only) and S."""

    step: int
    hamiltonian: tuple[Located, ...]
    overlap: Located


def collect(calculation: Calculation, nspin: int | None) -> list[StepMatrices]:
    """The matrices of all ionic steps; empty where a calculation has no CSR files.

    Args:
        calculation: The folders, and the single file to read where one was asked for.
        nspin: 1, 2 or 4, where the log states it.

    Raises:
        FileFormatError: A file is damaged or missing, or files do not belong together.
    """
    files = _select_files(calculation)
    hamiltonians, overlaps = [f for f in files if f.kind == "H"], [f for f in files if f.kind == "S"]
    if hamiltonians and not overlaps:
        raise FileFormatError(
            "There is H(R) but no S(R) file (data-SR-sparse_SPIN0.csr, srs1_nao.csr, sr_nao.csr). Copy it as well.",
            path=calculation.output,
        )
    h, s = _collect_sections(hamiltonians), _collect_sections(overlaps)
    steps = sorted({step for step, _ in h or s})
    return [_pair_matrices(step, h, s, nspin) for step in steps]


def _select_files(calculation: Calculation) -> list[MatrixFile]:
    """CSR files to read: one of each matrix."""
    single_file = calculation.only
    if single_file is not None and single_file.kind == "S":
        return [single_file]
    files = [f for f in matrix_files(calculation.output) if single_file is None or f.step == single_file.step]
    pair = any(f.kind == "H" for f in files) and any(f.kind == "S" and plain_name(f.path) != GET_S for f in files)
    files = [f for f in files if not (pair and plain_name(f.path) == GET_S)]
    by_key: dict[tuple[str, int | None, int], MatrixFile] = {}
    for file in files:
        previous = by_key.setdefault((file.kind, file.step, file.spin), file)
        if previous is not file:
            raise FileFormatError(
                f"{previous.path.name} and {file.path.name} hold the same matrix. Remove the one that is out of date.",
                path=file.path,
            )
    return files


def _collect_sections(files: list[MatrixFile]) -> _Sections:
    """(step, spin) -> section, over all files; the step in a file's name goes before that in its header."""
    out: _Sections = {}
    for file in files:
        for order, section in enumerate(read_csr(file.path)):
            if section.label != file.kind:
                raise FileFormatError(
                    f"The name promises {file.kind}(R), the header says {section.label}(R).", path=file.path,
                    line=section.line,
                )  # fmt: skip
            section_step = order if section.step is None else section.step
            step = section_step if file.step is None else file.step
            if (step, file.spin) in out:
                raise FileFormatError(f"Ionic step {step} occurs twice.", path=file.path, line=section.line)
            out[step, file.spin] = file, section
    return out


def _pair_matrices(step: int, hamiltonians: _Sections, overlaps: _Sections, nspin: int | None) -> StepMatrices:
    """The matrices of one step, with everything checked that needs no orbitals."""
    spin_channels = tuple(hamiltonians[step, spin] for spin in (0, 1) if (step, spin) in hamiltonians)
    if (step, 0) not in overlaps:
        file, section = spin_channels[0]
        raise FileFormatError(
            f"There is no S(R) of ionic step {step}. Are the H and S files of one run?", path=file.path,
            line=section.line,
        )  # fmt: skip
    overlap_file, overlap = overlaps[step, 0]
    for file, section in spin_channels:
        if section.size != overlap.size:
            raise FileFormatError(
                f"H(R) has dimension {section.size}, S(R) in {overlap_file.path.name} has {overlap.size}. They are "
                "not of one run.", path=file.path, line=section.line
            )  # fmt: skip
    if spin_channels:
        _check_spin(spin_channels, nspin)
    return StepMatrices(step, spin_channels, (overlap_file, overlap))


def _check_spin(spin_channels: tuple[Located, ...], nspin: int | None) -> None:
    """Refuse spin directions that do not fit each other or the log."""
    file, section = spin_channels[0]
    nspin_read = 4 if section.complex else len(spin_channels)
    if section.complex and len(spin_channels) > 1:
        problem = "a complex H(R) (nspin 4) and a second spin direction cannot go together"
    elif file.spin != 0:
        problem = "the first spin direction is missing"
    elif nspin is not None and nspin_read != nspin:
        kind = {1: "one real H(R)", 2: "two spin directions of H(R)", 4: "one complex H(R)"}[nspin_read]
        problem = f"the run has nspin = {nspin}, but the files hold {kind}"
    else:
        return
    raise FileFormatError(
        f"Spin mismatch: {problem}. A file is missing or of another run.", path=file.path, line=section.line
    )


def check_hermitian(matrix: BlockMatrix, label: str, path: Path, line: int) -> None:
    """Refuse a matrix whose blocks at R and -R do not belong together.

    Raises:
        FileFormatError: They differ.
    """
    error = matrix.hermiticity_error()
    if error > HERMITIAN_WITHIN:
        raise FileFormatError(
            f"{label}(R) is not the adjoint of {label}(-R): they differ by {error:.2e}. A block is missing or damaged, "
            "or only half of the matrix was written.", path=path, line=line
        )  # fmt: skip


def check_overlap(overlap: BlockMatrix, path: Path, line: int) -> None:
    """Refuse a matrix that cannot be the overlap of normalised orbitals.

    Raises:
        FileFormatError: It is not symmetric, or a diagonal element is not one.
    """
    check_hermitian(overlap, "S", path, line)
    atoms = np.arange(len(overlap.orbitals))
    on_site = overlap.find(np.stack([atoms, atoms], axis=1), np.zeros((len(atoms), 3), dtype=np.int64))
    worst = max(float(np.abs(np.diag(overlap.block(e)) - 1).max()) if e >= 0 else np.inf for e in on_site.tolist())
    if worst > NORMALISED_WITHIN:
        raise FileFormatError(
            f"A diagonal element of S(R = 0) differs from one by {worst:.2g}. This is not the overlap of normalised "
            "orbitals.", path=path, line=line
        )  # fmt: skip


def unite(hamiltonian: list[BlockMatrix], overlap: BlockMatrix) -> tuple[list[BlockMatrix], BlockMatrix, str]:
    """All matrices on the union of their pairs, and a sentence about it."""
    if not hamiltonian:
        return [], overlap, f"{len(overlap)} pairs of S"
    n_overlap = len(overlap)
    for matrix in hamiltonian:
        _, overlap = matrix.unite_with(overlap)
    sizes = " and ".join(str(len(m)) for m in hamiltonian)
    text = f"union of {len(overlap)} pairs: H has {sizes}, S has {n_overlap}"
    return [matrix.on_pairs_of(overlap) for matrix in hamiltonian], overlap, text
