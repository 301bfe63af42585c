"""Builds the held-out molecules: RDKit ETKDG and MMFF94, then GFN2-xTB relaxation as for the training set.

Run once with the ``sampling`` extra installed; the xyz files beside this script are its output:

    python benchmarks/molecules/build.py
"""

from __future__ import annotations

from pathlib import Path

from ase import Atoms
from ase.io import write
from ase.optimize import BFGS
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.ase import TBLite

MOLECULES = {
    "dmf": "CN(C)C=O",
    "ethanol": "CCO",
    "acetone": "CC(C)=O",
    "dmso": "CS(C)=O",
    "glycine": "NCC(=O)O",
    "cysteine": "NC(CS)C(=O)O",
    "chlorobenzene": "Clc1ccccc1",
    "fluorouracil": "O=c1[nH]cc(F)c(=O)[nH]1",
    "benzothiophene": "c1ccc2sccc2c1",
    "phenol": "Oc1ccccc1",
    "adenine": "Nc1ncnc2[nH]cnc12",
    "naphthalene": "c1ccc2ccccc2c1",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "nicotine": "CN1CCC[C@H]1c1cccnc1",
    "ibuprofen": "CC(C)Cc1ccc(cc1)C(C)C(=O)O",
    "lidocaine": "CCN(CC)CC(=O)Nc1c(C)cccc1C",
    "testosterone": "C[C@]12CC[C@H]3[C@@H](CCC4=CC(=O)CC[C@]34C)[C@@H]1CC[C@@H]2O",
}
"""Molecules with a common name, none of them in the pool that training molecules are drawn from; up to 49 atoms."""

SEED = 7
"""Of the ETKDG embedding."""

FORCE = 0.01
"""eV/Angstrom at which the relaxation ends."""


def built(smiles: str) -> Atoms:
    """One relaxed conformer."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(mol, randomSeed=SEED) != 0:
        raise RuntimeError(f"RDKit finds no conformer of {smiles}.")
    AllChem.MMFFOptimizeMolecule(mol, maxIters=2000)
    atoms = Atoms([a.GetSymbol() for a in mol.GetAtoms()], mol.GetConformer().GetPositions())
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    if not BFGS(atoms, logfile=None).run(fmax=FORCE, steps=500):
        raise RuntimeError(f"The relaxation of {smiles} does not converge.")
    return atoms


def main() -> None:
    """Write all of them."""
    RDLogger.DisableLog("rdApp.*")
    for name, smiles in MOLECULES.items():
        atoms = built(smiles)
        bare = Atoms(atoms.numbers, atoms.positions)
        path = Path(__file__).with_name(f"{name}.xyz")
        write(path, bare, format="xyz", comment=f"{name} {smiles} (ETKDG, MMFF94, GFN2-xTB)", fmt="%14.8f")
        print(f"{path.name}: {len(bare)} atoms")


if __name__ == "__main__":
    main()
