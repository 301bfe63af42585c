"""Makes the geometries of molecules and ions that models are trained on, to be labelled by ``harmose-dft label``.

    python benchmarks/organic/geometries.py LIST OUT.xyz
    harmose-dft label OUT.xyz --recipe corrected -o labels.h5

LIST has a line ``CHARGE SMILES KIND`` for each molecule; ``labelled.txt`` (SMILES, charge, seed, kind, number) is read
too. RDKit embeds a molecule, GFN2-xTB relaxes it, and for five in six a short Langevin run displaces it at 150 to 700
K; ions and zwitterions (kind ``ion``) are in implicit water, so that protons stay. Geometries of number 1, 2 and 3 are
further ones of the smallest molecules, at 0, 600 and 1200 K. Hydrogen halides, which the common lists lack, are put
down at given distances. Everything follows from the SMILES, whose crc32 plus number is the seed, and from the versions
of RDKit and tblite (``pip install harmose-dft[sampling]``). Molecules whose bonds are no longer those of their SMILES
are left out, and named.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import click
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ase import Atoms, units
from ase.io import read, write
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.neighborlist import natural_cutoffs, neighbor_list
from ase.optimize import BFGS
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.ase import TBLite

TEMPERATURES = (0.0, 150.0, 300.0, 300.0, 500.0, 700.0)
"""Kelvin; at 0 the relaxed geometry is kept."""

FURTHER_TEMPERATURES = (0.0, 600.0, 1200.0)
"""Kelvin, of further geometries."""

HALIDES = {"F": 0.917, "Cl": 1.275, "Br": 1.414}
"""Distance from the hydrogen atom, Angstrom, by the SMILES of a hydrogen halide; it is no bond to RDKit's distances."""

STRETCHES = (1.0, 0.94, 1.08, 1.2)
"""Factors of these distances, by number of the geometry."""


def read_list(path: Path) -> list[tuple[str, int, str, int]]:
    """SMILES, charge, kind and number of the geometry of each line, in either order of the columns.

    Raises:
        click.UsageError: A line has neither.
    """
    entries = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        words = [] if line.startswith("# ") else line.split()
        if len(words) >= 4 and words[3] != "openmx":
            entries.append((words[0], int(words[1]), words[3], int(words[4]) if len(words) > 4 else 0))
        elif len(words) == 3:
            entries.append((words[1], int(words[0]), words[2], 0))
        elif words and words[3:4] != ["openmx"]:
            raise click.UsageError(f"{path}, line {number}: expected CHARGE SMILES KIND, got {line!r}.")
    return entries


def make_geometry(smiles: str, charge: int, kind: str, number: int = 0) -> Atoms:
    """A relaxed or thermally displaced geometry, Angstrom.

    Raises:
        ValueError: RDKit finds none, or its bonds are not those of the SMILES.
    """
    info = {"smiles": smiles, "charge": charge, "kind": kind, "number": number}
    if smiles in HALIDES:
        distance = HALIDES[smiles] * STRETCHES[number]
        return Atoms(f"H{smiles}", [[0.0, 0.0, 0.0], [0.0, 0.0, distance]], info=info)
    seed = zlib.crc32(smiles.encode()) + number
    rng = np.random.default_rng(seed)
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if Chem.GetFormalCharge(mol) != charge:
        raise ValueError(f"formal charge {Chem.GetFormalCharge(mol)}")
    if AllChem.EmbedMolecule(mol, randomSeed=int(seed % 2**31)) != 0:
        raise ValueError("embedding failed")
    if AllChem.MMFFHasAllMoleculeParams(mol):
        AllChem.MMFFOptimizeMolecule(mol)
    atoms = Atoms([a.GetSymbol() for a in mol.GetAtoms()], mol.GetConformer().GetPositions())
    temperature = FURTHER_TEMPERATURES[number - 1] if number else float(rng.choice(TEMPERATURES))
    if len(atoms) > 1:
        solvation = {"solvation": ("alpb", "water")} if charge or kind == "ion" else {}
        atoms.calc = TBLite(method="GFN2-xTB", charge=charge, multiplicity=1, verbosity=0, **solvation)
        BFGS(atoms, logfile=None).run(fmax=0.02, steps=120)
        if temperature > 0:
            MaxwellBoltzmannDistribution(atoms, temperature_K=temperature, rng=rng)
            dynamics = Langevin(atoms, 0.5 * units.fs, temperature_K=temperature, friction=0.02 / units.fs, rng=rng)
            dynamics.run(int(rng.integers(150, 300)))
        require_bonds(atoms, Chem.GetAdjacencyMatrix(mol) > 0, 1.25 if mol.GetNumHeavyAtoms() > 2 else 1.5)
    return Atoms(atoms.numbers, atoms.positions, info=info)


def require_bonds(atoms: Atoms, bonded: np.ndarray, stretch: float) -> None:
    """Refuse a geometry whose bonds, by distance, are not those of a matrix (atom, atom).

    Args:
        atoms: The geometry.
        bonded: Which atoms are bonded.
        stretch: Longest bond, in units of the sum of the covalent radii.

    Raises:
        ValueError: They differ.
    """
    i, j = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=stretch))
    near = np.zeros_like(bonded)
    near[i, j] = True
    if (near != bonded).any():
        raise ValueError("bonds differ")


@click.command()
@click.argument("molecules", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--limit", type=int, help="Only so many molecules.")
def main(molecules: Path, out: Path, limit: int | None) -> None:
    """Make a geometry of each molecule of a list and append them to OUT; those that are there already are kept."""
    RDLogger.DisableLog("rdApp.*")
    keys = ("smiles", "charge", "number")
    done = {tuple(a.info[key] for key in keys) for a in read(out, index=":")} if out.exists() else set()
    for smiles, charge, kind, number in read_list(molecules)[:limit]:
        if (smiles, charge, number) in done:
            continue
        try:
            write(out, make_geometry(smiles, charge, kind, number), format="extxyz", append=True)
        except (ValueError, RuntimeError) as error:  # tblite raises RuntimeError where its SCF fails
            click.echo(f"{smiles}: {error}", err=True)


if __name__ == "__main__":
    main()
