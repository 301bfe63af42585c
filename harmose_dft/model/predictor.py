"""From structures to Hamiltonians, orbital energies and a report on how far to trust them."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Protocol, TypeGuard, overload

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from ..core.errors import HarmoseWarning
from ..core.matrix import BlockMatrix
from ..core.rotations import random_rotations, rotate_matrix
from ..core.spectrum import Spectrum
from ..core.structure import Structure
from ..nn.blocks import Blocks
from ..nn.geometry import FrameBuilder
from ..nn.graph import PairGraph, batch_graphs
from ..nn.precision import single_precision
from ..solver import solve_structure
from .checkpoint import ModelFile
from .density import DensityInput
from .featurize import Featurizer
from .integrals import Integrals
from .prediction import ModelInfo, Prediction, single_matrix
from .refinement import refine_prediction
from .trust.evidence import gather_evidence
from .trust.judging import assess
from .trust.report import describe_doubtful
from .trust.store import TrustFile
from .two_stage import TwoStageOutput

PAIRS_PER_BATCH = 6000
"""Structures are run together up to this many atom pairs."""

REFINED = 8
"""Up to this many molecules at once are refined by cheap Fock builds, and judged by them, unless told otherwise: that
takes about ten times as long as the prediction (0.4 to 5 s for 9 to 20 atoms on one core)."""

LARGEST_REFINED = 300
"""Orbitals of a molecule up to which that holds, some 33 atoms: beyond it takes half a minute and more."""


class AtomsLike(Protocol):
    """Atoms of another program: ASE's ``Atoms``."""

    def get_chemical_symbols(self) -> list[str]:
        """Symbols of the elements, (atom,)."""


@dataclass(frozen=True, eq=False)
class PredictedMatrices:
    """Matrices of one structure: S, H0, H and the first stage's H, the last two one per spin direction.

    ``spread`` is the mean absolute deviation of the second stage's members from their mean, over all elements, Hartree;
    None where there is one.
    """

    overlap: BlockMatrix
    h0: BlockMatrix
    hamiltonians: tuple[BlockMatrix, ...]
    stage1: tuple[BlockMatrix, ...] = ()
    spread: float | None = None


