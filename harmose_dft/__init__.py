"""Predict Kohn-Sham Hamiltonians with HarmoSE, and everything that follows from one diagonalisation.

    import harmose_dft

    prediction = harmose_dft.predict("water.xyz")  # orbital energies, gap, dipole, trust
    harmose_dft.compare(prediction)                # beside PySCF's calculation
    mf = harmose_dft.seed(mf)                      # a PySCF calculation that starts from the prediction
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .core.version import __version__ as __version__

if TYPE_CHECKING:
    from .core.basis import OrbitalBasis
    from .core.errors import HarmoseError
    from .core.matrix import BlockMatrix
    from .core.memory import keep_freed_memory as keep_freed_memory
    from .core.record import Record
    from .core.spectrum import Spectrum
    from .core.structure import Structure
    from .model.loading import load
    from .model.loading import load_model as load_model
    from .model.prediction import Prediction
    from .model.predictor import Predictor
    from .model.trust import TrustReport
    from .plugins.ase import HarmoseCalculator
    from .plugins.pyscf import initial_density as initial_density
    from .plugins.pyscf import seed
    from .workflows.bands import bands
    from .workflows.compare import compare, verify
    from .workflows.convert import convert
    from .workflows.evaluate import evaluate
    from .workflows.label import label
    from .workflows.predict import predict
    from .workflows.report import report, view
    from .workflows.solve import solve
    from .workflows.train import train

__all__ = [
    "BlockMatrix",
    "HarmoseCalculator",
    "HarmoseError",
    "OrbitalBasis",
    "Prediction",
    "Predictor",
    "Record",
    "Spectrum",
    "Structure",
    "TrustReport",
    "bands",
    "compare",
    "convert",
    "evaluate",
    "label",
    "load",
    "predict",
    "report",
    "seed",
    "solve",
    "train",
    "verify",
    "view",
]

_MODULES = {
    "BlockMatrix": "core.matrix",
    "HarmoseCalculator": "plugins.ase",
    "HarmoseError": "core.errors",
    "OrbitalBasis": "core.basis",
    "Prediction": "model.prediction",
    "Predictor": "model.predictor",
    "Record": "core.record",
    "Spectrum": "core.spectrum",
    "Structure": "core.structure",
    "TrustReport": "model.trust",
    "bands": "workflows.bands",
    "compare": "workflows.compare",
    "convert": "workflows.convert",
    "evaluate": "workflows.evaluate",
    "initial_density": "plugins.pyscf",
    "keep_freed_memory": "core.memory",
    "label": "workflows.label",
    "load": "model.loading",
    "load_model": "model.loading",
    "predict": "workflows.predict",
    "report": "workflows.report",
    "seed": "plugins.pyscf",
    "solve": "workflows.solve",
    "train": "workflows.train",
    "verify": "workflows.compare",
    "view": "workflows.report",
}
"""Public name -> the module that defines it. Those that are not in ``__all__`` are kept for scripts of version 0.1."""


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that ``import harmose_dft`` stays cheap."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, and nothing else."""
    return list(__all__)
