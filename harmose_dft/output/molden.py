"""Molden files: structure, Gaussian basis and orbitals, for Jmol, Avogadro, Multiwfn and others."""

from __future__ import annotations

from pathlib import Path

from ..core.basis import GaussianRadial, OrbitalBasis
from ..core.conventions import MOLDEN
from ..core.errors import HarmoseError
from ..core.files import atomic_path
from ..core.spectrum import Spectrum
from ..core.structure import Structure


def write_molden(
    path: str | Path, structure: Structure, basis: OrbitalBasis, spectrum: Spectrum, *, force: bool = False
) -> None:
    """Write a molecule's orbitals in the Molden format (spherical harmonics, atomic units).

    Args:
        path: The file.
        structure: The molecule.
        basis: Contracted Gaussians for every element of the molecule.
        spectrum: Its orbitals.
        force: Whether an existing file may be replaced.

    Raises:
        HarmoseError: The basis is not Gaussian, or the structure is a crystal.
        OutputExistsError: The file exists and ``force`` is false.
    """
    if structure.periodic or spectrum.energies.ndim != 1:
        raise HarmoseError("A Molden file holds the orbitals of a molecule; this structure is a crystal.")
    with atomic_path(path, force) as temporary:
        lines = ["[Molden Format]", "[Title]", f"{structure.formula} by harmose_dft", *_atoms(structure)]
        lines += [*_basis(structure, basis), "[5D]", "[7F]", "[9G]", *_orbitals(structure, basis, spectrum)]
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")


def _atoms(structure: Structure) -> list[str]:
    lines = ["[Atoms] AU"]
    for i, (symbol, z, (x, y, w)) in enumerate(
        zip(structure.symbols, structure.numbers, structure.positions, strict=True), start=1
    ):
        lines.append(f"{symbol:<3} {i:4d} {z:3d} {x:18.10f} {y:18.10f} {w:18.10f}")
    return lines


def _basis(structure: Structure, basis: OrbitalBasis) -> list[str]:
    lines = ["[GTO]"]
    for i, z in enumerate(structure.numbers.tolist(), start=1):
        lines.append(f"{i} 0")
        for shell in basis.shells[z]:
            if not isinstance(shell.radial, GaussianRadial):
                raise HarmoseError(
                    f"Molden files hold Gaussian orbitals; the basis {basis.name} is not made of them. "
                    "Write a cube file instead (--cube HOMO,LUMO)."
                )
            lines.append(f"{'spdfg'[shell.l]} {len(shell.radial.exponents)} 1.00")
            lines += [
                f"{a:24.14E} {c:24.14E}"
                for a, c in zip(shell.radial.exponents, shell.radial.coefficients, strict=True)
            ]
        lines.append("")
    return lines


def _orbitals(structure: Structure, basis: OrbitalBasis, spectrum: Spectrum) -> list[str]:
    index, sign = MOLDEN.from_ours(basis.shell_sequence(structure.numbers))
    coefficients = spectrum.coefficients[index] * sign[:, None]
    lines = ["[MO]"]
    for energy, occupation, column in zip(spectrum.energies, spectrum.occupations, coefficients.T, strict=True):
        lines += ["Sym= A", f"Ene= {energy:.10f}", "Spin= Alpha", f"Occup= {occupation:.6f}"]
        lines += [f"{i:5d} {c:22.14E}" for i, c in enumerate(column, start=1)]
    return lines
