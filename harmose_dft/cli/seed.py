"""``harmose-dft seed``: a file from which a DFT code starts its self-consistent field."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.errors import BasisMismatchError, DomainError, HarmoseError
from . import console

if TYPE_CHECKING:
    from ..core.structure import Structure
    from ..model.prediction import Prediction
    from ..model.predictor import Predictor

SUFFIXES = {"pyscf": ".chk", "abacus": ".csr"}
"""Suffix of the file, where none is given."""


@click.command()
@click.argument("structure", type=click.Path(path_type=Path))
@click.option("--code", required=True, type=click.Choice(["pyscf", "abacus", "openmx"]), help="Code that shall start.")
@click.option("--model", default="organic", show_default=True, help="Name of a bundled model, or a model's path.")
@click.option("-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="File to write.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a line.")
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def seed(
    structure: Path, code: str, model: str, out: Path | None, device: str, as_json: bool, force: bool
) -> None:
    """Write an initial guess for the SCF of a DFT code from the prediction for STRUCTURE.

    pyscf: a checkpoint (default STEM.chk) for mf.chkfile = FILE, mf.init_guess = "chkfile". The prediction is tested
    by one Fock build; if it is far from self-consistent, nothing is written.

    abacus: H(R) (default hrs1_nao.csr) for init_chg hr, from a model of crystals in ABACUS's orbitals.
    """
    if code == "openmx":
        raise HarmoseError(
            "OpenMX cannot start from a predicted Hamiltonian: it restarts only from its own binary restart files "
            "(scf.restart), whose charge-density grids it must have written itself. PySCF and ABACUS are supported."
        )
    from ..adapters.structures import read_structures
    from ..core.files import require_absent
    from ..core.memory import keep_freed_memory
    from ..model.loading import load_model

    target = out or (structure.with_suffix(SUFFIXES[code]) if code == "pyscf" else Path("hrs1_nao.csr"))
    require_absent(target, force)
    atoms = one_structure(read_structures(structure), structure)
    keep_freed_memory()
    predictor = load_model(model, device=device)
    if code == "abacus":
        require_abacus(predictor)
        if not atoms.periodic:
            raise DomainError(f"{structure} has no cell; ABACUS calculates crystals. Put the molecule into a box.")
    prediction = predictor.predict(atoms, trust=False)
    result = write_pyscf(prediction, target, force) if code == "pyscf" else write_abacus(prediction, target, force)
    if as_json:
        console.print_json({"code": code, "file": str(target), "formula": atoms.formula, **result})
    else:
        console.stdout().print(f"{target}: {result['use']}", markup=False, soft_wrap=True)


def one_structure(frames: list[Structure], path: Path) -> Structure:
    """The only structure of a file.

    Raises:
        HarmoseError: There are several.
    """
    if len(frames) != 1:
        raise HarmoseError(f"{path} holds {len(frames)} structures; a start file belongs to one. Split the file.")
    return frames[0]


def require_abacus(predictor: Predictor) -> None:
    """Refuse models in orbitals that are not ABACUS's.

    Raises:
        BasisMismatchError: The model was trained on calculations of another code.
    """
    model = predictor.model
    if not model.code.startswith("ABACUS"):
        raise BasisMismatchError(
            f"The model {predictor.info.name!r} predicts matrices in the orbitals {model.basis.name} of "
            f"{model.code or 'an unknown code'}; ABACUS needs its own numerical orbitals. Use a model that was trained "
            "on ABACUS calculations."
        )


def write_pyscf(prediction: Prediction, target: Path, force: bool) -> dict[str, Any]:
    """Test the prediction by one Fock build and write the checkpoint.

    Raises:
        HarmoseError: The predicted density is too far from self-consistent to be a good start.
    """
    from ..adapters.pyscf import fock_residual
    from ..plugins.pyscf import require_near_self_consistent, write_checkpoint

    console.detail("testing the density by one Fock build")
    found = fock_residual(prediction.structure, prediction.hamiltonian, prediction.functional, prediction.basis)
    require_near_self_consistent(found.commutator, prediction.structure.n_electrons)
    write_checkpoint(target, prediction, found.energy, force=force)
    return {
        "use": f'mf.chkfile = "{target}"; mf.init_guess = "chkfile" (commutator {found.commutator:.3g} Hartree)',
        "commutator_hartree": found.commutator,
        "energy_hartree": found.energy,
    }


def write_abacus(prediction: Prediction, target: Path, force: bool) -> dict[str, Any]:
    """Write H(R) for ABACUS."""
    from ..adapters.abacus.writer import write_hr

    write_hr(
        prediction.hamiltonian, target, structure=prediction.structure, basis=prediction.basis, force=force
    )
    return {"use": "put it into the folder that read_file_dir names and set init_chg hr in INPUT"}
