"""Attention over the pairs that share an atom."""

from __future__ import annotations

import torch
from torch import Tensor

SCORE_LIMIT = 5.0
"""Scores are clipped to this range, which bounds the sharpness of the attention."""


def attention_weights(scores: Tensor, atoms: Tensor, n_atoms: int, cutoff: Tensor) -> Tensor:
    """Soft-max over the pairs of each atom, weighted by a smooth cutoff.

    w_e = c_e exp(s_e) / (1 + sum_e' c_e' exp(s_e')); the one in the denominator lets an atom attend to nothing, so the
    weights stay smooth when its last neighbour leaves.

    Args:
        scores: (edge, head).
        atoms: The atom each pair belongs to, (edge,).
        n_atoms: Number of atoms.
        cutoff: Cutoff factors, (edge, 1).

    Returns:
        (edge, head).
    """
    weights = cutoff * torch.exp(scores.clamp(-SCORE_LIMIT, SCORE_LIMIT))
    total = weights.new_zeros(n_atoms, weights.shape[1]).index_add(0, atoms, weights)
    return weights / (1.0 + total.index_select(0, atoms))
