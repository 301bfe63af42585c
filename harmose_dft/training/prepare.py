"""From reference calculations to training samples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scipy.linalg import eigh

from ..core.errors import DataError
from ..core.record import Record
from ..core.spin import Spin
from ..model.featurize import Features, Featurizer
from ..model.integrals import Integrals
from ..model.normalizer import Normalizer, NormalizerFit
from ..nn.geometry import FrameBuilder
from ..nn.precision import single_precision
from ..physics.base import Physics
from .samples import OrbitalTargets, Sample, orbital_targets


@dataclass(frozen=True, eq=False)
class RawSample:
    """A calculation as padded matrices, before normalisation."""

    features: Features
    n_elements: int
    orbitals: OrbitalTargets | None


class SampleBuilder:
    """Turns records into samples.

    Args:
        featurizer: Inputs and padding of the model.
        physics: S, H0 and electrons of structures.
        l_max: Highest l of the model's node features.
        orbitals: Whether reference orbitals are wanted for the losses in their basis, where structures have levels.
        spin: Which Hamiltonians the model describes.
        keeps_integrals: Whether samples keep S and H0, for a second stage that sees a density.
    """

    def __init__(
        self,
        featurizer: Featurizer,
        physics: Physics,
        l_max: int,
        *,
        orbitals: bool = True,
        spin: Spin = "none",
        keeps_integrals: bool = False,
    ) -> None:
        self.featurizer, self.physics = featurizer, physics
        self.orbitals = orbitals and physics.has_levels
        self.spin, self.keeps_integrals = spin, keeps_integrals
        with single_precision():
            self.frames = FrameBuilder(featurizer.layout, l_max)

    def make_raw(self, record: Record) -> RawSample:
        """Matrices and reference orbitals of one calculation.

        Raises:
            DataError: The record has no Hamiltonian, another kind of spin than the model, or is magnetic with spinors.
        """
        if not record.hamiltonian:
            raise DataError(f"Training needs Hamiltonians; {record!r} is an overlap-only calculation.")
        self.physics.require_spin(record, self.spin)
        structure, overlap = record.structure, self.physics.overlap_of_record(record)
        h0 = self.physics.h0(structure)
        features = self.featurizer.featurize(
            structure, overlap, h0, record.n_electrons, record.hamiltonian, self.physics.h0.spin_parts(structure)
        )
        return RawSample(
            features, sum(len(h.values) for h in record.hamiltonian), self._orbitals(record, features.integrals)
        )

    def _orbitals(self, record: Record, integrals: Integrals) -> OrbitalTargets | None:
        if not self.orbitals:
            return None
        coefficients = eigh(record.hamiltonian[0].to_dense(), record.overlap.to_dense())[1]
        slots, occupied = self.featurizer.slots(integrals.species), round(integrals.n_electrons) // 2
        return orbital_targets(coefficients, occupied, slots, self.featurizer.layout.size, len(integrals.species))

    def fit_normalizer(self, raw_samples: Iterable[RawSample]) -> Normalizer:
        """Means and scales of a training set."""
        fit = NormalizerFit(self.featurizer.layout, len(self.featurizer.inputs), self.spin)
        for raw_sample in raw_samples:
            features = raw_sample.features
            assert features.target is not None
            fit.add(features.integrals.species, features.integrals.pairs, features.inputs, features.target)
        return fit.result()

    def make_samples(self, raw_samples: list[RawSample], normalizer: Normalizer) -> list[Sample]:
        """Samples in the network's precision; the list of raw ones, which take more memory, is emptied on the way."""
        samples = []
        raw_samples.reverse()
        while raw_samples:
            raw = raw_samples.pop()
            samples.append(Sample(
                self.featurizer.make_graph(raw.features, normalizer, self.frames),
                raw.n_elements,
                raw.orbitals,
                gauge=self.physics.has_free_zero(raw.features.integrals.structure),
                integrals=raw.features.integrals if self.keeps_integrals else None,
            ))
        return samples
