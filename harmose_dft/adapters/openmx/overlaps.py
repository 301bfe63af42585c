"""Overlap-only runs of OpenMX, patched to write S(R) without a self-consistent calculation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ...core.errors import FileFormatError
from ...core.record import Record
from ..keyed_blocks import assemble_matrix, read_keyed_blocks
from ..text import plain_name, read_text
from .input import Input, parse_input
from .output import read_output
from .pao import read_basis, to_our_order


def read_overlap_only(folder: Path, pao_dir: Path | None = None) -> Record:
    """The calculation of an OpenMX patched to write overlaps only: ``output/overlaps_<rank>.h5`` and an input.

    Positions are taken as the input has them (OpenMX does not fold them before it numbers the cells). Chemical
    potential and eigenvalues do not exist; the number of electrons is that of the input's initial populations.

    Args:
        folder: The folder that holds ``output/`` and one input file ``.dat``.
        pao_dir: As for :func:`read_calculation`.

    Raises:
        FileFormatError: There is not exactly one input file, or blocks do not fit it.
    """
    settings = _only_input(folder)
    structure = settings.structure()
    basis, basis_note = read_basis(settings, folder, pao_dir)
    files = sorted((folder / "output").glob("overlaps_*.h5"))
    blocks = {}
    for file in files:
        blocks.update(read_keyed_blocks(file))
    orbitals = basis.orbitals_per_atom(structure.numbers)
    overlap = to_our_order(assemble_matrix(blocks, orbitals, files[0]), basis, structure.numbers).symmetrize()
    if not overlap.shifts.any() and settings.keyword("scf.EigenvalueSolver").lower() == "cluster":
        structure = replace(structure, cell=None)
    log = next((f for f in sorted(folder.glob("*.out*")) if plain_name(f).endswith(".out")), None)
    version = (read_output(read_text(log), log, 1, (1, 1, 1)).version if log else "") or "unknown"
    return Record(
        structure,
        basis,
        (),
        overlap,
        settings.valence_electrons(),
        provenance={
            "code": "OpenMX",
            "version": version,
            "functional": settings.keyword("scf.XcType", "LDA"),
            "nspin": "1",
            "source": str(folder),
            "found": f"OpenMX {version}, overlap only: {structure.formula}, {len(structure)} atoms, {overlap.size} "
            f"orbitals; {basis_note}",
            "pair_support": f"S on {len(overlap)} pairs, no H",
        },
    )


def _only_input(folder: Path) -> Input:
    """The input in a folder that has exactly one."""
    files = [f for f in sorted(folder.iterdir()) if plain_name(f).endswith(".dat")]
    if len(files) != 1:
        raise FileFormatError(
            f"Expected the one input file (.dat) of the overlap calculation beside output/; found "
            f"{', '.join(f.name for f in files) or 'none'}.", path=folder,
        )  # fmt: skip
    return parse_input(read_text(files[0]), files[0])
