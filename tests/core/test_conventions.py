"""docs/explanation/conventions.md, line by line: each convention against an independent statement of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import constants

from harmose_dft.core import units
from harmose_dft.core.conventions import CONVENTIONS, E3NN_AXES, OrbitalConvention
from harmose_dft.core.errors import HarmoseError
from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.core.rotations import real_harmonics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "explanation" / "conventions.md"

NAMES = {
    0: ["s"],
    1: ["y", "z", "x"],
    2: ["xy", "yz", "z2", "xz", "x2-y2"],
    3: ["y(3x2-y2)", "xyz", "yz2", "z3", "xz2", "z(x2-y2)", "x(x2-3y2)"],
}
"""Our components, m = -l..l, by their polynomials."""

CODES = {
    "pyscf": [["s"], ["x", "y", "z"], NAMES[2], NAMES[3]],
    "openmx": [
        ["s"], ["x", "y", "z"], ["z2", "x2-y2", "xy", "xz", "yz"],
        ["z3", "xz2", "yz2", "z(x2-y2)", "xyz", "x(x2-3y2)", "y(3x2-y2)"],
    ],
    "abacus": [
        ["s"], ["z", "-x", "-y"], ["z2", "-xz", "-yz", "x2-y2", "xy"],
        ["z3", "-xz2", "-yz2", "z(x2-y2)", "xyz", "-x(x2-3y2)", "-y(3x2-y2)"],
    ],
    "molden": [
        ["s"], ["x", "y", "z"], ["z2", "xz", "yz", "x2-y2", "xy"],
        ["z3", "xz2", "yz2", "z(x2-y2)", "xyz", "x(x2-3y2)", "y(3x2-y2)"],
    ],
    "orca": [["s"], ["z", "x", "y"], ["z2", "xz", "yz", "x2-y2", "xy"]],
}
"""The codes' components as their manuals name them: PySCF's gto.spheric_labels, OpenMX's PDOS file names, ABACUS's
Condon-Shortley phase with m = 0, 1, -1, ..., the Molden format's [5D] and [7F], ORCA's matrix printout."""


def polynomial(name: str, r: NDArray[np.float64]) -> NDArray[np.float64]:
    """The named function of unit vectors (point, 3), not normalised."""
    x, y, z = r.T
    values = {
        "s": np.ones_like(x), "x": x, "y": y, "z": z,
        "xy": x * y, "yz": y * z, "xz": x * z, "x2-y2": x**2 - y**2, "z2": 3 * z**2 - 1,
        "y(3x2-y2)": y * (3 * x**2 - y**2), "xyz": x * y * z, "yz2": y * (5 * z**2 - 1), "z3": z * (5 * z**2 - 3),
        "xz2": x * (5 * z**2 - 1), "z(x2-y2)": z * (x**2 - y**2), "x(x2-3y2)": x * (x**2 - 3 * y**2),
    }
    return -values[name[1:]] if name.startswith("-") else values[name]


def sphere() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points and weights that integrate products of f functions exactly."""
    z, weight = np.polynomial.legendre.leggauss(8)
    phi = 2 * np.pi * np.arange(16) / 16
    rho = np.sqrt(1 - z**2)
    r = np.stack([np.outer(rho, np.cos(phi)), np.outer(rho, np.sin(phi)), np.outer(z, np.ones(16))], -1)
    return r.reshape(-1, 3), np.repeat(weight, 16) * 2 * np.pi / 16


def overlaps(names: list[str], l: int) -> NDArray[np.float64]:
    """<named function | Y_lm>, with the named functions normalised; (name, m)."""
    r, weight = sphere()
    functions = np.stack([polynomial(n, r) for n in names])
    functions /= np.sqrt((functions**2 * weight).sum(axis=1, keepdims=True))
    return (functions * weight) @ real_harmonics(l, r)


@pytest.mark.parametrize("l", range(4))
def test_our_components_are_the_named_polynomials(l: int) -> None:
    assert np.abs(overlaps(NAMES[l], l) - np.eye(2 * l + 1)).max() < 1e-12


@pytest.mark.parametrize(("code", "l"), [(code, l) for code, rows in CODES.items() for l in range(len(rows))])
def test_order_and_sign_of_each_code_by_overlap(code: str, l: int) -> None:
    """S of the code's functions with ours is the signed permutation of the table."""
    convention = CONVENTIONS[code]
    index, sign = convention.from_ours([l])
    expected = np.zeros((2 * l + 1, 2 * l + 1))
    expected[np.arange(2 * l + 1), index] = sign
    assert np.abs(overlaps(CODES[code][l], l) - expected).max() < 1e-12


