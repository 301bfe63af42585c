"""What both folder layouts of DeepH share: units, the spin layout of H, and records made from its parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from ...core.basis import OrbitalBasis, Shell
from ...core.conventions import OrbitalConvention
from ...core.errors import FileFormatError
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.spin import spin_block, spinor_matrix
from ...core.structure import SYMBOLS, Structure

DEEPH_HARTREE_IN_EV: Final = 27.2113845
"""1 Hartree in electronvolt, as DeepH-pack and DeepH-dock convert OpenMX's matrices."""

DEEPH_BOHR_IN_ANGSTROM: Final = 0.529177249
"""1 Bohr in Angstrom, as DeepH-pack and DeepH-dock convert OpenMX's positions."""

VACUUM: Final = 20.0
"""Bohr of empty space on each side of a molecule, which DeepH can only hold in a cell."""

ELECTRONS = "n_electrons"
"""Key that we add to info.json: DeepH does not keep the number of electrons."""


def read_info(path: Path) -> dict[str, Any]:
    """The dictionary of an info.json.

    Raises:
        FileFormatError: It is missing or no JSON object.
    """
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise FileFormatError("The folder has no info.json. Is it a complete DeepH folder?", path=path) from error
    except (OSError, ValueError) as error:
        raise FileFormatError(f"The file is not readable JSON ({error}).", path=path) from error
    if not isinstance(info, dict):
        raise FileFormatError("Expected a JSON object.", path=path)
    return info


def basis_of(orbitals: Mapping[int, Sequence[int]]) -> OrbitalBasis:
    """A basis without radial functions from the angular momenta of each element's shells."""
    shells = {z: tuple(Shell(int(l)) for l in momenta) for z, momenta in orbitals.items()}
    return OrbitalBasis("+".join(OrbitalBasis("", shells).label(z) + f"({SYMBOLS[z]})" for z in sorted(shells)), shells)


def to_our_order(
    matrix: BlockMatrix, convention: OrbitalConvention, basis: OrbitalBasis, structure: Structure
) -> BlockMatrix:
    """A matrix brought from a convention to ours."""
    return matrix.reorder(*convention.to_ours(basis.shell_sequence(structure.numbers.tolist())))


def to_their_order(
    matrix: BlockMatrix, convention: OrbitalConvention, basis: OrbitalBasis, structure: Structure
) -> BlockMatrix:
    """A matrix brought from our convention to another."""
    return matrix.reorder(*convention.from_ours(basis.shell_sequence(structure.numbers.tolist())))


def make_record(
    structure: Structure,
    basis: OrbitalBasis,
    hamiltonian: BlockMatrix | None,
    overlap: BlockMatrix,
    info: Mapping[str, Any],
    fermi_key: str,
    layout: str,
    folder: Path,
) -> Record:
    """A record from matrices in Hartree and our order, which are put on the union of their pairs."""
    pairs = f"S on {len(overlap)} pairs, no H"
    matrices: tuple[BlockMatrix, ...] = ()
    if hamiltonian is not None:
        n_before = len(hamiltonian), len(overlap)
        hamiltonian, overlap = hamiltonian.unite_with(overlap)
        complete = n_before == (len(overlap), len(overlap))
        pairs = f"H and S on the same {len(overlap)} pairs" if complete else (
            f"union of {n_before[0]} pairs of H and {n_before[1]} of S: {len(overlap)}; missing blocks are zero"
        )
        matrices = tuple(m.symmetrize() for m in spin_directions(hamiltonian))
    fermi = info.get(fermi_key)
    electrons = float(info.get(ELECTRONS, np.nan))
    nspin = "4" if matrices and matrices[0].spinor else str(max(len(matrices), 1))
    electron_note = "" if np.isfinite(electrons) else "; the number of electrons is not known"
    return Record(
        structure,
        basis,
        matrices,
        overlap.symmetrize(),
        electrons,
        fermi=None if fermi is None else float(fermi) / DEEPH_HARTREE_IN_EV,
        provenance={
            "code": "DeepH",
            "version": layout,
            "functional": "unknown",
            "nspin": nspin,
            "source": str(folder),
            "found": f"DeepH folder ({layout}): {structure.formula}, {len(structure)} atoms, "
            f"{overlap.size} orbitals, nspin {nspin}; {pairs}; no radial functions{electron_note}",
            "pair_support": pairs,
        },
    )


def spin_directions(hamiltonian: BlockMatrix) -> tuple[BlockMatrix, ...]:
    """The matrix itself, or spin up and down of a real spinor matrix whose up-down blocks vanish (collinear spin)."""
    if not hamiltonian.spinor or hamiltonian.values.dtype.kind == "c":
        return (hamiltonian,)
    spin_blocks = {(r, c): spin_block(hamiltonian, r, c) for r in (0, 1) for c in (0, 1)}
    if spin_blocks[0, 1].values.any() or spin_blocks[1, 0].values.any():
        return (hamiltonian,)
    return spin_blocks[0, 0], spin_blocks[1, 1]


def single_hamiltonian(record: Record) -> BlockMatrix | None:
    """H of a record as DeepH keeps it: one matrix, of spinors for collinear spin too."""
    if len(record.hamiltonian) < 2:
        return record.hamiltonian[0] if record.hamiltonian else None
    up, down = record.hamiltonian
    up, down = up.unite_with(down)
    zero = up.with_values(np.zeros_like(up.values))
    return spinor_matrix(up, zero, zero, down)


def put_in_box(structure: Structure) -> Structure:
    """A structure with a cell: a molecule's is a cube with :data:`VACUUM` around it; positions stay as they are."""
    if structure.cell is not None:
        return structure
    edge = float(np.ptp(structure.positions, axis=0).max()) + 2 * VACUUM
    return Structure(
        structure.numbers, structure.positions, edge * np.eye(3), structure.charge, structure.spin, structure.name
    )
