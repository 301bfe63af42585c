"""Long-range electrostatics: learned atomic charges and dipoles shift the Hamiltonian by the potential they make."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from ..core.conventions import E3NN_AXES
from .blocks import Blocks
from .geometry import sum_over
from .graph import PairGraph
from .lattice import lattice_potential
from .layout import ParameterLabels
from .node import NodeNorm

POTENTIAL_SCALE = 0.02
"""Hartree; typical size of the potential."""

LOCAL_UNIT = 0.004
"""Hartree; unit of the local part of the potential. The units of outputs set how far one update of the weights moves
them: with larger ones a single update changes the potential by more than the error that is left to learn."""

CHARGE_UNIT = 0.004
"""Elementary charges, and elementary charges times Bohr; unit of learned charges and dipoles."""

FIELD_SCALE = 0.005
"""Hartree per Bohr; typical size of the field of the other atoms."""

START_RADIUS = 2.0
"""Bohr; radius within which the potential of a learned charge is rounded off, before training."""


@dataclass(frozen=True)
class Potential:
    """The electrostatic potential at the atoms, and its gradient, atomic units.

    Args:
        value: Potential energy of an electron, (atom,).
        field: Its gradient due to the other atoms, components in the order y, z, x, (atom, 3).
        charges: Learned charges, whether or not they are part of the potential, (atom,).
        dipoles: Learned dipoles, likewise, components in the order y, z, x, (atom, 3).
    """

    value: Tensor
    field: Tensor
    charges: Tensor
    dipoles: Tensor

    @staticmethod
    def cat(potentials: Sequence[Potential]) -> Potential:
        """Potentials of several graphs side by side."""
        return Potential(*(torch.cat([getattr(p, f.name) for p in potentials]) for f in fields(Potential)))

    def to(self, device: torch.device | str) -> Potential:
        """A copy on another device."""
        return Potential(*(getattr(self, f.name).to(device) for f in fields(Potential)))

    def with_outer(self, outer: Tensor) -> Potential:
        """This potential and that of a whole lattice.

        Args:
            outer: Value and gradient, (atom, 4).
        """
        return replace(self, value=self.value + outer[:, 0], field=self.field + outer[:, 1:])

    def blocks(self, graph: PairGraph) -> Blocks:
        """Matrix of the potential, S_ij (v_i + v_j) / 2 for every pair of atoms: exactly Hermitian and covariant."""
        assert graph.overlap is not None
        pair = 0.5 * (self.value[graph.edges[0]] + self.value[graph.edges[1]])
        node, edge = (v[:, None, None, None] for v in (self.value, pair))
        return Blocks(graph.overlap.node * node, graph.overlap.edge * edge, graph.overlap.axis)


class PotentialHead(nn.Module):
    """Charges, dipoles and a local potential from node features.

    v_i = local_i - sum_j [q_j / u + p_j . (r_i - r_j) / u^3], u^2 = |r_i - r_j|^2 + a_j^2, over all other atoms of the
    molecule. Charges are what the pairs of an atom pass to it, so separate fragments stay neutral. Those of a crystal
    are Gaussians of one width, whose potential is summed over the waves of its reciprocal lattice, all images and the
    atom itself included; without waves the local part is left. Far atoms so act through their charge and dipole
    alone, which a network of finite range does not learn from small structures. An untrained head returns zero.

    Args:
        l_max: Highest l of node features.
        channels: Channels of node features.
        pair_channels: Scalars of pair features.
        elements: Atomic numbers; each element has a radius a.
    """

    def __init__(self, l_max: int, channels: int, pair_channels: int, elements: Sequence[int]) -> None:
        super().__init__()
        self._elements = tuple(elements)
        self.norm = NodeNorm(l_max, channels)
        self.hidden = nn.Linear(channels, channels)
        self.local = nn.Linear(channels, 1)
        self.transfer = nn.Parameter(torch.zeros(pair_channels))
        self.gates = nn.Linear(channels, channels)
        self.dipole = nn.Parameter(torch.zeros(channels))
        self.log_radius = nn.Parameter(torch.full((len(self._elements),), math.log(START_RADIUS)))
        nn.init.zeros_(self.local.weight)
        nn.init.zeros_(self.local.bias)

    def labels(self) -> ParameterLabels:
        """The element of each radius."""
        return {"log_radius": {0: self._elements}}

    def forward(self, nodes: Tensor, pairs: Tensor, cutoff: Tensor, graph: PairGraph) -> Potential:
        """Potential at the atoms.

        Args:
            nodes: Node features, (atom, (L+1)^2, channel).
            pairs: Scalars of pair features, (edge, pair channel).
            cutoff: Cutoff factors, (edge, 1).
            graph: The atoms and pairs.
        """
        x = self.norm(nodes)
        hidden = nn.functional.silu(self.hidden(x[:, 0]))
        value = LOCAL_UNIT * self.local(hidden)[:, 0]
        charges = CHARGE_UNIT * self._charges(pairs, cutoff, graph, len(value))
        dipoles = CHARGE_UNIT * (x[:, 1:4] * self.gates(hidden)[:, None]) @ self.dipole
        if graph.waves is not None:
            potential, slope = lattice_potential(charges, dipoles, graph)
        elif graph.far_edges is not None:
            potential, slope = self._of_far_atoms(charges, dipoles, graph)
        else:
            potential, slope = torch.zeros_like(value), torch.zeros_like(dipoles)
        return Potential(value - potential, -slope, charges, dipoles)

    def _of_far_atoms(self, charges: Tensor, dipoles: Tensor, graph: PairGraph) -> tuple[Tensor, Tensor]:
        """The potential of all other atoms of a molecule, and its gradient."""
        assert graph.far_edges is not None
        assert graph.far_vectors is not None
        target, source = graph.far_edges
        directions = -graph.far_vectors[:, E3NN_AXES]
        inverse = (directions.square().sum(1) + torch.exp(2.0 * self.log_radius)[graph.species[source]]).rsqrt()
        cubed = inverse**3
        p, q = dipoles[source], charges[source]
        along = (p * directions).sum(1)
        far_potential = q * inverse + along * cubed
        slope = p * cubed[:, None] - directions * (q * cubed + 3.0 * along * inverse**5)[:, None]
        return sum_over(far_potential, target, len(charges)), sum_over(slope, target, len(charges))

    def _charges(self, pairs: Tensor, cutoff: Tensor, graph: PairGraph, atoms: int) -> Tensor:
        transferred = (pairs @ self.transfer) * cutoff[:, 0]
        return sum_over(transferred - transferred[graph.reverse], graph.edges[0], atoms)


class PotentialEmbedding(nn.Module):
    """Adds the potential and the field at each atom to its node features of l = 0 and l = 1; zero before training."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(channels))
        self.field = nn.Parameter(torch.zeros(channels))

    def forward(self, nodes: Tensor, potential: Potential) -> Tensor:
        """(atom, (L+1)^2, channel) -> the same shape."""
        scalars = nodes[:, :1] + (potential.value / POTENTIAL_SCALE)[:, None, None] * self.value
        vectors = nodes[:, 1:4] + (potential.field / FIELD_SCALE)[:, :, None] * self.field
        return torch.cat([scalars, vectors, nodes[:, 4:]], dim=1)
