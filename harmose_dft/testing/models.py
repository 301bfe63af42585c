"""Small models, graphs and calculations for tests of the networks and of training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.basis import OrbitalBasis, Shell
from ..core.matrix import BlockMatrix
from ..core.record import Record
from ..core.rotations import orbital_rotation
from ..core.spin import Spin
from ..core.structure import Structure
from ..model.stage1 import FirstStageConfig
from ..model.stage2.circle import CircleTransformerConfig
from ..model.stage2.lab import LabTransformerConfig
from ..model.two_stage import ModelConfig, TwoStageModel
from ..nn.blocks import Blocks
from ..nn.graph import PairGraph
from ..training.config import TrainConfig
from .molecules import structure_of

SHELLS = {1: (0, 1), 8: (0, 0, 1, 2), 26: (0, 1, 2, 3)}
"""A made-up basis with s to f shells in different numbers."""

BASIS = OrbitalBasis("made up", {z: tuple(Shell(l) for l in ls) for z, ls in SHELLS.items()})

FIRST = FirstStageConfig(layers=2, channels=4, l_max=3, pair_channels=8, hidden_channels=8, radial=6, cutoff=9.0)

MATRICES = 2
"""Input matrices of the made-up graphs."""


def tiny_model(
    second: str | None = "circle",
    basis: OrbitalBasis = BASIS,
    points: int = 24,
    *,
    potential: bool = True,
    spin: Spin = "none",
) -> TwoStageModel:
    """An untrained model in the current default precision."""
    seconds = {
        "circle": CircleTransformerConfig(layers=1, width=8, heads=2, points=points),
        "lab": LabTransformerConfig(layers=1, width=16, heads=2, l_max=2, pair_channels=2),
        None: None,
    }
    torch.manual_seed(1)
    config = ModelConfig(first=FIRST, potential=potential, second=seconds[second], spin=spin)
    return TwoStageModel(basis, MATRICES, config)


def perturb(model: TwoStageModel, size: float = 0.3, seed: int = 7) -> TwoStageModel:
    """The model with noise on all parameters: heads that start at zero become active."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(size * torch.randn(p.shape, generator=generator, dtype=p.dtype) / max(p.shape[0], 1) ** 0.5)
    return model


def random_structure(numbers: tuple[int, ...] = (8, 1, 26, 1, 8), seed: int = 3) -> Structure:
    """Atoms at random places, at least 1.5 Bohr apart, within a few Bohr."""
    rng = np.random.default_rng(seed)
    positions: list[np.ndarray] = []
    while len(positions) < len(numbers):
        new = rng.uniform(-3, 3, size=3)
        if all(np.linalg.norm(new - p) > 1.5 for p in positions):
            positions.append(new)
    return Structure(np.array(numbers), np.array(positions))


def random_blocks(structure: Structure, seed: int = 0, basis: OrbitalBasis = BASIS) -> BlockMatrix:
    """A random symmetric matrix on all pairs."""
    orbitals = basis.orbitals_per_atom(structure.numbers)
    dense = np.random.default_rng(seed).normal(size=(orbitals.sum(),) * 2)
    return BlockMatrix.from_dense(dense + dense.T, orbitals)


def random_graph(structure: Structure, model: TwoStageModel, seed: int = 0, cutoff: float = 1e3) -> PairGraph:
    """A graph with random input matrices, in the current default precision."""
    from ..model.featurize import build_graph
    from ..model.padding import pad
    from ..model.pairs import PairList

    matrices = [random_blocks(structure, seed + k) for k in range(MATRICES + 1)]
    pairs = PairList.within(structure, matrices[0], cutoff)
    species = model.layout.species(structure.numbers)
    blocks = pad(matrices, pairs, species, model.layout)
    return build_graph(
        structure, pairs, species, blocks[:-1], overlap=blocks[-1:], dtype=torch.get_default_dtype()
    )


def slot_rotation(model: TwoStageModel, rotation: np.ndarray) -> Tensor:
    """D(Q) over the padded orbital slots, (n, n)."""
    return torch.from_numpy(orbital_rotation(model.layout.slots, rotation)).to(torch.get_default_dtype())


def rotated_graph(graph: PairGraph, model: TwoStageModel, rotation: np.ndarray) -> PairGraph:
    """The graph of the rotated or inverted structure, from the package's own tested rotations."""
    d, q = slot_rotation(model, rotation), torch.from_numpy(rotation).to(graph.vectors)
    assert graph.inputs is not None
    assert graph.overlap is not None
    assert graph.far_vectors is not None
    return graph.replace(
        vectors=graph.vectors @ q.T,
        inputs=graph.inputs.map(lambda x: d @ x @ d.T),
        overlap=graph.overlap.map(lambda x: d @ x @ d.T),
        far_vectors=graph.far_vectors @ q.T,
    )


def permuted_graph(graph: PairGraph, order: Tensor) -> PairGraph:
    """The graph with its atoms in another order; pairs keep theirs."""
    assert graph.inputs is not None
    assert graph.overlap is not None
    assert graph.far_edges is not None
    place = torch.argsort(order)
    return graph.replace(
        species=graph.species[order],
        inputs=replace(graph.inputs, node=graph.inputs.node[order]),
        overlap=replace(graph.overlap, node=graph.overlap.node[order]),
        edges=place[graph.edges],
        far_edges=place[graph.far_edges],
    )


def largest(first: Blocks, second: Blocks) -> float:
    """Largest difference of two sets of blocks."""
    return max(float((first.node - second.node).abs().max()), float((first.edge - second.edge).abs().max()))


def water(seed: int) -> Structure:
    """Water with its atoms moved by about 0.05 Bohr."""
    base = structure_of()
    moved = base.positions + np.random.default_rng(seed).normal(scale=0.05, size=(3, 3))
    return Structure(base.numbers, moved, name=f"water {seed}")


@cache
def water_record(seed: int) -> Record:
    """LDA/STO-3G calculation of a water molecule, made by PySCF."""
    from ..adapters.pyscf import reference

    return reference(water(seed), "lda,vwn", "sto-3g", grid_level=0)


def tiny_config(**changes: object) -> TrainConfig:
    """A configuration that trains a very small model in seconds."""
    settings: dict[str, object] = {
        "name": "tiny",
        "data": {"split": "ordered", "sizes": (4, 2)},
        "baseline": {"kind": "sap"},
        "model": {
            "first": {"layers": 1, "channels": 4, "l_max": 2, "pair_channels": 8, "hidden_channels": 8, "radial": 6},
            "second": {"kind": "circle", "layers": 1, "width": 8, "heads": 2, "points": 8},
        },
        "optimizer": {"steps": 10, "batch_size": 2, "warmup_steps": 2, "learning_rate": 1e-2},
        "validate_every": 5,
        "threads": 1,
    }
    return TrainConfig.model_validate({**settings, **changes})


def write_waters(path: Path, seeds: Iterable[int], **provenance: str) -> Path:
    """A data set of water molecules; returns its path."""
    from ..data import DatasetWriter

    with DatasetWriter(path) as writer:
        for seed in seeds:
            record = water_record(seed)
            writer.add(replace(record, provenance={**record.provenance, **provenance}))
    return path
