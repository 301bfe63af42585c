"""Density of states and Fermi level from random vectors, without diagonalisation: stochastic Lanczos quadrature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import brentq
from scipy.special import stdtrit

from ..core.errors import SolverError
from ..core.matrix import BlockMatrix
from ..core.spin import electrons_per_orbital
from .factors.base import SparseFactor
from .filling import DEFAULT_FILLING, Filling
from .occupations import occupation
from .pencil import Pencil
from .periodic import Hamiltonians, hamiltonian_tuple

Array = NDArray[Any]
Floats = NDArray[np.float64]

FIRST_STEPS = 30
"""Steps after which the width of the spectrum is known well enough to choose their number."""

STEPS_PER_WIDTH = 0.75
"""Lanczos steps for each broadening that the spectrum is wide: two moments a step, exp(-(b t)^2 / 2) down to 0.01."""

FEWEST_VECTORS, MOST_VECTORS = 4, 64
"""Number of vectors, unless told."""

ORBITALS_TIMES_VECTORS = 200_000
"""Within these limits there are as many vectors as have this many elements together."""

SURE = 0.975
"""Quantile of Student's distribution that makes an interval of 95 %."""

BREAKDOWN = 1e-10
"""Norm in units of the largest one below which the Krylov space of a vector is complete."""


@dataclass(frozen=True, eq=False)
class StochasticDensity:
    """Estimated density of states, with standard errors over the random vectors.

    Args:
        energies: Hartree, (energy,).
        density: States per Hartree and cell, those of a closed shell counted twice, (energy,); both spins together.
        error: Its standard error, (energy,).
        fermi: Fermi level, Hartree.
        fermi_interval: Where it lies with a probability of 95 %, Hartree; wide where there are few states.
        broadening: Standard deviation of the Gaussian that every state is, Hartree.
        n_vectors: Random vectors for each spin direction and k-point.
        n_steps: Lanczos steps.
    """

    energies: Floats
    density: Floats
    error: Floats
    fermi: float
    fermi_interval: tuple[float, float]
    broadening: float
    n_vectors: int
    n_steps: int


@dataclass(frozen=True, eq=False)
class _Quadrature:
    """Gauss quadratures of the spectral measures of random vectors.

    Args:
        nodes: Ritz values, Hartree, (vector, node).
        weights: States that each stands for, electrons per cell if occupied, (vector, node).
    """

    nodes: Floats
    weights: Floats

    def electrons(self, level: float, filling: Filling) -> Floats:
        """Electrons per cell at a Fermi level as each vector has it, (vector,)."""
        occupations = occupation((self.nodes - level) / (filling.width or 1.0), filling.smearing)
        return np.asarray((self.weights * occupations).sum(axis=1))

    def density(self, energies: Floats, broadening: float) -> Floats:
        """Density of states as each vector has it, (vector, energy)."""
        out = np.empty((len(self.nodes), len(energies)))
        for row, nodes, weights in zip(out, self.nodes, self.weights, strict=True):
            gauss = np.exp(-0.5 * ((energies[:, None] - nodes) / broadening) ** 2)
            row[:] = gauss @ weights / (broadening * np.sqrt(2 * np.pi))
        return out

    def fermi(self, n_electrons: float, filling: Filling) -> float:
        """Fermi level from the mean over the vectors."""

        def excess(level: float) -> float:
            return float(self.electrons(level, filling).mean()) - n_electrons

        margin = 40 * (filling.width or 1.0)
        lowest, highest = self.nodes.min() - margin, self.nodes.max() + margin
        if excess(lowest) >= 0 or excess(highest) <= 0:
            return float(lowest if n_electrons <= 0 else highest)
        return float(brentq(excess, lowest, highest))


