"""Molecules from SMILES: an RDKit conformer, relaxed by GFN2-xTB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from ..core.errors import HarmoseError, StructureError, shorten
from ..core.structure import Structure
from .structures import from_ase

if TYPE_CHECKING:
    from ase import Atoms

LONGEST = 1000
"""Characters of a SMILES."""

FORCE, STEPS = 0.01, 500
"""Largest force in eV/Angstrom at the end of the relaxation, and its largest number of steps."""

SEED = 1
"""Of the conformer, so that a SMILES always gives the same one."""


def from_smiles(smiles: str) -> Structure:
    """The structure of a molecule: hydrogens added, one conformer (ETKDGv3, MMFF94), relaxed by GFN2-xTB.

    Args:
        smiles: A closed-shell molecule, such as "CCO".

    Returns:
        In Bohr, named after the SMILES.

    Raises:
        StructureError: The text is no SMILES, the molecule has unpaired electrons, or has no such geometry.
        HarmoseError: RDKit or tblite is not installed.
    """
    atoms = _embed(smiles)
    charge = int(atoms.info["charge"])
    _relax(atoms, charge)
    return from_ase(atoms, smiles)


def _embed(smiles: str) -> Atoms:
    try:
        from rdkit import Chem, RDLogger
        from rdkit.Chem import AllChem, Descriptors
    except ImportError as error:
        raise HarmoseError("SMILES need RDKit and tblite: pip install harmose-dft[sampling]") from error
    from ase import Atoms

    chem, conformers = cast(Any, Chem), cast(Any, AllChem)  # RDKit's stubs leave out what its C++ modules define
    cast(Any, RDLogger).DisableLog("rdApp.*")
    text = smiles.strip()
    molecule = chem.MolFromSmiles(text) if 0 < len(text) <= LONGEST else None
    if molecule is None or not molecule.GetNumAtoms():
        raise StructureError(
            f"{shorten(smiles)!r} is no SMILES that RDKit understands. Check its brackets, rings and valences."
        )
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise StructureError(f"{shorten(smiles)} has places without an element (*). Write an element in each.")
    if cast(Any, Descriptors).NumRadicalElectrons(molecule):
        raise StructureError(f"{shorten(smiles)} has unpaired electrons; molecules of closed shells are predicted.")
    parts = len(chem.GetMolFrags(molecule))
    if parts > 1:
        raise StructureError(
            f"{shorten(smiles)} names {parts} molecules, and a SMILES does not tell how they lie to each other. Give a "
            "structure file, or each of them by itself."
        )
    molecule = chem.AddHs(molecule)
    parameters = conformers.ETKDGv3()
    parameters.randomSeed = SEED
    if conformers.EmbedMolecule(molecule, parameters) != 0:
        raise StructureError(f"RDKit finds no geometry for {shorten(smiles)}. Give a structure file instead.")
    if conformers.MMFFHasAllMoleculeParams(molecule):
        conformers.MMFFOptimizeMolecule(molecule, maxIters=500)
    symbols = [atom.GetSymbol() for atom in molecule.GetAtoms()]
    info = {"charge": chem.GetFormalCharge(molecule), "smiles": chem.MolToSmiles(chem.RemoveHs(molecule))}
    return Atoms(symbols, molecule.GetConformer().GetPositions(), info=info)


def _relax(atoms: Atoms, charge: int) -> None:
    """Move the atoms to the nearest minimum of GFN2-xTB."""
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise HarmoseError("SMILES need RDKit and tblite: pip install harmose-dft[sampling]") from error
    from ase.optimize import LBFGS

    atoms.calc = TBLite(method="GFN2-xTB", charge=charge, verbosity=0)
    try:
        converged = LBFGS(atoms, logfile=None).run(fmax=FORCE, steps=STEPS)
    except Exception as error:  # tblite raises errors of several types where its SCF does not converge
        reason = " ".join(str(error).split())[:160]
        raise StructureError(f"GFN2-xTB fails for {atoms.info['smiles']}: {reason}. Give a structure file.") from error
    finally:
        atoms.calc = None
    if not converged:
        raise StructureError(f"GFN2-xTB does not relax {atoms.info['smiles']} in {STEPS} steps. Give a structure file.")
