"""Bond frames: rotations that turn a bond onto the z axis, and their Wigner matrices.

In the frame of a bond the symmetry that is left is O(2): rotations about the bond and reflections in planes that
contain it. A component (l, m) of a feature of natural parity is then the cosine (m > 0) or sine (m < 0) partner of
angular frequency |m|, whatever its l (Passaro & Zitnick, ICML 2023, arXiv:2302.03655, for the use in convolutions).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..core.conventions import E3NN_AXES
from .couplings import coupling


def bond_rotations(vectors: Tensor) -> Tensor:
    """Rotation matrices Q with Q @ (v / |v|) = z for every bond vector v.

    The roll about the bond is arbitrary (covariant layers do not depend on it); the helper axis is the Cartesian one
    least parallel to the bond, so no direction is singular.

    Args:
        vectors: (edge, 3), in any unit.

    Returns:
        (edge, 3, 3), rows are the frame's axes.
    """
    z = vectors / vectors.norm(dim=-1, keepdim=True)
    axis = torch.zeros_like(z).scatter_(1, z.abs().argmin(dim=1, keepdim=True), 1.0)
    x = torch.linalg.cross(axis, z)
    x = x / x.norm(dim=-1, keepdim=True)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=1)


def wigner_matrices(rotations: Tensor, l_max: int) -> list[Tensor]:
    """D_l(Q) for l = 0..l_max: Y_l(Q r) = D_l(Q) Y_l(r) in our harmonics.

    D_1 is the rotation itself in the order (y, z, x); higher ones follow from
    D_l = (2 l + 1) W^T (D_{l-1} x D_1) W with the 3j tensor W of (l-1, 1, l).

    Args:
        rotations: Proper rotation matrices, (edge, 3, 3).
        l_max: Highest l.

    Returns:
        Tensors (edge, 2 l + 1, 2 l + 1).
    """
    vector_rotation = rotations[:, E3NN_AXES][:, :, E3NN_AXES]
    matrices = [torch.ones_like(rotations[:, :1, :1]), vector_rotation]
    for l in range(2, l_max + 1):
        w = coupling(l - 1, 1, l, rotations.dtype).to(rotations.device)
        half = torch.einsum("abm,eac->ebcm", w, matrices[-1])
        half = torch.einsum("ebcm,ebd->ecdm", half, vector_rotation)
        matrices.append((2 * l + 1) * torch.einsum("ecdm,cdn->emn", half, w))
    return matrices[: l_max + 1]
