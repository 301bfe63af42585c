"""Makes molecules on which models go wrong, with PySCF's levels, for the calibration of error bars.

    python benchmarks/odd_molecules.py OUT.h5 [--pool LIST] [--limit N]

Isocyanides, carbenes, zwitterions, N-oxides, cumulenes and other molecules rare in training; diatomics at seven
distances; molecules of LIST (a SMILES per line, such as the pool that training molecules were drawn from) with a bond
stretched, a double bond turned, atoms displaced at random, at 1000 to 2500 K, swollen or shrunk; pairs of molecules.
Geometries by RDKit and GFN2-xTB (``pip install harmose-dft[sampling]``); B3LYP/def2-SVP with density fitting on the
level-1 grid, which is good to 1 mHartree, in a layout that ``harmose-dft info`` reads. A molecule is in OUT as soon as
it is finished; run it again after an interruption. The order is random, so that any number of them has all kinds.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import h5py
import numpy as np

os.environ.setdefault("OMP_NUM_THREADS", "1")

from ase import Atoms, units
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import BFGS
from pyscf import dft, gto
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem
from tblite.ase import TBLite

ELEMENTS = frozenset({"H", "C", "N", "O", "F", "S", "Cl"})
LARGEST = 11
"""Atoms; larger molecules take too long for what they add."""

NAMED = """
[C-]#[O+] N#N O=C=O [N-]=[N+]=O S=C=S O=C=S [C-]#[NH+] C[N+]#[C-] CC[N+]#[C-] C=C[N+]#[C-] C#C[N+]#[C-] FC[N+]#[C-]
[N-]=[N+]=N CN=[N+]=[N-] C=[N+]=[N-] CC=[N+]=[N-] C#[N+][O-] CC#[N+][O-] C=[N+](C)[O-] C=[NH+][O-] C[N+](C)(C)[O-]
C=C=O CC=C=O C=C=C=O C=C=C=C O=C=C=C=O C=C=C CC=C=C C=C=N C=C=S N=C=N CN=C=N CN=C=NC CN=C=O CN=C=S N=C=O N=C=S OC#N
SC#N NC#N N#CC#N C#CC#N C#CC#C [CH2-][S+](C)C [CH2-][N+](C)(C)C [CH2-][SH2+] C[S+](C)[O-] CS(C)=O CS(C)(=O)=O
OS(=O)(=O)O O=S=O O=S(=O)=O FC(F)(F)F FN(F)F FOF OCl OF OO COOC OOO SS CSSC SSS FSF FF ClCl FCl F Cl O N C S [H][H]
O=[O+][O-] C1OO1 C1=CO1 C1=CN1 C1=CS1 C1N=N1 C1=NC1 N=N N=NN NN NO CON ON=O CON=O O=[N+]([O-])O C[N+](=O)[O-]
O=[N+]([O-])F FN=O CN=O N(=O)N=O O=[N+]([O-])[N+](=O)[O-] O=NO N#CN=O O=CC=O C#CC=O C1=CC=C1 c1cc#ccc1 C1=CC1=O
O.O F.F O.N O.F N.F Cl.N OC=O.N C=O.O CO.O Cl.O O=C=O.O N#N.O CC#N.O [NH3+]CC(=O)[O-] C[NH2+]CC(=O)[O-]
[NH3+]CS(=O)(=O)[O-] [NH3+]CCC(=O)[O-] [NH3+][O-] [NH3+]C(=O)[O-] [NH3+]CC[O-] [NH3+]CC[S-]
""".split()

CARBENES = {
    "CF2": "F 0 0 0; C 0 0.75 1.05; F 0 0 2.1",
    "CH2": "H 0 0.86 0.7; C 0 0 0; H 0 -0.86 0.7",
    "CCl2": "Cl 0 1.4 0.98; C 0 0 0; Cl 0 -1.4 0.98",
    "CHF": "H 0.9 0.6 0; C 0 0 0; F -0.9 0.97 0",
    "HNC": "H 0 0 0; N 0 0 1.0; C 0 0 2.17",
    "vinylidene": "H 0 0.94 -1.85; H 0 -0.94 -1.85; C 0 0 -1.31; C 0 0 0",
    "HCOH": "H 1.05 -0.35 0; C 0 0 0; O -0.4 1.25 0; H -1.35 1.35 0",
    "C(OH)2": "O 0 1.1 0.7; C 0 0 0; O 0 -1.1 0.7; H 0 1.9 0.15; H 0 -1.9 0.15",
    "C2": "C 0 0 0; C 0 0 1.25",
    "C3": "C 0 0 0; C 0 0 1.29; C 0 0 2.58",
    "NH": "N 0 0 0; H 0 0 1.04",
    "CS": "C 0 0 0; S 0 0 1.54",
}
"""Positions in Angstrom."""

BONDS = {
    ("C", "O"): 1.128, ("N", "N"): 1.098, ("H", "F"): 0.917, ("H", "Cl"): 1.275, ("F", "F"): 1.412,
    ("Cl", "Cl"): 1.988, ("Cl", "F"): 1.628, ("C", "S"): 1.535, ("H", "H"): 0.741, ("O", "S"): 1.48, ("O", "O"): 1.21,
}
"""Lengths of diatomics in Angstrom."""

CHANGES = {
    "torn": (0.25, 0.4, 0.55, 0.7, 0.9, 1.2, 1.6, 2.2, 3.0),
    "twisted": (15.0, 30.0, 45.0, 60.0, 75.0, 90.0),
    "shaken": (0.03, 0.06, 0.1, 0.15, 0.2),
    "hot": (1000.0, 1500.0, 2500.0),
    "scaled": (0.93, 0.97, 1.03, 1.06, 1.1, 1.15),
    "pair": (2.6, 3.0, 3.5, 5.0, 8.0),
}
"""Kind of change -> its sizes: Angstrom, degrees, Angstrom, Kelvin, factor, Angstrom between the closest atoms."""


@dataclass(frozen=True)
class Task:
    """A molecule to be made.

    Args:
        kind: What is done to it.
        source: SMILES, or positions.
        size: How much is done.
    """

    kind: str
    source: str
    size: float = 0.0

    @property
    def key(self) -> str:
        """Name in the file, which also seeds its random numbers."""
        return f"{self.kind}:{self.source}:{self.size:g}"


def plan(pool: list[str]) -> list[Task]:
    """All tasks in random order."""
    rng = np.random.default_rng(15)
    tasks = [Task("named", smiles) for smiles in NAMED] + [Task("carbene", text) for text in CARBENES.values()]
    tasks += [
        Task("diatomic", f"{a} 0 0 0; {b} 0 0 {length * factor:.4f}")
        for (a, b), length in BONDS.items()
        for factor in (0.92, 1.0, 1.06, 1.15, 1.3, 1.6, 2.5)
    ]
    small = [s for s in rng.permutation(pool).tolist() if Chem.AddHs(Chem.MolFromSmiles(s)).GetNumAtoms() <= LARGEST]
    tasks += [Task("twisted", "C=C", angle) for angle in CHANGES["twisted"]]
    for n, smiles in enumerate(small[:500]):
        kind = ("torn", "torn", "shaken", "hot", "scaled")[n % 5]
        if "C=C" in smiles and "1" not in smiles and n % 2:
            kind = "twisted"
        tasks.append(Task(kind, smiles, float(rng.choice(CHANGES[kind]))))
    light = [s for s in small if Chem.AddHs(Chem.MolFromSmiles(s)).GetNumAtoms() <= 6]
    tasks += [
        Task("pair", f"{a}.{b}", float(rng.choice(CHANGES["pair"])))
        for a, b in zip(light[::2], light[1::2], strict=False)
    ][:40]
    return [tasks[i] for i in rng.permutation(len(tasks))]


def relax(atoms: Atoms, *, water: bool = False) -> Atoms:
    """Relax by GFN2-xTB, zwitterions in implicit water so that the proton stays."""
    solvation = {"solvation": ("alpb", "water")} if water else {}
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0, **solvation)
    if len(atoms) > 1:
        BFGS(atoms, logfile=None).run(fmax=0.03, steps=120)
    return atoms


def embed(smiles: str, seed: int) -> tuple[Atoms, Chem.Mol]:
    """A first geometry.

    Raises:
        ValueError: RDKit finds none.
    """
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    if AllChem.EmbedMolecule(mol, randomSeed=seed % 2**31) != 0:
        raise ValueError("embedding failed")
    return Atoms([a.GetSymbol() for a in mol.GetAtoms()], mol.GetConformer().GetPositions()), mol


def parse(text: str) -> Atoms:
    """Atoms of "C 0 0 0; O 0 0 1.1"."""
    words = [line.split() for line in text.split(";")]
    return Atoms([w[0] for w in words], [[float(x) for x in w[1:]] for w in words])


def side(mol: Chem.Mol, inner: int, outer: int) -> list[int]:
    """Atoms that hang on ``inner`` when its bond to ``outer`` is cut."""
    reached, todo = {inner}, [inner]
    while todo:
        for neighbour in mol.GetAtomWithIdx(todo.pop()).GetNeighbors():
            if (index := neighbour.GetIdx()) not in reached and index != outer:
                reached.add(index)
                todo.append(index)
    return sorted(reached)


def join(task: Task, seed: int, rng: np.random.Generator) -> Atoms:
    """Two molecules whose closest atoms are a distance apart, one of them turned at random."""
    one, two = (relax(embed(smiles, seed)[0]) for smiles in task.source.split("."))
    one.positions -= one.positions.mean(axis=0)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    two.positions = (two.positions - two.positions.mean(axis=0)) @ turn
    while np.linalg.norm(two.positions[None] - one.positions[:, None], axis=-1).min() < task.size:
        two.positions += [0.0, 0.0, 0.1]
    return one + two


def make(task: Task) -> Atoms:
    """Geometry of a molecule.

    Raises:
        ValueError: It cannot be made, or is none of those wanted.
    """
    seed = zlib.crc32(task.key.encode())
    rng = np.random.default_rng(seed)
    if task.kind in ("carbene", "diatomic"):
        return parse(task.source)
    if task.kind == "pair":
        return join(task, seed, rng)
    atoms, mol = embed(task.source, seed)
    if len(atoms) > LARGEST:
        raise ValueError("too large")
    relax(atoms, water="+" in task.source)
    if task.kind == "hot":
        MaxwellBoltzmannDistribution(atoms, temperature_K=task.size, rng=rng)
        Langevin(atoms, 0.5 * units.fs, temperature_K=task.size, friction=0.02 / units.fs, rng=rng).run(200)
    elif task.kind == "shaken":
        atoms.positions += rng.normal(scale=task.size, size=atoms.positions.shape)
    elif task.kind == "scaled":
        atoms.positions *= task.size
    elif task.kind in ("torn", "twisted"):
        change(atoms, mol, task, rng)
    return atoms


def change(atoms: Atoms, mol: Chem.Mol, task: Task, rng: np.random.Generator) -> None:
    """Stretch a single bond or turn a double bond, in place."""
    order = 2.0 if task.kind == "twisted" else 1.0
    bonds = [b for b in mol.GetBonds() if not b.IsInRing() and b.GetBondTypeAsDouble() == order]
    if not bonds:
        raise ValueError("no such bond")
    bond = bonds[rng.integers(len(bonds))]
    inner, outer = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
    moved, axis = side(mol, inner, outer), atoms.positions[inner] - atoms.positions[outer]
    if task.kind == "torn":
        atoms.positions[moved] += axis / np.linalg.norm(axis) * task.size
    else:
        part = atoms[moved]
        part.rotate(task.size, axis, center=atoms.positions[inner])
        atoms.positions[moved] = part.positions


def write(path: Path, task: Task, atoms: Atoms) -> bool:
    """Calculate a molecule and append it; False where the SCF does not converge."""
    mol = gto.M(atom=list(zip(atoms.symbols, atoms.positions, strict=True)), basis="def2-svp", verbose=0)
    mf = dft.RKS(mol, xc="b3lyp").density_fit()
    mf.grids.level, mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = 1, 1e-8, 1e-4, 40
    mf.kernel()
    if not mf.converged:
        return False
    fock = np.asarray(mf.get_fock(dm=mf.make_rdm1()))
    with h5py.File(path, "a") as file:
        file.attrs.update(xc="b3lyp", basis="def2-svp", grid_level=1, units="hartree,angstrom")
        group = file.create_group(f"{len(file):05d}")
        smiles = "" if task.kind in ("carbene", "diatomic") else task.source
        group.attrs.update(smiles=smiles, energy=mf.e_tot, charge=0, kind=task.kind, name=task.key, nao=mol.nao)
        group["numbers"], group["positions"] = atoms.numbers.astype("u1"), atoms.positions
        group["mo_energy"] = mf.eig(fock, mf.get_ovlp())[0]
        group.create_dataset("fock_tril", data=fock[np.tril_indices(mol.nao)], scaleoffset=8, compression="gzip")
    return True


def finished(path: Path) -> Iterator[str]:
    """Keys of the molecules in a file."""
    if path.exists():
        with h5py.File(path) as file:
            yield from (str(group.attrs["name"]) for group in file.values())


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pool", type=click.Path(path_type=Path, exists=True), help="SMILES, one a line.")
@click.option("--limit", default=0, help="Molecules at most; 0: all.")
def main(out: Path, pool: Path | None, limit: int) -> None:
    """Make odd molecules and append them to OUT."""
    RDLogger.DisableLog("rdApp.*")
    smiles = [] if pool is None else [line.split()[0] for line in pool.read_text().splitlines() if line.strip()]
    done = set(finished(out))
    for task in plan(smiles):
        if limit and len(done) >= limit:
            break
        if task.key in done:
            continue
        try:
            atoms = make(task)
            fits = set(atoms.symbols) <= ELEMENTS and sum(atoms.numbers) % 2 == 0
            reason = "" if fits and write(out, task, atoms) else "open shell, other elements or not converged"
        except Exception as error:  # whatever a library says of an odd molecule, the next one may do
            reason = str(error)[:80]
        done |= set() if reason else {task.key}
        click.echo(f"{len(done)} {task.key} {reason}")


if __name__ == "__main__":
    main()
