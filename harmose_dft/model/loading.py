"""Loading a model together with the integrals of the code its data came from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..adapters.pyscf import overlap, require_closed_shell
from ..adapters.structures import from_ase
from ..core.basis import OrbitalBasis
from ..core.devices import require_device
from ..core.errors import CheckpointError, DomainError, StructureError
from ..core.matrix import BlockMatrix
from ..core.structure import Structure
from ..physics.fitted import FittedPotentialBaseline
from ..physics.h0 import Baseline
from ..physics.h0 import baseline as named_baseline
from ..physics.numerical import ElectronCount, TwoCentreMatrices, is_numerical
from .checkpoint import ModelFile
from .predictor import MatrixSource, Predictor

BUNDLED = Path(__file__).parents[1] / "weights"
"""Folder of the models that come with the package."""


def bundled_models() -> list[str]:
    """Names of the models that come with the package."""
    return sorted(p.name for p in BUNDLED.iterdir() if (p / "model.json").is_file()) if BUNDLED.is_dir() else []


def model_folder(name_or_path: str | Path) -> Path:
    """Folder of a bundled model, or the path itself.

    Raises:
        CheckpointError: Neither a bundled name nor an existing folder.
    """
    if str(name_or_path) in bundled_models():
        return BUNDLED / str(name_or_path)
    path = Path(name_or_path)
    if not path.is_dir():
        raise CheckpointError(
            f"There is no model {str(name_or_path)!r}: it is neither one of the bundled models "
            f"({', '.join(bundled_models()) or 'none'}) nor a model's folder."
        )
    return path


def load(name_or_path: str | Path = "organic", *, device: str = "cpu") -> Predictor:
    """Load a model together with the integrals it needs.

    Args:
        name_or_path: Name of a bundled model, or the folder of a trained one.
        device: Where the network runs: "cpu", "cuda", ...

    Returns:
        A predictor, ready to use.

    Raises:
        CheckpointError: The model cannot be found or read.
        ConfigError: The device does not exist here.
    """
    require_device(device)
    model = ModelFile.load(model_folder(name_or_path))
    return Predictor(model, matrix_source(model), device=device, adapt=from_ase)


load_model = load
"""The name that :func:`load` had in version 0.1."""


def as_predictor(model: str | Path | Predictor, *, device: str = "cpu") -> Predictor:
    """A predictor as it is, or the one that a name or path stands for, see :func:`load`."""
    return load(model, device=device) if isinstance(model, str | Path) else model


def matrix_source(model: ModelFile) -> MatrixSource:
    """Integrals for a model: two-centre ones for numerical orbitals, PySCF's for Gaussians."""
    if is_numerical(model.basis):
        return TwoCentreMatrices(model.basis, str(model.baseline["kind"]), ElectronCount.from_list(model.electrons))
    return PySCFMatrices(model.basis, model.baseline, model.functional)


class PySCFMatrices:
    """Overlap and physics baseline of molecules by PySCF.

    Args:
        basis: The model's basis.
        baseline: Description of the baseline from the model's file.
        functional: For baselines that need one.
    """

    def __init__(self, basis: OrbitalBasis, baseline: Mapping[str, Any], functional: str) -> None:
        self.basis = basis
        self._baseline = baseline_from_dict(baseline, basis, functional)

    def check(self, structure: Structure) -> None:
        """Refuse crystals, ions and open shells.

        Raises:
            DomainError: Always with what the model does describe.
        """
        if structure.periodic:
            raise DomainError(
                f"{structure.formula} has a periodic cell; this model describes molecules. Remove the cell (and "
                "periodic boundary conditions) from the file, or use a model trained on crystals."
            )
        if structure.charge:
            raise DomainError(
                f"{structure.formula} has charge {structure.charge:+d}; this model was trained on neutral molecules."
            )
        try:
            require_closed_shell(structure)
        except StructureError as error:
            raise DomainError(str(error)) from error

    def overlap(self, structure: Structure) -> BlockMatrix:
        """S."""
        return overlap(structure, self.basis)

    def baseline(self, structure: Structure) -> BlockMatrix:
        """H0, Hartree."""
        return baseline_blocks(self._baseline, structure)

    def n_electrons(self, structure: Structure) -> int:
        """All electrons."""
        return structure.n_electrons


def baseline_blocks(baseline: Baseline, structure: Structure) -> BlockMatrix:
    """A baseline's matrix as blocks of atom pairs."""
    return BlockMatrix.from_dense(baseline.matrix(structure), baseline.basis.orbitals_per_atom(structure.numbers))


def baseline_from_dict(description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Baseline:
    """The baseline that a model's file describes."""
    if description["kind"] == FittedPotentialBaseline.kind:
        charges = {int(z): [(float(a), float(q)) for a, q in pairs] for z, pairs in description["charges"].items()}
        return FittedPotentialBaseline(basis, charges)
    return named_baseline(str(description["kind"]), functional, basis)


def baseline_to_dict(baseline: Baseline) -> dict[str, Any]:
    """What a model's file says of its baseline."""
    if isinstance(baseline, FittedPotentialBaseline):
        return {"kind": baseline.kind, "charges": {str(z): [list(p) for p in q] for z, q in baseline.charges.items()}}
    return {"kind": baseline.kind}
