"""The tables of a report: facts, comparisons and where they come from, as words and numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..core.record import name_code
from ..core.structure import ABOUT_ORIGIN
from ..core.units import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from ..core.version import __version__
from ..model.prediction import Prediction
from ..model.trust import Intervals
from ..plots.page import Fact
from ..solver import band_gap
from ..solver.band_structure import describe_gaps
from .compare import Comparison

Floats = NDArray[np.float64]

CITATION = (
    "S. Yin, X. Pan, X. Zhu, T. Gao, H. Zhang, F. Wu, L. He, Towards harmonization of SO(3)-equivariance and "
    "expressiveness: a hybrid deep learning framework for electronic-structure Hamiltonian prediction, Machine "
    "Learning: Science and Technology (2024),"
)

DOI = "10.1088/2632-2153/ad8d30"


def compare_row(name: str, model: float, reference: float) -> tuple[str, str, str, str]:
    """A row of a comparison of energies, in eV."""
    values = (model * HARTREE_IN_EV, reference * HARTREE_IN_EV)
    return name, minus(f"{values[0]:.3f}"), minus(f"{values[1]:.3f}"), write_signed(values[0] - values[1])


def compare_figures(comparison: Comparison) -> tuple[tuple[str, str, str, str], ...]:
    """Rows of a table that sets a molecule's figures beside PySCF's."""
    model, reference = comparison.model, comparison.reference
    levels = [
        compare_row(f"{name} (eV)", getattr(model.spectrum, key), getattr(reference.spectrum, key))
        for name, key in (("HOMO", "homo"), ("LUMO", "lumo"), ("gap", "gap"))
        if np.isfinite(model.spectrum.gap)
    ]
    moments = [float(np.linalg.norm(f.dipole)) * DIPOLE_AU_IN_DEBYE for f in (model, reference)]
    metrics = comparison.metrics.to_dict()["model"]
    return (
        *levels,
        ("dipole moment (D)", f"{moments[0]:.3f}", f"{moments[1]:.3f}", write_signed(moments[0] - moments[1])),
        ("time (s)", f"{model.seconds:.2f}", f"{reference.seconds:.1f}", ""),
        ("occupied levels, mean error (µHartree)", "", "", f"{metrics['eps_mae']:.0f}"),
        ("elements of H, mean error (µHartree)", "", "", f"{metrics['mae_all']:.0f}"),
    )


def molecule_facts(prediction: Prediction, intervals: Intervals | None) -> tuple[Fact, ...]:
    """HOMO, LUMO, gap and dipole moment."""
    facts = []
    for name, key in (("HOMO", "homo"), ("LUMO", "lumo"), ("gap", "gap")):
        energy = getattr(prediction.spectrum, key)
        interval = getattr(intervals, key, None)
        error = "" if interval is None else f"{interval.half_width * HARTREE_IN_EV:.3f}"
        facts.append(Fact(name, minus(f"{energy * HARTREE_IN_EV:.3f} eV") if np.isfinite(energy) else "none", error))
    if (moment := prediction.dipole) is not None:
        error = "" if intervals is None else f"{intervals.dipole.half_width * DIPOLE_AU_IN_DEBYE:.3f}"
        origin = f", {ABOUT_ORIGIN}" if prediction.structure.charge else ""
        facts.append(Fact(f"dipole moment{origin}", f"{np.linalg.norm(moment) * DIPOLE_AU_IN_DEBYE:.3f} D", error))
    return tuple(facts)


def crystal_facts(prediction: Prediction) -> tuple[Fact, ...]:
    """Fermi level, gaps and electrons."""
    assert prediction.spectrum.fermi is not None
    return (
        Fact("gap", describe_gaps(*band_gap(prediction.spectrum))),
        Fact("Fermi level", minus(f"{prediction.spectrum.fermi * HARTREE_IN_EV:.3f} eV")),
        Fact("electrons per cell", f"{prediction.spectrum.n_electrons:.6g}"),
    )


def trace(prediction: Prediction, reference: Mapping[str, str]) -> tuple[Fact, ...]:
    """Where a report comes from: model, program, time, reference."""
    import time

    return (
        Fact("model", prediction.model.name),
        Fact("weights, sha256", prediction.model.sha256),
        Fact("functional", prediction.functional),
        Fact("basis", prediction.basis.name),
        Fact("program", f"harmose_dft {__version__}"),
        Fact("made", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
        Fact("time of the prediction", f"{prediction.seconds:.2f} s"),
        *([Fact("reference", describe_reference(reference))] if reference else []),
    )


def describe_code(about: Mapping[str, str]) -> str:
    """Code and version of a calculation."""
    return name_code(about) or "reference"


def describe_reference(about: Mapping[str, str]) -> str:
    """Code, version, functional and basis of a calculation."""
    theory = "/".join(about[key] for key in ("functional", "basis") if about.get(key))
    return f"{describe_code(about)}, {theory}" if theory else describe_code(about)


def write_signed(difference: float) -> str:
    """A difference with its sign and three decimals; zero has a plus."""
    return minus(f"{round(difference, 3) + 0.0:+.3f}")


def minus(text: str) -> str:
    """A number with a proper minus sign."""
    return text.replace("-", "\N{MINUS SIGN}")
