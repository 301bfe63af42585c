"""Calculations of OpenMX as records: structure, basis, H(R), S(R), and the code's own eigenvalues."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...core.basis import OrbitalBasis
from ...core.errors import FileFormatError
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.spin import spinor_matrix
from ...core.structure import Structure
from ..text import find_existing, plain_name, read_text
from .input import Input, Species, parse_input
from .output import Output, read_bands, read_output
from .pao import read_basis, to_our_order
from .scfout import CLUSTER_SOLVER, COLLINEAR, SPINOR, ScfOut, read_scfout

SPIN_NAMES = {0: "1", COLLINEAR: "2", SPINOR: "4"}
"""Spin switch -> nspin of the provenance."""


def read_calculation(path: Path, pao_dir: Path | None = None) -> Record:
    """The calculation that wrote a ``.scfout`` file; ``.out`` and ``.Band`` beside it are used where they exist.

    Args:
        path: The ``.scfout`` file (``.xz`` as well).
        pao_dir: Folder with the ``.pao`` files; searched for if not given (:func:`find_pao`). Without them the
            shells have no radial functions.

    Raises:
        FileFormatError: A file is damaged, or the input in the ``.scfout`` does not fit its matrices.
    """
    f = read_scfout(path)
    stem = plain_name(path).removesuffix(".scfout")
    settings = parse_input(f.input_text, path)
    atoms = settings.atoms
    _require_fit(f, atoms, path)
    output = _output(f, settings, path.parent, stem)
    bands = find_existing(path.parent, f"{stem}.Band")
    lists = [] if bands is None else [read_bands(bands)[0]]
    if output.eigenvalues is not None:
        lists.append(output.eigenvalues)
    basis, basis_note = read_basis(settings, path.parent, pao_dir)
    structure = _structure(f, atoms, settings)
    hamiltonian, overlap = _matrices(f, basis, structure)
    version = output.version or f"{f.codes} (.scfout format {f.version})"
    sources = ", ".join(e.source for e in lists) or "none"
    summary = (
        f"OpenMX {version}: {path.name}, {structure.formula}, {len(structure)} atoms, "
        f"{'molecule' if structure.cell is None else 'crystal'}, {overlap.size} orbitals, nspin {SPIN_NAMES[f.spin]}; "
        f"eigenvalues: {sources}; {basis_note}"
    )
    return Record(
        structure,
        basis,
        hamiltonian,
        overlap,
        f.n_electrons,
        fermi=f.fermi,
        energy=output.energy,
        eigenvalues=tuple(lists),
        provenance={
            "code": "OpenMX",
            "version": version,
            "functional": settings.keyword("scf.XcType", "LDA"),
            "nspin": SPIN_NAMES[f.spin],
            "source": str(path),
            "found": summary,
            "pair_support": f"H and S on the same {len(overlap)} pairs",
        },
    )


def _require_fit(f: ScfOut, atoms: list[Species], path: Path) -> None:
    """Refuse an input text that does not describe the matrices."""
    n_orbitals = [sum(2 * l + 1 for l in s.angular_momenta) for s in atoms]
    if n_orbitals != f.orbitals.tolist():
        raise FileFormatError(
            f"The input in the file describes {len(atoms)} atoms with {sum(n_orbitals)} orbitals, the matrices have "
            f"{len(f.orbitals)} atoms with {int(f.orbitals.sum())}. Transport calculations (NEGF) are not supported.",
            path=path,
        )


def _output(f: ScfOut, settings: Input, folder: Path, stem: str) -> Output:
    """What the ``.out`` file says: the one beside the ``.scfout``, or text appended to it."""
    file = find_existing(folder, f"{stem}.out")
    text = read_text(file) if file is not None else f.appended
    if not text:
        return Output("", None, None)
    words = settings.keyword("scf.Kgrid", "1 1 1").split()
    mesh = (int(words[0]), int(words[1]), int(words[2])) if len(words) == 3 else (1, 1, 1)
    source = file if file is not None else folder / f"{stem}.scfout"
    output = read_output(text, source, 2 if f.spin == COLLINEAR else 1, mesh)
    levels = int(f.orbitals.sum()) * (2 if f.spin == SPINOR else 1)
    if output.eigenvalues is not None and output.eigenvalues.energies.shape[-1] > levels:
        raise FileFormatError(
            f"It lists {output.eigenvalues.energies.shape[-1]} levels; the matrices have {levels}. Is it of another "
            "calculation?", path=source,
        )  # fmt: skip
    return output


def _structure(f: ScfOut, atoms: list[Species], settings: Input) -> Structure:
    """The geometry the matrices belong to, unfolded; a molecule for the cluster solver without periodic images."""
    molecule = f.solver == CLUSTER_SOLVER and not f.shifts.any()
    return Structure(
        np.array([s.number for s in atoms]),
        f.positions,
        None if molecule else f.cell,
        round(settings.charge),
        round(abs(f.moment)) if molecule else 0,
        settings.keyword("System.Name"),
    )


def _matrices(f: ScfOut, basis: OrbitalBasis, structure: Structure) -> tuple[tuple[BlockMatrix, ...], BlockMatrix]:
    """H per spin direction (or the spinor H) and S in our conventions, exactly Hermitian."""

    def matrix(values: NDArray[np.float64] | NDArray[np.complex128]) -> BlockMatrix:
        plain = BlockMatrix(f.orbitals, f.pairs, f.shifts, values)
        return to_our_order(plain, basis, structure.numbers)

    overlap = matrix(f.overlap).symmetrize()
    if f.spin != SPINOR:
        return tuple(matrix(h).symmetrize() for h in f.hamiltonian), overlap
    up = matrix(f.hamiltonian[0] + 1j * f.imaginary[0])
    down = matrix(f.hamiltonian[1] + 1j * f.imaginary[1])
    up_down = matrix(f.hamiltonian[2] + 1j * (f.hamiltonian[3] + f.imaginary[2]))
    return (spinor_matrix(up, up_down, up_down.adjoint().on_pairs_of(up), down).symmetrize(),), overlap
