"""From reference calculations to training samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from scipy.linalg import eigh

from ..core.errors import DataError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.spin import SPIN_OF_NSPIN, Spin
from ..core.structure import Structure
from ..model.featurize import Featurizer, RawFeatures
from ..model.inputs import Integrals
from ..model.normalizer import Normalizer, NormalizerFit
from ..nn.geometry import FrameBuilder
from .samples import OrbitalTargets, Sample, orbital_targets

MatrixFunction = Callable[[Structure], BlockMatrix]
"""H0 (Hartree) or S of a structure."""


@dataclass(frozen=True, eq=False)
class RawSample:
    """A calculation as padded matrices, before normalisation."""

    features: RawFeatures
    n_elements: int
    orbitals: OrbitalTargets | None


class SampleBuilder:
    """Turns records into samples.

    Args:
        featurizer: Inputs and padding of the model.
        baseline: H0 of a structure.
        l_max: Highest l of the model's node features.
        overlap: S of a structure; the record's own by default.
        orbitals: Whether reference orbitals are wanted for the losses in their basis (molecules only).
        spin: Which Hamiltonians the model describes.
        keeps_integrals: Whether samples keep S and H0, for a second stage that sees a density.
    """

    def __init__(
        self,
        featurizer: Featurizer,
        baseline: MatrixFunction,
        l_max: int,
        *,
        overlap: MatrixFunction | None = None,
        orbitals: bool = True,
        spin: Spin = "none",
        keeps_integrals: bool = False,
    ) -> None:
        self.featurizer, self.baseline, self.overlap = featurizer, baseline, overlap
        self.orbitals, self.spin, self.keeps_integrals = orbitals, spin, keeps_integrals
        self.frames = FrameBuilder(featurizer.layout, l_max)

    def raw(self, record: Record) -> RawSample:
        """Matrices and reference orbitals of one calculation.

        Raises:
            DataError: The record has no Hamiltonian, another kind of spin than the model, or is magnetic with spinors.
        """
        self._require_spin(record)
        structure = record.structure
        overlap = record.overlap if self.overlap is None else self.overlap(structure)
        raw = self.featurizer.raw(structure, overlap, self.baseline(structure), record.n_electrons, record.hamiltonian)
        return RawSample(raw, sum(len(h.values) for h in record.hamiltonian), self._orbitals(record, raw.integrals))

    def _require_spin(self, record: Record) -> None:
        if not record.hamiltonian:
            raise DataError(f"Training needs Hamiltonians; {record!r} is an overlap-only calculation.")
        if (found := SPIN_OF_NSPIN[record.nspin]) == self.spin:
            return
        if not record.structure.periodic:
            raise DataError(
                f"Training on molecules takes closed-shell calculations; {record!r} has nspin {record.nspin}."
            )
        raise DataError(
            f"{record!r} has nspin {record.nspin} (spin: {found}); this model is of spin: {self.spin}. A model "
            "describes one kind: train on calculations of one nspin, and leave model.spin out to take theirs."
        )

    def _orbitals(self, record: Record, known: Integrals) -> OrbitalTargets | None:
        if not self.orbitals or record.structure.periodic:
            return None
        coefficients = eigh(record.hamiltonian[0].to_dense(), record.overlap.to_dense())[1]
        slots, occupied = self.featurizer.slots(known.species), round(known.n_electrons) // 2
        return orbital_targets(coefficients, occupied, slots, self.featurizer.layout.size, len(known.species))

    def normalizer(self, samples: Iterable[RawSample]) -> Normalizer:
        """Means and scales of a training set."""
        fit = NormalizerFit(self.featurizer.layout, len(self.featurizer.inputs), self.spin)
        for sample in samples:
            raw = sample.features
            assert raw.target is not None
            fit.add(raw.integrals.species, raw.integrals.pairs, raw.inputs, raw.target)
        return fit.result()

    def samples(self, raws: Sequence[RawSample], normalizer: Normalizer) -> list[Sample]:
        """Samples in the network's precision."""
        return [
            Sample(
                self.featurizer.graph(r.features, normalizer, self.frames),
                r.n_elements,
                r.orbitals,
                gauge=r.features.integrals.structure.periodic,
                integrals=r.features.integrals if self.keeps_integrals else None,
            )
            for r in raws
        ]