class Predictor:
    """A loaded model with the integrals it needs.

    Args:
        model: The model, with its physics.
        device: Where the network runs.
        adapt: Turns foreign structure objects (ASE's ``Atoms``) into structures.
        calibrations: How signals become verdicts and intervals; None for a model without.
    """

    def __init__(
        self,
        model: ModelFile,
        *,
        device: str = "cpu",
        adapt: Callable[[AtomsLike], Structure] | None = None,
        calibrations: TrustFile | None = None,
    ) -> None:
        self.model, self.physics, self.device = model, model.physics, device
        self.network = model.network.to(device)
        if self.network.second is not None:
            self.network.second.prepare_prediction()
        self.featurizer = Featurizer.of_model(
            model.basis, model.inputs, self.physics, self.network.config, model.filling
        )
        self.density = None
        if self.network.sees_density:
            assert model.filling is not None
            self.density = DensityInput(self.featurizer, model.normalizer, model.filling)
        with single_precision():
            self.frames = FrameBuilder(self.network.layout, self.network.frames.l_max)
        self.info = ModelInfo(model.name, model.sha256)
        self._adapt, self.calibrations = adapt, calibrations

    def __repr__(self) -> str:
        return f"Predictor({self.model!r}, device={self.device!r})"

    @overload
    def predict(
        self, structures: Structure | AtomsLike, *, trust: bool = True, refine: bool | None = None
    ) -> Prediction: ...

    @overload
    def predict(
        self, structures: Iterable[Structure | AtomsLike], *, trust: bool = True, refine: bool | None = None
    ) -> list[Prediction]: ...

    def predict(
        self,
        structures: Structure | AtomsLike | Iterable[Structure | AtomsLike],
        *,
        trust: bool = True,
        refine: bool | None = None,
    ) -> Prediction | list[Prediction]:
        """Predict one structure or several.

        Args:
            structures: A Structure or ASE Atoms, or a sequence of them.
            trust: Whether to work out the trust report, which costs a second evaluation on a rotated copy.
            refine: Whether three cheap Fock builds refine H of each molecule and tell how far off it is; by default
                they do for up to eight molecules of up to 300 orbitals each and a model with a calibration, if there is
                to be a trust report.

        Returns:
            A Prediction for one structure, a list for a sequence.

        Raises:
            DomainError: A structure lies outside the model's domain.

        Warns:
            HarmoseWarning: A prediction should be used with care, or not at all.
        """
        alone = is_structure(structures)
        if is_structure(structures):
            checked = [self._structure(structures)]
        elif isinstance(structures, Iterable):
            checked = [self._structure(s) for s in structures]
        else:
            raise TypeError(f"Expected a Structure, ASE Atoms or several of them, got {type(structures).__name__}.")
        if refine is None:
            largest = self.refined_orbitals(len(checked)) if trust else 0
        else:
            largest = sys.maxsize if refine else 0
        predictions = self._predict(checked, trust, largest)
        if text := describe_doubtful([(p.structure.formula, p.trust) for p in predictions if p.trust is not None]):
            warnings.warn(text, HarmoseWarning, stacklevel=2)
        return predictions[0] if alone else predictions

    def refined_orbitals(self, count: int) -> int:
        """Orbitals up to which molecules are refined unless told otherwise, of so many at once; 0 for none."""
        calibrated = self.calibrations is not None and self.calibrations.refined is not None
        return LARGEST_REFINED if calibrated and count <= REFINED else 0

    def check(self, structure: Structure | AtomsLike) -> None:
        """Refuse a structure that :meth:`predict` would refuse, without computing anything.

        Args:
            structure: A Structure or ASE Atoms.

        Raises:
            DomainError: With what lies outside the model's domain.
        """
        structure = self._structure(structure)
        self.physics.check(structure)
        self.model.domain.check(structure)

    def orbital_counts(self, structure: Structure) -> tuple[int, int]:
        """Occupied and all orbitals of a closed-shell molecule."""
        count = int(self.model.basis.orbitals_per_atom(structure.numbers).sum())
        return round(self.physics.n_electrons(structure)) // 2, count

    def hamiltonian(self, structure: Structure) -> BlockMatrix:
        """H of one structure alone, without solving for its orbitals; see :meth:`hamiltonians` for collinear spin."""
        return single_matrix(self.hamiltonians(structure))

    def hamiltonians(self, structure: Structure) -> tuple[BlockMatrix, ...]:
        """H of one structure alone: one matrix, or two of a collinear crystal (up, down)."""
        return self.matrices(structure).hamiltonians

    def matrices(self, structure: Structure) -> PredictedMatrices:
        """S, H0, H and stage 1's H of one structure alone, without solving for its orbitals."""
        return self._predict_matrices([structure])[0]

    def _structure(self, value: Structure | AtomsLike) -> Structure:
        if isinstance(value, Structure):
            return value
        if self._adapt is None or not hasattr(value, "get_chemical_symbols"):
            raise TypeError(f"Expected a Structure or ASE Atoms, got {type(value).__name__}.")
        return self._adapt(value)

    def _predict(self, structures: Sequence[Structure], trust: bool, largest: int) -> list[Prediction]:
        for structure in structures:
            self.check(structure)
        workers = torch.get_num_threads() if torch.device(self.device).type == "cpu" else 1
        batches = self._batches(structures, workers)
        if min(workers, len(batches)) < 2:
            return [p for batch in batches for p in self._predict_batch(batch, trust, largest)]
        with _one_thread_each(workers) as pool:
            rows = pool.map(self._predict_batch, batches, [trust] * len(batches), [largest] * len(batches))
            return [p for results in rows for p in results]

    def _predict_batch(self, batch: Sequence[Structure], trust: bool, largest: int) -> list[Prediction]:
        start = time.perf_counter()
        matrices = self._predict_matrices(batch)
        covariance_errors = self._covariance_errors(batch, matrices) if trust else [None] * len(batch)
        spectra = [
            solve_structure(s, f.hamiltonians, f.overlap, self.physics.n_electrons(s))
            for s, f in zip(batch, matrices, strict=True)
        ]
        share = (time.perf_counter() - start) / len(batch)
        return [
            self._finish(structure, f, spectrum, error, share, largest)
            for structure, f, spectrum, error in zip(batch, matrices, spectra, covariance_errors, strict=True)
        ]

    def _finish(
        self,
        structure: Structure,
        matrices: PredictedMatrices,
        spectrum: Spectrum,
        covariance_error: float | None,
        seconds: float,
        largest: int,
    ) -> Prediction:
        """A prediction from the network's matrices; refined, if it is a molecule of up to ``largest`` orbitals."""
        prediction = Prediction(
            structure=structure,
            basis=self.model.basis.restrict(structure.numbers.tolist()),
            hamiltonians=matrices.hamiltonians,
            overlap=matrices.overlap,
            spectrum=spectrum,
            functional=self.model.functional,
            model=self.info,
            seconds=seconds,
            stage1=matrices.stage1,
        )
        certificate = None
        if not structure.periodic and matrices.overlap.size <= largest:
            prediction, certificate = refine_prediction(prediction)
        if covariance_error is None:
            return prediction
        dipole = None
        if self.calibrations is not None and (moment := prediction.dipole) is not None:
            dipole = float(np.linalg.norm(moment))
        evidence = gather_evidence(
            structure, matrices, spectrum, self.model.domain,
            covariance_error=covariance_error,
            doubts=self.physics.doubts(prediction.spectrum),
            dipole=dipole,
            certificate=certificate,
        )
        trust = assess(matrices.overlap, prediction.spectrum, evidence, self.calibrations)
        return replace(prediction, trust=trust)

    def _batches(self, structures: Sequence[Structure], workers: int) -> list[list[Structure]]:
        """Structures in batches of limited size, at least one for each worker where there are enough structures."""
        batches: list[list[Structure]] = [[]]
        pairs = 0
        pairs_allowed = min(PAIRS_PER_BATCH, -(-sum(len(s) ** 2 for s in structures) // workers))
        for structure in structures:
            if batches[-1] and pairs + len(structure) ** 2 > pairs_allowed:
                batches.append([])
                pairs = 0
            batches[-1].append(structure)
            pairs += len(structure) ** 2
        return [b for b in batches if b]

    def _predict_matrices(self, structures: Sequence[Structure]) -> list[PredictedMatrices]:
        """S, H0 and the predicted matrices of each structure."""
        overlaps = [self.physics.overlap(s) for s in structures]
        return self._run_network(structures, overlaps, [self.physics.h0(s) for s in structures])

    @torch.no_grad()
    def _run_network(
        self,
        structures: Sequence[Structure],
        overlaps: Sequence[BlockMatrix],
        h0s: Sequence[BlockMatrix],
        *,
        with_stage1: bool = True,
    ) -> list[PredictedMatrices]:
        features = [
            self.featurizer.featurize(
                s, overlap, h0, self.physics.n_electrons(s), h0_spin=self.physics.h0.spin_parts(s)
            )
            for s, overlap, h0 in zip(structures, overlaps, h0s, strict=True)
        ]
        graphs = [self.featurizer.make_graph(r, self.model.normalizer, self.frames) for r in features]
        integrals = [r.integrals for r in features]
        output = self._output(batch_graphs(graphs).to(self.device), integrals)
        outputs = [output.total, output.stage1] if with_stage1 and self.network.second is not None else [output.total]
        per_structure = zip(*(_split(blocks, integrals) for blocks in outputs), strict=True)
        matrices = []
        for entry, blocks in zip(integrals, per_structure, strict=True):
            hamiltonians, *stage1_h = self.featurizer.assemble_hamiltonians(entry, blocks, self.model.normalizer)
            matrices.append(PredictedMatrices(entry.overlap, entry.h0, hamiltonians, stage1_h[0] if stage1_h else ()))
        if len(output.members) == 1:
            return matrices
        spreads = _split(output.spread, integrals)
        return [replace(f, spread=_mean_element(s, f.overlap)) for f, s in zip(matrices, spreads, strict=True)]

    def _output(self, graph: PairGraph, integrals: Sequence[Integrals]) -> TwoStageOutput:
        """The network's output for a batch, with the density of stage 1's Hamiltonians where stage 2 sees it."""
        if self.density is None:
            output: TwoStageOutput = self.network(graph)
            return output
        stage1_output = self.network.first_stage(graph)
        blocks = self.network(graph, stage1_only=True, stage1_output=stage1_output).stage1
        densities = [
            self.density(entry, stage1) for entry, stage1 in zip(integrals, _split(blocks, integrals), strict=True)
        ]
        density = Blocks.cat(densities).to(graph.vectors)
        output = self.network(self.network.with_density(graph, density), stage1_output=stage1_output)
        return output

    def _covariance_errors(self, structures: Sequence[Structure], matrices: Sequence[PredictedMatrices]) -> list[float]:
        """Largest |H(Qx) - D(Q) H(x) D(Q)^T| for one random rotation of each structure, Hartree.

        S and H0, whose integrals are analytic, are turned rather than computed again; ``metrics.cov_err`` tests it all.
        """
        rotation = random_rotations(1)[0]

        def rotate(matrix: BlockMatrix, structure: Structure) -> BlockMatrix:
            return rotate_matrix(matrix, structure.numbers, self.model.basis, rotation)

        from_rotated = self._run_network(
            [s.rotate(rotation) for s in structures],
            [rotate(f.overlap, s) for f, s in zip(matrices, structures, strict=True)],
            [rotate(f.h0, s) for f, s in zip(matrices, structures, strict=True)],
            with_stage1=False,
        )
        return [
            max(
                float(np.abs((h - rotate(unrotated, s)).values).max())
                for h, unrotated in zip(g.hamiltonians, f.hamiltonians, strict=True)
            )
            for s, f, g in zip(structures, matrices, from_rotated, strict=True)
        ]


def is_structure(value: object) -> TypeGuard[Structure | AtomsLike]:
    """Whether a value is one structure, of this package or of ASE, rather than several."""
    return isinstance(value, Structure) or hasattr(value, "get_chemical_symbols")


def _keep_to_one_core() -> None:
    torch.set_num_threads(1)
    threadpool_limits(1, "openmp")


@contextmanager
def _one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each keep to one core; afterwards torch has as many threads as before."""
    threads_before = torch.get_num_threads()
    try:
        with threadpool_limits(1, "blas"), ThreadPoolExecutor(workers, initializer=_keep_to_one_core) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads_before)


def _split(blocks: Blocks, integrals: Sequence[Integrals]) -> list[Blocks]:
    """The blocks of a batch, structure by structure, on the CPU."""
    atoms, pairs = ([len(x) for x in column] for column in zip(*((i.species, i.pairs) for i in integrals), strict=True))
    return blocks.to("cpu").split(atoms, pairs)


def _mean_element(blocks: Blocks, overlap: BlockMatrix) -> float:
    """Mean of the spin-independent blocks over the elements of H; padding is zero."""
    return sum(float(x[:, 0].double().sum()) for x in blocks) / len(overlap.values)
