"""All metrics of a data set in one pass, for the full model and its stage 1 side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.basis import OrbitalBasis
from ..core.errors import DataError
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..core.units import HARTREE_IN_EV
from ..solver import solve_batch, solve_kpoints
from .matrices import (
    BlockErrors,
    ElementErrors,
    Matrices,
    aligned_difference,
    as_tuple,
    matrix_difference,
    spin_overlap,
)
from .results import FRONTIER, EvaluationResult, StageMetrics
from .spectra import (
    band_errors,
    frontier_errors,
    orbital_cosines,
    orbital_energy_errors,
    reach_bands,
    subspace_overlaps,
)

if TYPE_CHECKING:
    import torch

BAND_WINDOW = 5.0 / HARTREE_IN_EV
"""Half width of the window of ``band_mae`` around the Fermi level: 5 eV, in Hartree."""

CHALLENGING = 0.05
"""Fraction of the samples that counts as challenging."""


class MetricAccumulator:
    """Collects errors sample by sample and turns them into an :class:`EvaluationResult`.

    Orbital figures are means over all occupied orbitals of all samples, matrix figures over all matrix elements.

    Args:
        basis: Shells per element.
        spectral: Whether eigenproblems are solved (molecules always at once, crystals where k-points are given).
        kpoints: Structure -> fractional k-points (k, 3) at which crystals are compared, such as those of a path.
        window: Half width of the window of ``band_mae`` around the Fermi level, in Hartree; where no band lies in it,
            that of a crystal reaches both edges of its gap.
        device: Where the eigenproblems of molecules are solved.
    """

    def __init__(
        self,
        basis: OrbitalBasis,
        *,
        spectral: bool = True,
        kpoints: Callable[[Structure], NDArray[np.float64]] | None = None,
        window: float = BAND_WINDOW,
        device: str | torch.device = "cpu",
    ) -> None:
        self._spectral, self._kpoints, self._window, self._device = spectral, kpoints, window, device
        self._model, self._stage1, self._h0, self._refined = (_StageSums(basis) for _ in range(4))
        self._seconds: list[tuple[float, float]] = []
        self._periodic: bool | None = None

    def add(
        self,
        reference: Record,
        prediction: Matrices,
        stage1: Matrices | None = None,
        *,
        h0: Matrices | None = None,
        refined: Matrices | None = None,
        reference_spectrum: Spectrum | None = None,
    ) -> None:
        """Add one sample.

        Args:
            reference: The calculation to compare with.
            prediction: The full model's Hamiltonian, one matrix per spin direction.
            stage1: Stage 1's; given for every sample or for none.
            h0: H0 alone; given for every sample or for none.
            refined: The full model's Hamiltonian, refined by Fock builds; given for every sample or for none.
            reference_spectrum: The reference's orbitals where they are known already (molecules).

        Raises:
            DataError: Molecules and crystals are mixed, or stage 1, H0 or what is refined is given for some samples
                only.
        """
        periodic = reference.structure.periodic
        if self._periodic not in (None, periodic):
            raise DataError("Molecules and crystals have metrics of different units; evaluate them separately.")
        others = (self._stage1, stage1), (self._h0, h0), (self._refined, refined)
        for sums, matrices in others:
            if self._model.samples and (matrices is not None) != bool(sums.samples):
                raise DataError("Give the stage-1 baseline, H0 and what is refined for every sample or for none.")
        self._periodic = periodic
        stages = [(self._model, prediction), *((sums, m) for sums, m in others if m is not None)]
        for sums, matrices in stages:
            sums.add_matrices(reference, matrices)
        if not self._spectral or (periodic and self._kpoints is None):
            return
        candidates = [as_tuple(matrices) for _, matrices in stages]
        if periodic:
            spectra, overlaps = self._crystal_spectra(reference, candidates)
        else:
            spectra, overlaps = self._molecule_spectra(reference, candidates, reference_spectrum)
        for (sums, _), spectrum in zip(stages, spectra[1:], strict=True):
            sums.add_spectra(spectra[0], spectrum, overlaps, self._window if periodic else None)

    def add_cov_err(self, model: float, stage1: float | None = None) -> None:
        """Take a covariance error (Hartree) into account; the largest one is reported."""
        self._model.cov_err = max(model, self._model.cov_err or 0.0)
        if stage1 is not None:
            self._stage1.cov_err = max(stage1, self._stage1.cov_err or 0.0)

    def add_seconds(self, prediction: float, h0: float) -> None:
        """Take the time of a prediction and of its H0 into account."""
        self._seconds.append((prediction, h0))

    def result(self) -> EvaluationResult:
        """The metrics of everything added so far.

        Raises:
            DataError: Nothing was added.
        """
        if not self._model.samples:
            raise DataError("There is nothing to evaluate: no sample was added.")
        ranked_by = self._stage1 if self._stage1.samples else self._model
        ranking = np.argsort(ranked_by.samples, kind="stable")[::-1]
        blocks = ranked_by.blocks.mean()
        worst_block = max(blocks, key=blocks.__getitem__)
        means = np.mean(self._seconds or [(0.0, 0.0)], axis=0)
        stage1, h0, refined = (
            sums.metrics(ranking, worst_block) if sums.samples else None
            for sums in (self._stage1, self._h0, self._refined)
        )
        return EvaluationResult(
            model=self._model.metrics(ranking, worst_block),
            stage1=stage1,
            samples=len(self._model.samples),
            elements=self._model.elements,
            periodic=bool(self._periodic),
            challenging_sample=int(ranking[0]),
            challenging_block=worst_block,
            h0=h0,
            refined=refined,
            seconds=(float(means[0]), float(means[1])) if self._seconds else None,
        )

    def _molecule_spectra(
        self, reference: Record, candidates: list[tuple[BlockMatrix, ...]], reference_spectrum: Spectrum | None
    ) -> tuple[list[Spectrum], NDArray[Any]]:
        """Spectra of the reference and of every candidate, and S."""
        if len(reference.hamiltonian) != 1:
            raise DataError("Orbital metrics of molecules need closed shells: one Hamiltonian per molecule.")
        overlap = spin_overlap(reference.overlap, reference.hamiltonian[0]).to_dense()
        hamiltonians = ([] if reference_spectrum else [reference.hamiltonian[0]]) + [c[0] for c in candidates]
        problems = [(h, reference.overlap, reference.n_electrons) for h in hamiltonians]
        spectra = solve_batch(problems, device=self._device)
        return ([reference_spectrum, *spectra] if reference_spectrum else spectra), overlap

    def _crystal_spectra(
        self, reference: Record, candidates: list[tuple[BlockMatrix, ...]]
    ) -> tuple[list[Spectrum], NDArray[Any]]:
        """Spectra at the chosen k-points, and S(k), (k, ao, ao)."""
        assert self._kpoints is not None
        kpoints = self._kpoints(reference.structure)
        matrices = [reference.hamiltonian, *candidates]
        spectra = [solve_kpoints(h, reference.overlap, kpoints, reference.n_electrons) for h in matrices]
        overlap = spin_overlap(reference.overlap, reference.hamiltonian[0])
        if reference.fermi is not None:
            spectra[0] = replace(spectra[0], fermi=reference.fermi)
        return spectra, np.stack([overlap.at(k) for k in kpoints])


class _StageSums:
    """Running sums of one stage.

    Args:
        basis: Shells per element.
    """

    def __init__(self, basis: OrbitalBasis) -> None:
        self.blocks, self.of_elements = BlockErrors(basis), ElementErrors()
        self.elements = 0
        self.samples: list[float] = []
        self.sizes: list[int] = []
        self.raw = 0.0
        self.cov_err: float | None = None
        self._spectral: defaultdict[str, list[NDArray[np.float64]]] = defaultdict(list)

    def add_matrices(self, reference: Record, prediction: Matrices) -> None:
        difference = matrix_difference(prediction, reference.hamiltonian)
        self.raw += sum(float(np.abs(d.values).sum()) for d in difference)
        if reference.structure.periodic:
            difference, _ = aligned_difference(difference, reference.overlap)
        size = sum(len(d.values) for d in difference)
        self.elements += size
        self.sizes.append(size)
        self.samples.append(sum(float(np.abs(d.values).sum()) for d in difference) / size)
        for d in difference:
            self.blocks.add(d, reference.structure.numbers)
            self.of_elements.add(d, reference.structure.numbers)

    def add_spectra(
        self, reference: Spectrum, prediction: Spectrum, overlap: NDArray[Any], window: float | None
    ) -> None:
        shift = 0.0
        if window is not None:
            assert reference.fermi is not None
            window = reach_bands(reference.energies, reference.fermi, window)
            errors, shift = band_errors(
                reference.energies, prediction.energies, fermi=reference.fermi, window=window
            )
            self._spectral["band_mae"].append(errors)
        frontier = frontier_errors(reference, prediction, shift=shift)
        for name, error in zip(FRONTIER, frontier, strict=True):
            self._spectral[name].append(np.array([error]))
        self._spectral["eps_mae"].append(orbital_energy_errors(reference, prediction, shift=shift))
        self._spectral["psi_cos"].append(orbital_cosines(reference, prediction))
        self._spectral["psi_subspace"].append(subspace_overlaps(reference, prediction, overlap))

    def metrics(self, ranking: NDArray[np.int64], worst_block: str) -> StageMetrics:
        blocks = self.blocks.mean()
        samples, sizes = np.array(self.samples), np.array(self.sizes)
        worst = ranking[: ceil(CHALLENGING * len(ranking))]
        spectral = {name: float(np.concatenate(v).mean()) for name, v in self._spectral.items()}
        return StageMetrics(
            mae_all=float(samples @ sizes / sizes.sum()),
            mae_all_raw=self.raw / self.elements,
            mae_block=blocks,
            mae_element=self.of_elements.mean(),
            mae_median=float(np.median(samples)),
            mae_cha_s=float(samples[ranking[0]]),
            mae_cha_s_5=float(samples[worst] @ sizes[worst] / sizes[worst].sum()),
            mae_cha_b=blocks[worst_block],
            cov_err=self.cov_err,
            **spectral,
        )
