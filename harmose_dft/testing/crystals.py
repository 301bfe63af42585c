"""Crystals made up for tests: numerical orbitals, and a Hamiltonian that is a known function of the structure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..core.basis import NumericalRadial, OrbitalBasis, Shell
from ..core.record import Record
from ..core.spin import recombine
from ..core.structure import Structure
from ..physics.integrals import kinetic, overlap
from ..training.config import TrainConfig

CUTOFF = 4.0
"""Bohr."""


def orbital(l: int, width: float) -> NumericalRadial:
    """r^l exp(-(r / width)^2) times a factor that vanishes smoothly at the cutoff, normalised."""
    r = np.linspace(0.0, CUTOFF, 301)
    values = r**l * np.exp(-((r / width) ** 2)) * (1 - (r / CUTOFF) ** 2) ** 4
    return NumericalRadial(r, values / np.sqrt(np.trapezoid((values * r) ** 2, r)))


BASIS = OrbitalBasis(
    "made-up-orbitals",
    {
        5: (Shell(0, orbital(0, 1.6)), Shell(1, orbital(1, 1.9))),
        7: (Shell(0, orbital(0, 1.3)), Shell(1, orbital(1, 1.5))),
    },
)
"""An s and a p shell on boron and nitrogen."""

MOMENTUM = np.zeros((3, 4, 4))
"""Angular momentum (y, z, x) of the p shell behind the s shell; orbitals in the order s, y, z, x."""
for _k, (_m, _n) in enumerate(((2, 3), (3, 1), (1, 2))):
    MOMENTUM[_k, _m, _n], MOMENTUM[_k, _n, _m] = 1.0, -1.0

VALENCE = {5: 3, 7: 5}
LEVEL = {5: -0.30, 7: -0.55}
"""Hartree."""


def layer(seed: int | None = None, *, stretch: float = 1.0, tilt: float = 0.0) -> Structure:
    """A boron nitride layer in vacuum; a seed displaces its atoms."""
    cell = stretch * np.array([[4.7, 0.0, 0.0], [-2.35 + tilt, 2.35 * np.sqrt(3.0), 0.0], [0.0, 0.0, 20.0 / stretch]])
    positions = np.array([[1 / 3, 2 / 3, 0.5], [2 / 3, 1 / 3, 0.5]]) @ cell
    if seed is not None:
        positions = positions + np.random.default_rng(seed).normal(scale=0.1, size=positions.shape)
    return Structure(np.array([5, 7]), positions, cell)


def calculation(structure: Structure, shift: float = 0.0, basis: OrbitalBasis = BASIS) -> Record:
    """H_ij(R) = 0.5 T_ij(R) + (v_i + v_j) S_ij(R) / 2 + shift S_ij(R), v_i depending on the neighbours of atom i."""
    s, t = overlap(structure, basis), kinetic(structure, basis)
    v = levels(structure)
    sizes = np.diff(s.pointers)
    mean = np.repeat(0.5 * (v[s.pairs[:, 0]] + v[s.pairs[:, 1]]), sizes)
    hamiltonian = s.with_values(0.5 * t.values + (mean + shift) * s.values)
    electrons = float(sum(VALENCE[z] for z in structure.numbers.tolist()))
    about = {"code": "made up", "version": "1", "functional": "none"}
    return Record(structure, basis, (hamiltonian,), s, electrons, provenance=about)


def with_collinear_spin(structure: Structure, shift: float = 0.0) -> Record:
    """The calculation with H_up, H_down = H +- (e_i + e_j) S_ij / 2, the splitting e_i a tenth of the level."""
    record = calculation(structure, shift)
    (h,), s = record.hamiltonian, record.overlap
    split = 0.1 * levels(structure)
    mean = np.repeat(0.5 * (split[s.pairs[:, 0]] + split[s.pairs[:, 1]]), np.diff(s.pointers))
    pair = tuple(h.with_values(h.values + sign * mean * s.values) for sign in (1.0, -1.0))
    return replace(record, hamiltonian=pair)


def with_spin_orbit(structure: Structure, shift: float = 0.0) -> Record:
    """The calculation with A_k = S P_k S, P_k = c_i L_k on the p shell of each atom, c_i a tenth of the level.

    The spin-orbit operator of atoms with a projector on each p shell: covariant, and with pair blocks.
    """
    record = calculation(structure, shift)
    (h,), s = record.hamiltonian, record.overlap
    strength = 0.1 * levels(structure)
    vector = [h.with_values(np.zeros(len(h.values))) for _ in range(3)]
    blocks = {(i, j, *r): b for i, j, r, b in s.blocks()}
    for e, (i, j, r, _) in enumerate(s.blocks()):
        inside = slice(s.pointers[e], s.pointers[e + 1])
        for (a, b, *q), left in blocks.items():
            rest = (b, j, *(np.array(r) - q))
            if a != i or rest not in blocks:
                continue
            for part, momentum in zip(vector, MOMENTUM, strict=True):
                part.values[inside] += (strength[b] * left @ momentum @ blocks[rest]).ravel()
    return replace(record, hamiltonian=recombine((h, *vector)))


def levels(structure: Structure) -> NDArray[np.float64]:
    """v_i in Hartree: the element's level and a sum over neighbours."""
    s = overlap(structure, BASIS)
    distance = np.linalg.norm(structure.pair_vectors(s.pairs, s.shifts), axis=1)
    near = np.where(distance > 0, np.exp(-((distance / 2.5) ** 2)), 0.0)
    base = np.array([LEVEL[z] for z in structure.numbers.tolist()])
    return np.asarray(base - 0.2 * np.bincount(s.pairs[:, 0], near, minlength=len(structure)))


def repeat_cell(structure: Structure, times: tuple[int, int, int]) -> Structure:
    """A supercell; the copies of the cell follow one another."""
    assert structure.cell is not None
    shifts = np.stack(np.meshgrid(*(np.arange(n) for n in times), indexing="ij"), -1).reshape(-1, 3)
    positions = (structure.positions[None] + (shifts @ structure.cell)[:, None]).reshape(-1, 3)
    return Structure(np.tile(structure.numbers, len(shifts)), positions, structure.cell * np.array(times)[:, None])


def configuration(data: Path, folder: Path, /, **changes: Any) -> TrainConfig:
    """Training of a very small model in seconds; ``changes`` replace whole sections."""
    sizes = {"layers": 1, "channels": 8, "l_max": 2, "pair_channels": 8, "hidden_channels": 8, "radial": 8}
    return TrainConfig.model_validate({
        "name": "made-up",
        "data": {"files": [data], "split": "ordered", "sizes": (4, 1, 1)},
        "model": {"first": sizes, "second": {"kind": "circle", "layers": 1, "width": 8, "heads": 2}},
        "optimizer": {"steps": 60, "batch_size": 2, "learning_rate": 1e-2, "ema": 0.8, "warmup_steps": 5},
        "output": folder, "threads": 1, "validate_every": 30,
    } | changes)
