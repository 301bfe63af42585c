"""Layers in bond frames: Wigner matrices, O(2) components, circle, attention."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest
import torch

from harmose_dft.core.rotations import orbital_rotation, random_rotations, wigner_d
from harmose_dft.nn.attention import SCORE_LIMIT, attention_weights
from harmose_dft.nn.circle import CircleGrid, CircleMLP
from harmose_dft.nn.convolution import O2Products
from harmose_dft.nn.frames import bond_rotations, wigner_matrices
from harmose_dft.nn.geometry import FrameBuilder
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.nn.node import BlockHarmonics
from harmose_dft.nn.o2 import BlockComponents, O2Dims, O2Features, O2Linear, TwoGathers
from harmose_dft.nn.radial import RadialBasis, envelope
from harmose_dft.testing.models import BASIS

DIMS = O2Dims(3, 2, (4, 2, 2))
LAYOUT = OrbitalLayout.of(BASIS)
AXES = [sign * row for row in np.eye(3) for sign in (1.0, -1.0)]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def random_features(dims: O2Dims, rows: int = 5) -> O2Features:
    return O2Features.split(torch.randn(rows, dims.size, generator=torch.Generator().manual_seed(0)), dims)


def turned(x: O2Features, angle: float) -> O2Features:
    """Rotation about the bond: (cos, sin) of frequency m turn by m times the angle."""
    pairs = []
    for m, p in enumerate(x.pairs, start=1):
        c, s = math.cos(m * angle), math.sin(m * angle)
        pairs.append(torch.stack([c * p[:, 0] - s * p[:, 1], s * p[:, 0] + c * p[:, 1]], dim=1))
    return O2Features(x.even, x.odd, pairs)


def reflected(x: O2Features) -> O2Features:
    """Reflection y -> -y: sines and pseudoscalars change sign."""
    return O2Features(x.even, -x.odd, [p * torch.tensor([1.0, -1.0])[:, None] for p in x.pairs])


@pytest.mark.parametrize("vector", [*AXES, np.array([1.0, 1.0, 1.0]), np.array([0.0, 1e-9, -2.0])])
def test_bond_rotation_takes_the_bond_to_z(vector: np.ndarray) -> None:
    (q,) = bond_rotations(torch.from_numpy(vector)[None])
    np.testing.assert_allclose(q.numpy() @ vector / np.linalg.norm(vector), [0, 0, 1], atol=1e-14)
    np.testing.assert_allclose(q.numpy() @ q.numpy().T, np.eye(3), atol=1e-14)
    assert np.linalg.det(q.numpy()) == pytest.approx(1)


def test_wigner_matrices_of_bond_frames_are_those_of_real_harmonics() -> None:
    vectors = torch.from_numpy(np.concatenate([AXES, np.random.default_rng(0).normal(size=(4, 3))]))
    rotations = bond_rotations(vectors)
    for l, matrices in enumerate(wigner_matrices(rotations, 6)):
        for q, d in zip(rotations.numpy(), matrices.numpy(), strict=True):
            np.testing.assert_allclose(d, wigner_d(l, q), atol=1e-12)


def test_block_components_are_an_orthogonal_change_of_basis() -> None:
    components = BlockComponents(LAYOUT)
    blocks = torch.randn(3, 1, LAYOUT.size, LAYOUT.size)
    split = components.split(blocks)
    assert components.dims.size == LAYOUT.size**2
    torch.testing.assert_close(components.assemble(split), blocks, atol=1e-14, rtol=0)
    assert float(split.flat().norm()) == pytest.approx(float(blocks.norm()), rel=1e-14)


def test_gradient_of_the_two_gathers_is_right() -> None:
    components = BlockComponents(OrbitalLayout((0, 1), (1,), (np.arange(4),)))
    x = torch.randn(2, 16, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: TwoGathers.apply(v, components.analysis, components.synthesis), (x,))


@pytest.mark.parametrize("angle", [0.3, 2.0])
def test_block_components_turn_with_their_frequency(angle: float) -> None:
    """A rotation about the bond by phi turns (cos, sin) of frequency m by m phi; a reflection flips the sines."""
    components = BlockComponents(LAYOUT)
    blocks = torch.randn(2, 1, LAYOUT.size, LAYOUT.size)
    about_z = np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])
    for q, expected in (
        (about_z, turned(components.split(blocks), angle)),
        (np.diag([1.0, -1.0, 1.0]), reflected(components.split(blocks))),
    ):
        d = torch.from_numpy(orbital_rotation(LAYOUT.slots, q))
        torch.testing.assert_close(components.split(d @ blocks @ d.T).flat(), expected.flat(), atol=1e-12, rtol=0)


def test_o2_linear_commutes_with_rotations_and_reflections() -> None:
    layer, x = O2Linear(DIMS, O2Dims(2, 3, (3, 2, 1, 1))), random_features(DIMS)
    for act in (lambda f: turned(f, 0.7), reflected):
        torch.testing.assert_close(layer(act(x)).flat(), act(layer(x)).flat(), atol=1e-13, rtol=0)


def test_products_of_pairs_are_scalars_and_pseudoscalars() -> None:
    products, x = O2Products(DIMS), random_features(DIMS)
    even, odd = products(x.pairs)
    for act, sign in ((lambda f: turned(f, 0.7), 1), (reflected, -1)):
        again = products(act(x).pairs)
        torch.testing.assert_close(again, (even, sign * odd), atol=1e-13, rtol=0)


def test_features_survive_flattening() -> None:
    x = random_features(DIMS)
    again = O2Features.split(x.flat(), DIMS)
    torch.testing.assert_close((again.even, again.odd, again.pairs), (x.even, x.odd, x.pairs), atol=0, rtol=0)


def test_circle_gives_back_band_limited_functions() -> None:
    grid, x = CircleGrid(3, 7), random_features(O2Dims(4, 0, (4, 4, 4)))
    even, pairs = grid.project(grid.sample(x))
    torch.testing.assert_close((even, pairs), (x.even, x.pairs), atol=1e-14, rtol=0)


def test_products_on_enough_angles_commute_with_all_rotations() -> None:
    """Squares of frequencies up to M, projected to M, are exact for K > 3 M; with fewer angles they alias."""
    x = random_features(O2Dims(4, 0, (4, 4)))

    def square(grid: CircleGrid, f: O2Features) -> O2Features:
        even, pairs = grid.project(grid.sample(f) ** 2)
        return O2Features(even, even.new_zeros(len(even), 0), pairs)

    def error(points: int) -> float:
        grid = CircleGrid(2, points)
        return float((square(grid, turned(x, 0.4)).flat() - turned(square(grid, x), 0.4).flat()).abs().max())

    assert error(7) < 1e-13
    assert error(5) > 1e-2


def test_more_angles_leave_band_limited_functions_as_they_are() -> None:
    grid, x = CircleGrid(2, 5), random_features(O2Dims(4, 0, (4, 4)))
    grid.set_points(24)
    torch.testing.assert_close(grid.project(grid.sample(x))[1], x.pairs, atol=1e-14, rtol=0)
    assert grid.sample(x).shape[1] == 24


def test_too_few_angles_are_refused() -> None:
    with pytest.raises(ValueError, match="more than 6"):
        CircleGrid(3, 6)


def test_dropout_leaves_out_the_same_channels_at_every_angle_and_none_at_prediction() -> None:
    """So a shift of the angles commutes with the layer in training, too."""
    torch.manual_seed(0)
    mlp, radial = CircleMLP(4, 64, 4, 5), torch.randn(6, 5)
    mlp.dropout = 0.5
    samples = torch.randn(6, 9, 4)

    def left(x: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return mlp(x, radial).detach()

    torch.testing.assert_close(left(samples.roll(2, dims=1)), left(samples).roll(2, dims=1))
    trained = left(samples)
    mlp.eval()
    assert not torch.allclose(trained, left(samples))
    whole = left(samples)
    mlp.train()
    mean = torch.stack([mlp(samples, radial).detach() for _ in range(2000)]).mean(dim=0)
    torch.testing.assert_close(mean, whole, atol=0.05, rtol=0)


def test_attention_weights_sum_below_one_and_vanish_at_the_cutoff() -> None:
    scores, atoms = torch.randn(6, 2) * 10, torch.tensor([0, 0, 0, 1, 1, 2])
    cutoff = torch.tensor([1.0, 0.5, 0.0, 0.2, 0.1, 0.0])[:, None]
    weights = attention_weights(scores, atoms, 4, cutoff)
    total = torch.zeros(4, 2).index_add(0, atoms, weights)
    assert float(total.max()) < 1
    assert (weights[[2, 5]] == 0).all()
    assert (weights[[0, 1, 3, 4]] > 0).all()


def test_attention_bounds_scores_and_follows_its_formula() -> None:
    weights = attention_weights(torch.tensor([[100.0]]), torch.tensor([0]), 1, torch.ones(1, 1))
    expected = math.exp(SCORE_LIMIT) / (1 + math.exp(SCORE_LIMIT))
    assert float(weights) == pytest.approx(expected, rel=1e-12)


def test_envelope_and_its_slope_vanish_at_the_cutoff() -> None:
    distance = torch.tensor([0.0, 7.999, 8.0, 9.0], requires_grad=True)
    value = envelope(distance, 8.0)
    (slope,) = torch.autograd.grad(value.sum(), distance)
    assert value.tolist() == pytest.approx([1, 0, 0, 0], abs=1e-9)
    assert slope.abs().max() < 1e-6


def test_radial_functions_peak_at_one_and_cover_the_range() -> None:
    values = RadialBasis(16, 12.0)(torch.linspace(0.5, 12.0, 50))
    assert float(values.max()) <= 1
    assert float(values.max(dim=1).values.min()) > 0.5


def test_layout_places_every_orbital_once() -> None:
    assert LAYOUT.slots == (0, 0, 1, 2, 3)
    for z, index in zip(LAYOUT.elements, LAYOUT.orbital_index, strict=True):
        assert len(set(index.tolist())) == BASIS.size(z) == LAYOUT.masks()[LAYOUT.elements.index(z)].sum()


@pytest.mark.parametrize("rotation", random_rotations(2), ids=["proper", "improper"])
def test_components_of_on_site_blocks_turn_as_spherical_tensors(rotation: np.ndarray) -> None:
    """Natural parity: a component of degree l changes by D_l(Q), with (-1)^l for inversions."""
    harmonics = BlockHarmonics(LAYOUT, 4)
    blocks = torch.randn(2, 2, LAYOUT.size, LAYOUT.size)
    d = torch.from_numpy(orbital_rotation(LAYOUT.slots, rotation))
    wigner = [torch.from_numpy(wigner_d(l, rotation)) for l in range(5)]
    expected = harmonics.rotate(harmonics(blocks), wigner)
    torch.testing.assert_close(harmonics(d @ blocks @ d.T), expected, atol=1e-12, rtol=0)


def test_orbital_frames_are_wigner_matrices_over_the_slots() -> None:
    builder = FrameBuilder(LAYOUT, 2)
    rotations = bond_rotations(torch.randn(3, 3))
    flat = torch.cat([m.flatten(1) for m in wigner_matrices(rotations, builder.highest)], dim=1)
    found = builder._gather(flat, builder.orbital_index).reshape(3, LAYOUT.size, LAYOUT.size)
    for q, d in zip(rotations.numpy(), found.numpy(), strict=True):
        np.testing.assert_allclose(d, orbital_rotation(LAYOUT.slots, q), atol=1e-12)


def test_aliasing_averages_out_over_phases() -> None:
    """The mean over first angles of a product too high for the grid is that of a grid that resolves it."""
    generator = torch.Generator().manual_seed(3)
    channels, m_max, points = 4, 3, 8
    features = O2Features(
        torch.randn(5, channels, generator=generator),
        torch.zeros(5, 0),
        [torch.randn(5, 2, channels, generator=generator) for _ in range(m_max)],
    )

    def cube(grid: CircleGrid) -> torch.Tensor:
        even, pairs = grid.project(grid.sample(features) ** 3)
        return torch.cat([even, *(p.flatten(1) for p in pairs)], dim=1)

    exact = cube(CircleGrid(m_max, 16))
    grid, found = CircleGrid(m_max, points), []
    for k in range(16):
        grid.set_points(points, 2 * np.pi * k / 16 / points)
        found.append(cube(grid))
    scale = float(exact.abs().max())
    assert float((found[0] - exact).abs().max()) > 1e-2 * scale
    assert float((torch.stack(found).mean(0) - exact).abs().max()) < 1e-5 * scale


def test_couplings_are_those_of_e3nn() -> None:
    """Every 3j tensor up to l = 7, signs included: trained weights depend on them."""
    from e3nn import o3

    from harmose_dft.nn.couplings import coupling

    for l1, l2 in product(range(8), repeat=2):
        for l3 in range(abs(l1 - l2), min(l1 + l2, 7) + 1):
            expected = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
            torch.testing.assert_close(coupling(l1, l2, l3, torch.float64), expected, rtol=0.0, atol=1e-14)
