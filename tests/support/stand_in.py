"""A stand-in for a model: a Hartree-Fock calculation that PySCF makes in the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harmose_dft.core.basis import OrbitalBasis
from harmose_dft.core.errors import DomainError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.structure import Structure
from harmose_dft.model.prediction import ModelInfo, Prediction
from harmose_dft.model.trust import Interval, Intervals, TrustReport, Verdict
from harmose_dft.testing.molecules import WATER, hartree_fock

CALCULATIONS: dict[bytes, tuple[OrbitalBasis, BlockMatrix, BlockMatrix, Spectrum, float]] = {}
"""Each molecule is calculated once."""

WATER_XYZ = "3\nwater\n" + "\n".join(WATER) + "\n"
HYDROGEN_XYZ = "2\nhydrogen\nH 0 0 0\nH 0 0 0.74\n"

TRUST = TrustReport(0.02, 10.0, 1e-9, 0.5, (), (), 1.0, ("odd atoms: H2",))


class StandIn:
    """A predictor that calculates; refuses helium as outside its domain."""

    trust = TRUST

    def __init__(self) -> None:
        self.batches: list[int] = []

    def check(self, structure: Structure) -> None:
        if 2 in structure.numbers:
            raise DomainError("The model was not trained on He. It covers H and O.")

    def orbital_counts(self, structure: Structure) -> tuple[int, int]:
        return int(structure.numbers.sum()) // 2, sum({1: 5, 8: 14}[z] for z in structure.numbers.tolist())

    def predict(self, structures: Sequence[Structure], *, refine: bool | None = None) -> list[Prediction]:
        self.batches.append(len(structures))
        out = []
        for structure in structures:
            key = structure.numbers.tobytes() + structure.positions.tobytes()
            if key not in CALCULATIONS:
                CALCULATIONS[key] = hartree_fock(structure)
            basis, fock, overlap, spectrum, _ = CALCULATIONS[key]
            info = ModelInfo("stand-in", "0123456789abcdef" * 4)
            out.append(Prediction(structure, basis, (fock,), overlap, spectrum, "hf", info, 0.01, self.trust, (fock,)))
        return out


def judged(verdict: Verdict) -> TrustReport:
    intervals = Intervals(0.95, *(Interval(value, 0.001) for value in (-0.3, 0.1, 0.4, -5.0, 0.8)))
    return replace(TRUST, warnings=(), verdict=verdict, risk=0.7, intervals=intervals, large_error=0.02)
