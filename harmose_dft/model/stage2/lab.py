"""Stage 2 of the paper: a non-linear 3D graph Transformer on lab-frame components.

Yin et al., Mach. Learn.: Sci. Technol. 2024, doi 10.1088/2632-2153/ad8d30, section on the non-linear stage. Its dense
layers mix the components of covariant features freely, so covariance is learned from stage 1's covariant input and
from rotated copies of the training data, not built in.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from ...core.conventions import E3NN_AXES
from ...core.sections import Count
from ...nn.attention import SCORE_LIMIT
from ...nn.blocks import Blocks
from ...nn.convolution import node_dims
from ...nn.geometry import FrameBuilder, PairGeometry, sum_over
from ...nn.graph import PairGraph
from ...nn.o2 import O2Linear
from ..stage1 import StageOneOutput, taper
from .base import SecondStage, SecondStageConfig, StageSetting, TrainingMoment

ROTATIONS = 1
"""Stream of random numbers: rotations of the training data."""


class LabTransformerConfig(SecondStageConfig):
    """Size of the paper's second stage."""

    kind: Literal["lab"] = "lab"
    layers: Count = Field(2, ge=1, le=64, description="number of Transformer layers")
    width: Count = Field(128, ge=8, le=2048, description="width of tokens")
    heads: Count = Field(4, ge=1, le=256, description="attention heads")
    l_max: Count = Field(5, ge=1, le=7, description="highest l of the injected spherical harmonics")
    pair_channels: Count = Field(8, ge=1, le=512, description="covariant pair channels handed over for each l")

    @property
    def reach(self) -> int:
        """One pair for each layer."""
        return self.layers


def _projection(inputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.LayerNorm(width), nn.SiLU())


class TokenUpdate(nn.Module):
    """Features, spherical harmonics and radial functions, each projected, normalised and activated, then merged."""

    def __init__(self, features: int, harmonics: int, radial: int, width: int) -> None:
        super().__init__()
        self.features = _projection(features, width)
        self.harmonics = _projection(harmonics, width)
        self.radial = _projection(radial, width)
        self.merge = nn.Linear(3 * width, width)

    def forward(self, features: Tensor, harmonics: Tensor, radial: Tensor) -> Tensor:
        """Tokens, (token, width)."""
        parts = self.features(features), self.harmonics(harmonics), self.radial(radial)
        tokens: Tensor = self.merge(torch.cat(parts, -1))
        return tokens