@pytest.mark.parametrize("code", CONVENTIONS)
def test_every_convention_goes_there_and_back(code: str) -> None:
    convention = CONVENTIONS[code]
    shells = [l for l in (0, 1, 3, 2, 0, 1, 2, 4) if l in convention.components]
    values = np.random.default_rng(0).normal(size=sum(2 * l + 1 for l in shells))
    there, there_sign = convention.from_ours(shells)
    back, back_sign = convention.to_ours(shells)
    assert np.array_equal((values[there] * there_sign)[back] * back_sign, values)


def test_every_convention_is_stated_independently() -> None:
    assert set(CODES) == set(CONVENTIONS) - {"harmose_dft"}


def test_unknown_angular_momentum_is_named() -> None:
    with pytest.raises(HarmoseError, match="openmx has no entry for l = 4"):
        CONVENTIONS["openmx"].to_ours([4])


def cell(convention: OrbitalConvention, l: int) -> str:
    if l not in convention.components:
        return ""
    return ", ".join(("" if sign > 0 else "−") + NAMES[l][m + l] for m, sign in convention.components[l])


def orbital_table() -> str:
    """The page's table, from the conventions themselves."""
    lines = ["| code | p | d | f |", "|---|---|---|---|"]
    lines += [f"| {name} | {' | '.join(cell(c, l) for l in (1, 2, 3))} |" for name, c in CONVENTIONS.items()]
    return "\n".join(lines)


def test_page_shows_the_table_of_conventions() -> None:
    begin, end = ("<!-- orbital table: " + word + " -->" for word in ("begin", "end"))
    found = re.search(rf"{begin}\n(.*?)\n{end}", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    assert found[1] == orbital_table(), f"Replace the table in docs/explanation/conventions.md by:\n{orbital_table()}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (units.HARTREE_IN_EV, constants.value("Hartree energy in eV")),
        (units.BOHR_IN_ANGSTROM, constants.value("Bohr radius") / constants.angstrom),
        (units.RYDBERG_IN_HARTREE, constants.value("Rydberg constant times hc in eV") / units.HARTREE_IN_EV),
        (units.KELVIN_IN_HARTREE, constants.value("kelvin-hartree relationship")),
        (units.DIPOLE_AU_IN_DEBYE, 2.541746473),  # the usual tabulated value, 10 digits
    ],
)
def test_units_are_codata(value: float, expected: float) -> None:
    assert value == pytest.approx(expected, rel=1e-9)


def test_shift_is_the_cell_of_the_second_atom_and_the_phase_is_the_cells() -> None:
    """Chain a-b with hoppings 1 (same cell) and t (b of the cell to the left, seen from a).

    |E(k)| = |1 + t exp(-2 pi i k)|, the Su-Schrieffer-Heeger dispersion (Phys. Rev. Lett. 42, 1698 (1979)); the
    phase of the block itself tells the gauge.
    """
    t, k = 0.4, 0.3
    blocks = {(0, 1, 0, 0, 0): [[1.0]], (1, 0, 0, 0, 0): [[1.0]], (0, 1, -1, 0, 0): [[t]], (1, 0, 1, 0, 0): [[t]]}
    h = BlockMatrix.from_blocks([1, 1], {key: np.array(b) for key, b in blocks.items()})
    assert h.hermiticity_error() == 0.0
    block = h.at((k, 0.0, 0.0))[0, 1]
    assert block == pytest.approx(1 + t * np.exp(-2j * np.pi * k))
    energies = np.linalg.eigvalsh(h.at((k, 0.0, 0.0)))
    assert energies == pytest.approx([-abs(block), abs(block)])


def test_spin_is_the_slow_index_of_blocks_and_of_the_dense_matrix() -> None:
    """Two atoms with one orbital each; sigma_z and hopping give a matrix that is known by hand."""
    up_down = np.diag([1.0, -1.0])
    hopping = 0.5 * np.eye(2)
    blocks = {(0, 0, 0, 0, 0): up_down, (1, 1, 0, 0, 0): up_down, (0, 1, 0, 0, 0): hopping, (1, 0, 0, 0, 0): hopping}
    dense = BlockMatrix.from_blocks([1, 1], blocks, spinor=True).to_dense()
    up = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert np.array_equal(dense, np.block([[up, np.zeros((2, 2))], [np.zeros((2, 2)), up - 2 * np.eye(2)]]))


def test_e3nn_on_permuted_coordinates_has_our_order() -> None:
    import torch
    from e3nn import o3

    r = np.random.default_rng(1).normal(size=(20, 3))
    r /= np.linalg.norm(r, axis=1, keepdims=True)
    for l in range(5):
        theirs = o3.spherical_harmonics(l, torch.as_tensor(r[:, E3NN_AXES]), True, normalization="integral")
        assert np.abs(theirs.numpy() - real_harmonics(l, r)).max() < 1e-12
