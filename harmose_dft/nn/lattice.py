"""The electrostatic potential of the charges and dipoles of a crystal's atoms, summed over its reciprocal lattice."""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.conventions import E3NN_AXES
from .graph import PairGraph

PHASES = 2**17
"""Phases of atoms in waves that are worked out at once, roughly: few enough for a processor's cache."""


def lattice_potential(charges: Tensor, dipoles: Tensor, graph: PairGraph) -> tuple[Tensor, Tensor]:
    """The potential at the atoms of a graph's structures: :func:`potential_of_waves`.

    Args:
        charges: (atom,).
        dipoles: (atom, 3).
        graph: Holds positions, waves and their weights.
    """
    assert graph.positions is not None
    assert graph.waves is not None
    assert graph.wave_weights is not None
    assert graph.wave_structure is not None
    parts = []
    for k in range(graph.n_structures):
        atoms, chosen = graph.structure == k, graph.wave_structure == k
        waves, weights = graph.waves[chosen], graph.wave_weights[chosen]
        parts.append(potential_of_waves(charges[atoms], dipoles[atoms], graph.positions[atoms], waves, weights))
    return torch.cat([value for value, _ in parts]), torch.cat([gradient for _, gradient in parts])


def potential_of_waves(
    charges: Tensor, dipoles: Tensor, positions: Tensor, waves: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor]:
    """The potential at the atoms of a crystal and its gradient, atomic units.

    With the structure factor F(G) = sum_j (q_j - i G.p_j) exp(-i G.r_j) the potential is
    sum_G w(G) Re[F(G) exp(i G.r)]; time is linear in the number of atoms times the number of waves.

    Args:
        charges: q, (atom,).
        dipoles: p, components in the order y, z, x, (atom, 3).
        positions: r, (atom, 3).
        waves: G, (wave, 3).
        weights: w, (wave,).

    Returns:
        (atom,), and components in the order y, z, x, (atom, 3).
    """
    value, gradient = torch.zeros_like(charges), torch.zeros_like(dipoles)
    places, q = positions[:, E3NN_AXES], charges[:, None]
    size = max(1, PHASES // max(1, len(charges)))
    for g, w in zip(waves[:, E3NN_AXES].split(size), weights.split(size), strict=True):
        phases, p = places @ g.T, dipoles @ g.T
        cosine, sine = phases.cos(), phases.sin()
        even, odd = w * (q * cosine - p * sine).sum(0), w * (q * sine + p * cosine).sum(0)
        value = value + cosine @ even + sine @ odd
        gradient = gradient + (cosine * odd - sine * even) @ g
    return value, gradient