def stochastic_density(
    hamiltonian: Hamiltonians,
    overlap: BlockMatrix,
    kpoints: ArrayLike,
    weights: ArrayLike,
    n_electrons: float,
    energies: ArrayLike,
    broadening: float,
    *,
    relative: bool = False,
    n_vectors: int | None = None,
    seed: int = 0,
    filling: Filling = DEFAULT_FILLING,
    solver: str | None = None,
) -> StochasticDensity:
    """Density of states with Gaussian broadening, and the Fermi level, of a cell that is too large to diagonalise.

    Tr f(S^-1 H) is the mean of w^+ f(X^+ H X) w over vectors w of random signs, X X^+ = S^-1 from the factors of S.
    Lanczos with the inner product x^+ S y, begun at X w, gives a Gauss quadrature of the spectral measure of each w
    (S. Ubaru, J. Chen, Y. Saad, SIAM J. Matrix Anal. Appl. 38, 1075 (2017)). The number of electrons has a variance
    of at most N / 2 over the number of vectors, N being the number of orbitals: relative errors fall with N.

    Args:
        hamiltonian: H(R): one matrix, or two (spin up, spin down), in Hartree.
        overlap: S(R), spatial.
        kpoints: Fractional, (k, 3).
        weights: Weights that sum to one, (k,).
        n_electrons: Electrons per cell.
        energies: Where the density is wanted, Hartree, (energy,).
        broadening: Standard deviation of the Gaussians, Hartree; cost is inverse to it.
        relative: Whether these energies count from the Fermi level.
        n_vectors: Random vectors per spin direction and k-point, at least two; by default 4 to 64 by size.
        seed: Of the random signs.
        filling: Smearing of the occupations; its spacing plays no part.
        solver: Direct solver, "pardiso" or "superlu"; by default the preferred one of those installed.

    Raises:
        SolverError: The broadening is not positive, there is one vector only, or S is not positive definite.
    """
    matrices, points = hamiltonian_tuple(hamiltonian), np.asarray(kpoints, dtype=np.float64)
    if not broadening > 0:
        raise SolverError(f"The broadening must be positive; got {broadening:g} Ha.")
    count = n_vectors or int(np.clip(ORBITALS_TIMES_VECTORS // matrices[0].size, FEWEST_VECTORS, MOST_VECTORS))
    if count < 2:
        raise SolverError(f"A statistical error needs at least two random vectors; got {count}.")
    rng, share = np.random.default_rng(seed), electrons_per_orbital(matrices) * np.asarray(weights, dtype=np.float64)
    parts: list[_Quadrature] = []
    for k, weight in zip(points, share.tolist(), strict=True):
        for h in matrices:
            pencil = Pencil.at(h, overlap, k, solver)
            nodes, measures = lanczos_quadrature(pencil, pencil.factor_overlap(), count, broadening, rng)
            parts.append(_Quadrature(nodes, weight * pencil.size * measures))
    quadrature = _join(parts)
    fermi, interval = _fermi(quadrature, n_electrons, filling)
    grid = np.asarray(energies, dtype=np.float64) + (fermi if relative else 0.0)
    density = quadrature.density(grid, broadening)
    return StochasticDensity(
        grid, density.mean(axis=0), density.std(axis=0, ddof=1) / np.sqrt(count), fermi, interval, broadening, count,
        max(part.nodes.shape[1] for part in parts),
    )


def lanczos_quadrature(
    pencil: Pencil, factor: SparseFactor, count: int, broadening: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Ritz values (Hartree) and squared first components of Lanczos from random vectors, both (vector, node).

    With u = S v one step takes one product with H and one solution with S: q = H v - a u - b u', v = S^-1 q / b.

    Args:
        pencil: H and S.
        factor: S in factors.
        count: Number of vectors.
        broadening: Resolution, Hartree.
        rng: Source of random signs.
    """
    h = pencil.hamiltonian
    signs = rng.choice([-1.0, 1.0], size=(pencil.size, count)).astype(h.dtype)
    if pencil.is_complex:
        signs *= rng.choice([1.0, 1.0j], size=signs.shape)
    v = factor.correlate(signs / np.sqrt(pencil.size))
    u, u_before = pencil.overlap @ v, np.zeros_like(signs)
    beta = np.zeros(count)
    alphas: list[Floats] = []
    betas: list[Floats] = []
    n_steps = FIRST_STEPS
    while len(alphas) < n_steps:
        q = h @ v
        alpha = np.einsum("nv,nv->v", v.conj(), q).real
        q -= alpha * u + beta * u_before
        r = factor.solve(q)
        beta = np.sqrt(np.maximum(np.einsum("nv,nv->v", r.conj(), q).real, 0.0))
        beta[beta < BREAKDOWN * max(float(np.abs(alpha).max()), 1.0)] = 0.0
        scale = np.divide(1.0, beta, out=np.zeros_like(beta), where=beta > 0)
        v, u_before, u = r * scale, u, q * scale
        alphas.append(alpha)
        betas.append(beta)
        if len(alphas) == FIRST_STEPS:
            nodes, _ = _ritz(alphas, betas)
            n_steps = max(n_steps, int(np.ceil(STEPS_PER_WIDTH * (nodes.max() - nodes.min()) / broadening)))
    return _ritz(alphas, betas)


def _ritz(alphas: list[Floats], betas: list[Floats]) -> tuple[Floats, Floats]:
    """Eigenvalues and squared first components of the tridiagonal matrices of all vectors."""
    pairs = [
        eigh_tridiagonal(diagonal, off[:-1])
        for diagonal, off in zip(np.array(alphas).T, np.array(betas).T, strict=True)
    ]
    return np.array([nodes for nodes, _ in pairs]), np.array([vectors[0] ** 2 for _, vectors in pairs])


def _join(parts: list[_Quadrature]) -> _Quadrature:
    """Quadratures of several k-points and spin directions side by side; vectors of one number belong together."""
    return _Quadrature(
        np.concatenate([p.nodes for p in parts], axis=1), np.concatenate([p.weights for p in parts], axis=1)
    )


def _fermi(
    quadrature: _Quadrature, n_electrons: float, filling: Filling
) -> tuple[float, tuple[float, float]]:
    """Fermi level and its interval, from the standard error of the number of electrons below it."""
    level = quadrature.fermi(n_electrons, filling)
    counts = quadrature.electrons(level, filling)
    margin = float(stdtrit(len(counts) - 1, SURE) * counts.std(ddof=1)) / np.sqrt(len(counts))
    return level, (quadrature.fermi(n_electrons - margin, filling), quadrature.fermi(n_electrons + margin, filling))
