"""Reading an ABACUS calculation into records."""

from __future__ import annotations

from pathlib import Path

from ...core.basis import OrbitalBasis
from ...core.errors import FileFormatError
from ...core.guard import name_damage
from ...core.matrix import BlockMatrix
from ...core.record import CONVERGED, Record
from ...core.soundness import require_sound
from ...core.structure import SYMBOLS, Structure
from ...core.units import RYDBERG_IN_HARTREE
from .blocks import OrbitalMap, spatial_part, to_blocks
from .constants import CSR_PRECISION
from .dense import gamma_blocks, nearest_image, read_dense
from .files import dense_file, locate
from .matrices import StepMatrices, check_hermitian, check_overlap, collect, unite
from .run import Run
from .structure import structure_from_header


def read(path: Path) -> list[Record]:
    """Read an ABACUS calculation.

    Args:
        path: Folder of the calculation, its OUT folder, or one CSR file of H(R) or S(R) (S(R): overlap only).

    Returns:
        One record per ionic step that has matrices. Atoms are in ABACUS's order (species by species) and folded into
        the cell, which is what the lattice vectors of the matrices refer to.

    Raises:
        FileFormatError: A file is missing, damaged, of an unknown version, or does not belong to the others.
    """
    with name_damage(path, "The calculation"):
        run = Run.at(locate(Path(path)))
        basis = run.basis()
        steps = collect(run.calculation, run.nspin)
        if not steps:
            return [_gamma_record(run, basis)]
        return [_record(run, basis, matrices, len(steps), matrices is steps[-1]) for matrices in steps]


def _record(run: Run, basis: OrbitalBasis, matrices: StepMatrices, steps: int, last: bool) -> Record:
    """The record of one ionic step from its CSR sections."""
    file, section = matrices.overlap
    header = structure_from_header(section.cell_text, file.path) if section.cell_text else None
    structure = run.structure(matrices.step, steps, header)
    numbers = structure.numbers.tolist()
    spinor = section.complex or (not matrices.hamiltonian and run.nspin == 4)
    spatial, rows = OrbitalMap.of(numbers, basis, False), OrbitalMap.of(numbers, basis, spinor)
    if len(rows.atom) != section.size:
        labels = ", ".join(f"{SYMBOLS[z]} {basis.label(z)}" for z in basis.elements)
        raise FileFormatError(
            f"The matrix has dimension {section.size}; {structure.formula} with the orbitals {labels} has "
            f"{len(rows.atom)}. STRU, orbital files and matrix are not of one run.", path=file.path, line=section.line
        )  # fmt: skip
    overlap = to_blocks(spatial_part(section, file.path) if spinor else section, spatial, 1.0)
    check_overlap(overlap, file.path, section.line)
    hamiltonian = []
    for h_file, h_section in matrices.hamiltonian:
        hamiltonian.append(to_blocks(h_section, rows, RYDBERG_IN_HARTREE))
        check_hermitian(hamiltonian[-1], "H", h_file.path, h_section.line)
    if section.gamma_only:
        hamiltonian = [nearest_image(h, structure) for h in hamiltonian]
        overlap = nearest_image(overlap, structure)
    hamiltonian, overlap, support = unite(hamiltonian, overlap)
    files = [f.path for f, _ in matrices.hamiltonian] + [file.path]
    contents = f"{'H(R) and ' if hamiltonian else ''}S(R) with {len(section.shifts)} lattice vectors"
    contents += " (gamma_only: lattice sums, each block given to the nearest image)" if section.gamma_only else ""
    provenance = {"step": str(matrices.step), "pair_support": support, "matrix_precision": str(CSR_PRECISION)}
    return _assemble_record(run, structure, basis, hamiltonian, overlap, files, contents, provenance, last)


def _gamma_record(run: Run, basis: OrbitalBasis) -> Record:
    """The record of a Gamma-only run, whose only matrices are ``data-<ik>-H`` and ``data-<ik>-S``."""
    spins = 2 if run.nspin == 2 else 1
    paths = [*(dense_file(run.output, n, "H") for n in range(spins)), dense_file(run.output, 0, "S")]
    files = [path for path in paths if path is not None]
    if len(files) < len(paths) or not run.gamma_only:
        raise FileFormatError(
            "Not all files of H(R) and S(R) are there. Run ABACUS with 'gamma_only 0' and 'out_mat_hs2 1'; only a "
            "Gamma-point run can be read from the dense matrices of 'out_mat_hs 1'.", path=run.output
        )  # fmt: skip
    structure = run.structure(0, 1, None)
    spinor = run.nspin == 4
    size = int(basis.orbitals_per_atom(structure.numbers).sum()) * (2 if spinor else 1)
    matrices = [read_dense(path) for path in files]
    for path, matrix in zip(files, matrices, strict=True):
        if len(matrix) != size:
            raise FileFormatError(
                f"The matrix has dimension {len(matrix)}; STRU and orbitals give {size}. They are not of one run.",
                path=path, line=1,
            )  # fmt: skip
    *dense, s = matrices if spinor else [matrix.real for matrix in matrices]
    overlap = gamma_blocks((s[::2, ::2] if spinor else s).real, structure, basis, False)
    hamiltonian = [gamma_blocks(h * RYDBERG_IN_HARTREE, structure, basis, spinor) for h in dense]
    contents = "H and S at Gamma (sums over lattice vectors; each block is given to the nearest image)"
    provenance = {"step": "0", "pair_support": "all pairs, nearest image"}
    return _assemble_record(run, structure, basis, hamiltonian, overlap, files, contents, provenance, True)


def _assemble_record(
    run: Run, structure: Structure, basis: OrbitalBasis, hamiltonian: list[BlockMatrix], overlap: BlockMatrix,
    files: list[Path], contents: str, provenance: dict[str, str], last: bool,
) -> Record:  # fmt: skip
    """A record with the facts of the log and of the eigenvalue files."""
    step = int(provenance["step"])
    eigenvalues = run.eigenvalues(step, last, len(hamiltonian)) if hamiltonian else ()
    spinor = bool(hamiltonian) and hamiltonian[0].spinor
    nspin = run.nspin or (4 if spinor else max(len(hamiltonian), 1))
    summary = (
        f"ABACUS {run.version or '(version not stated)'}, {run.functional or 'functional not stated'}, nspin {nspin}: "
        f"{structure.formula}, {overlap.size} orbitals, {contents}, ionic step {step}"
    ) + "".join(f", eigenvalues at {len(e.kpoints)} k-points ({e.source})" for e in eigenvalues)
    if unknown := [SYMBOLS[z] for z in basis.elements if not basis.has_radial([z])]:
        summary += f"; no radial functions: the .orb files of {', '.join(unknown)} were not found"
    log_facts = {
        "code": "ABACUS", "version": run.version, "functional": run.functional, "nspin": str(nspin),
        "source": ", ".join(str(path) for path in files), "structure": str(run.stru.path), "found": summary,
        "atoms": "in ABACUS's order (species by species), folded into the cell",
    }  # fmt: skip
    if hamiltonian and (converged := run.is_converged(step)) is not None:
        log_facts[CONVERGED] = "yes" if converged else "no"
    record = Record(
        structure, basis, tuple(hamiltonian), overlap, run.electrons(), run.fermi(step), run.energy(step), eigenvalues,
        log_facts | provenance,
    )  # fmt: skip
    return require_sound(record, str(files[0]))