class LabLayer(nn.Module):
    """Attention over the pairs of an atom, then feed-forward layers on nodes and pairs, geometry injected again."""

    def __init__(self, harmonics: int, radial: int, config: LabTransformerConfig) -> None:
        super().__init__()
        w = config.width
        self.heads = config.heads
        self.query, self.key, self.value = (nn.Linear(3 * w, w) for _ in range(3))
        self.gather = nn.Linear(w, w)
        self.inject = TokenUpdate(3 * w, harmonics, radial, w)
        self.norms = nn.ModuleList(nn.LayerNorm(w) for _ in range(4))
        self.node_feed, self.pair_feed = (
            nn.Sequential(nn.Linear(w, 2 * w), nn.SiLU(), nn.Linear(2 * w, w)) for _ in range(2)
        )

    def forward(
        self, nodes: Tensor, pairs: Tensor, source: Tensor, target: Tensor, harmonics: Tensor, radial: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Updated nodes (atom, width) and pairs (token, width); tokens include the self-pairs."""
        from torch_geometric.utils import softmax  # takes longer to import than torch, and only this stage needs it

        triple = torch.cat([nodes[source], pairs, nodes[target]], dim=-1)
        shape = (len(pairs), self.heads, -1)
        query, key, value = (f(triple).reshape(shape) for f in (self.query, self.key, self.value))
        scores = ((query * key).sum(-1) / math.sqrt(query.shape[-1])).clamp(-SCORE_LIMIT, SCORE_LIMIT)
        weights = softmax(scores, source, num_nodes=len(nodes))
        messages = sum_over((weights[..., None] * value).flatten(1), source, len(nodes))
        nodes = self.norms[0](nodes + self.gather(messages))
        nodes = self.norms[1](nodes + self.node_feed(nodes))
        triple = torch.cat([nodes[source], pairs, nodes[target]], dim=-1)
        pairs = self.norms[2](pairs + self.inject(triple, harmonics, radial))
        return nodes, self.norms[3](pairs + self.pair_feed(pairs))


class LabTransformer(SecondStage):
    """Correction to the baseline Hamiltonian, covariant only as far as it was learned.

    One token for every directed pair; the self-pair of an atom carries its on-site block and starts as its node.

    Args:
        config: Sizes.
        setting: What it is built into.

    Raises:
        ValueError: The width cannot be shared by the heads.
    """

    Config = LabTransformerConfig
    sees_stored_stage1: ClassVar[bool] = False

    def __init__(self, config: LabTransformerConfig, setting: StageSetting) -> None:
        super().__init__(config, setting)
        layout, first = setting.layout, setting.first
        if config.width % config.heads:
            raise ValueError(f"A width of {config.width} cannot be shared by {config.heads} heads.")
        self.config, self.n = config, layout.size
        lab = (first.l_max + 1) ** 2
        pair = taper(first.pair_channels, max(2 * layout.l_max, first.l_max), odd=first.pair_channels // 4)
        self.hand_over = O2Linear(pair, node_dims(first.l_max, config.pair_channels))
        harmonics = (config.l_max + 1) ** 2
        features = 2 * lab * first.channels + lab * config.pair_channels + layout.size**2
        self.embed = TokenUpdate(features, harmonics, first.radial, config.width)
        self.layers = nn.ModuleList(LabLayer(harmonics, first.radial, config) for _ in range(config.layers))
        self.head = nn.Linear(config.width, layout.size**2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, stage1_output: StageOneOutput, graph: PairGraph, geometry: PairGeometry
    ) -> list[tuple[Blocks, None]]:
        """One correction, in units of the model's scales, exactly Hermitian; none of the potential."""
        atoms = torch.arange(len(graph.species), device=graph.species.device)
        source, target = torch.cat([atoms, geometry.source]), torch.cat([atoms, geometry.target])
        harmonics, radial = self._geometry(stage1_output, graph, len(atoms))
        pairs = self.embed(self._features(stage1_output, geometry, source, target), harmonics, radial)
        nodes = pairs[: len(atoms)]
        for layer in self.layers:
            nodes, pairs = layer(nodes, pairs, source, target, harmonics, radial)
        blocks = self.head(pairs).reshape(-1, 1, self.n, self.n)
        node, edge = blocks[: len(atoms)], blocks[len(atoms) :] * stage1_output.cutoff[..., None, None]
        return [(Blocks(node, edge, stage1_output.blocks.axis).symmetrize(graph.reverse), None)]

    def training_view(self, graph: PairGraph, frames: FrameBuilder, moment: TrainingMoment) -> PairGraph:
        """The graph, rotated as a whole once the schedule asks for it: so covariance is learned."""
        if moment.largest_rotation <= 0.0:
            return graph
        rotation = random_rotation(moment.generator(ROTATIONS), moment.largest_rotation)
        return frames.rotate(graph, torch.from_numpy(rotation).to(graph.vectors))

    def _features(
        self, stage1_output: StageOneOutput, geometry: PairGeometry, source: Tensor, target: Tensor
    ) -> Tensor:
        flat = stage1_output.nodes.flatten(1)
        pair_features = geometry.to_lab(self.hand_over(stage1_output.pairs), self.config.pair_channels).flatten(1)
        no_pair_features = pair_features.new_zeros(len(flat), pair_features.shape[1])
        stage1_blocks = torch.cat([stage1_output.blocks.node, stage1_output.blocks.edge]).detach().flatten(1)
        return torch.cat(
            [flat[source], flat[target], torch.cat([no_pair_features, pair_features]), stage1_blocks], dim=-1
        )

    def _geometry(self, stage1_output: StageOneOutput, graph: PairGraph, atoms: int) -> tuple[Tensor, Tensor]:
        from e3nn import o3

        degrees = list(range(self.config.l_max + 1))
        vectors = graph.vectors[:, E3NN_AXES]
        harmonics = o3.spherical_harmonics(degrees, vectors, normalize=True, normalization="component")
        no_harmonics = harmonics.new_zeros(atoms, harmonics.shape[1])
        no_harmonics[:, 0] = 1.0
        no_radial = stage1_output.radial.new_zeros(atoms, stage1_output.radial.shape[1])
        return torch.cat([no_harmonics, harmonics]), torch.cat([no_radial, stage1_output.radial])


def random_rotation(rng: np.random.Generator, largest: float) -> NDArray[np.float64]:
    """A rotation matrix about a random axis; uniform over all rotations if the largest angle is pi."""
    from scipy.spatial.transform import Rotation

    if largest >= math.pi:
        return np.asarray(Rotation.random(rng=rng).as_matrix())
    axis = rng.normal(size=3)
    return np.asarray(Rotation.from_rotvec(axis / np.linalg.norm(axis) * rng.uniform(0, largest)).as_matrix())
