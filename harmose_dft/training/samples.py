"""Samples of the training loop: graphs with targets, and reference orbitals for losses in their basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..model.integrals import Integrals
from ..model.stage1 import StageOneOutput
from ..nn.graph import PairGraph, batch_graphs


class Need(Enum):
    """What a term of the loss may need of a batch."""

    ORBITALS = "reference orbitals: closed-shell molecules"
    OVERLAP = "S, for an H that is defined up to a multiple of it: crystals"


@dataclass(frozen=True)
class OrbitalTargets:
    """Reference orbitals of one structure or of a batch, padded to the orbital slots.

    Args:
        coefficients: Lowest orbitals, occupied ones first, (structure, atom * n, mo); zero where padded.
        occupied: Number of occupied orbitals, (structure,).
        kept: Number of orbitals that are not padding, (structure,).
    """

    coefficients: Tensor
    occupied: Tensor
    kept: Tensor

    def to(self, device: torch.device | str) -> OrbitalTargets:
        """The same on another device."""
        return OrbitalTargets(self.coefficients.to(device), self.occupied.to(device), self.kept.to(device))


@dataclass(frozen=True)
class Sample:
    """One training structure.

    Args:
        graph: With targets.
        n_elements: Number of matrix elements that the blocks stand for.
        orbitals: Reference orbitals, where losses in their basis are wanted.
        gauge: Whether H is defined up to a multiple of S only, as a crystal's is.
        stage1_output: Results of a stage 1 that no longer learns.
        integrals: S and H0 that the density of stage 1's Hamiltonian is computed with, where stage 2 sees it.
    """

    graph: PairGraph
    n_elements: int
    orbitals: OrbitalTargets | None = None
    gauge: bool = False
    stage1_output: StageOneOutput | None = None
    integrals: Integrals | None = None


@dataclass(frozen=True)
class Batch:
    """Several samples side by side."""

    graph: PairGraph
    n_elements: int
    orbitals: OrbitalTargets | None
    gauge: bool = False
    stage1_output: StageOneOutput | None = None

    def has(self, need: Need) -> bool:
        """Whether all structures have what a term of the loss needs."""
        return self.orbitals is not None if need is Need.ORBITALS else self.gauge

    def to(self, device: torch.device | str) -> Batch:
        """The batch on another device; stored results of stage 1 stay where they are."""
        orbitals = None if self.orbitals is None else self.orbitals.to(device)
        return replace(self, graph=self.graph.to(device), orbitals=orbitals)


def orbital_targets(
    coefficients: NDArray[np.float64], n_occupied: int, slots: NDArray[np.int64], width: int, atoms: int
) -> OrbitalTargets:
    """Reference orbitals spread over the padded slots.

    Args:
        coefficients: (ao, mo), ascending in energy.
        n_occupied: Number of occupied orbitals.
        slots: Position of each orbital among the padded slots of the whole structure, (ao,).
        width: Width n of padded blocks.
        atoms: Number of atoms.
    """
    n_kept = min(coefficients.shape[1], 2 * n_occupied + 4)
    spread = np.zeros((atoms * width, n_kept), dtype=np.float32)
    spread[slots] = coefficients[:, :n_kept]
    return OrbitalTargets(
        torch.from_numpy(spread)[None], torch.tensor([n_occupied], dtype=torch.int64), torch.tensor([n_kept])
    )


def collate(samples: Sequence[Sample]) -> Batch:
    """A batch of samples; orbitals are padded to the largest."""
    graph = batch_graphs([s.graph for s in samples])
    orbitals = [s.orbitals for s in samples if s.orbitals is not None]
    batched_orbitals = None
    if len(orbitals) == len(samples):
        rows = max(o.coefficients.shape[1] for o in orbitals)
        columns = max(o.coefficients.shape[2] for o in orbitals)
        padded = orbitals[0].coefficients.new_zeros(len(orbitals), rows, columns)
        for k, o in enumerate(orbitals):
            padded[k, : o.coefficients.shape[1], : o.coefficients.shape[2]] = o.coefficients[0]
        batched_orbitals = OrbitalTargets(
            padded, torch.cat([o.occupied for o in orbitals]), torch.cat([o.kept for o in orbitals])
        )
    stored = [s.stage1_output for s in samples if s.stage1_output is not None]
    stage1_output = StageOneOutput.cat(stored) if len(stored) == len(samples) else None
    return Batch(
        graph, sum(s.n_elements for s in samples), batched_orbitals, all(s.gauge for s in samples), stage1_output
    )
