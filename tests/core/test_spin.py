"""Hamiltonians with spin: their real parts, the symmetries of the heads that predict them, what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from harmose_dft.adapters.registry import read_calculations
from harmose_dft.core.errors import DataError
from harmose_dft.core.rotations import orbital_rotation, random_rotations, rotate_matrix, spin_rotation, wigner_d
from harmose_dft.core.spin import SPIN_OF_NSPIN, SPIN_OF_PARTS, Spin, decompose, recombine
from harmose_dft.model.normalizer import NormalizerFit
from harmose_dft.model.pairs import PairList
from harmose_dft.model.two_stage import TwoStageModel
from harmose_dft.nn.axis import MatrixAxis
from harmose_dft.nn.blocks import Blocks
from harmose_dft.nn.graph import PairGraph, batch_graphs
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.nn.spin import SpinOrbitComponents, angular_momentum
from harmose_dft.testing.crystals import calculation, layer, with_collinear_spin, with_spin_orbit
from harmose_dft.testing.models import (
    BASIS,
    largest,
    permuted_graph,
    perturb,
    random_graph,
    random_structure,
    rotated_graph,
    slot_rotation,
    tiny_model,
)

EXACT = 1e-11
"""Rounding in float64 through a network whose outputs are of order one."""

ROTATIONS = random_rotations(4, random_seed=5)
"""Two of them improper."""

LAYOUT = OrbitalLayout.of(BASIS)
SPINS: tuple[Spin, ...] = ("collinear", "spin-orbit")
CODES = ("openmx/MoS2_soc", "abacus/GaAs_soc", "openmx/Fe_bcc_spin", "abacus/Fe_bcc_spin2")


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def axial(rotation: np.ndarray) -> np.ndarray:
    """Rotation of an axial vector in the order y, z, x; inversion leaves it alone."""
    order = [1, 2, 0]
    return (np.linalg.det(rotation) * rotation)[order][:, order]


def test_parts_of_hamiltonians_put_together_give_them_back() -> None:
    for record in (with_collinear_spin(layer(1)), with_spin_orbit(layer(1))):
        parts = decompose(record.hamiltonian)
        for found, expected in zip(recombine(parts), record.hamiltonian, strict=True):
            np.testing.assert_allclose(found.values, expected.values, atol=1e-15)
        for part in parts:
            assert part.values.dtype == np.float64


def test_number_of_parts_tells_the_spin() -> None:
    for record in (calculation(layer(1)), with_collinear_spin(layer(1)), with_spin_orbit(layer(1))):
        spin = SPIN_OF_NSPIN[record.nspin]
        n_parts = len(decompose(record.hamiltonian)) - 1
        assert SPIN_OF_PARTS[n_parts] == spin
        assert MatrixAxis.hamiltonian(spin).size == 1 + n_parts


def test_spin_orbit_parts_are_an_axial_vector_of_antisymmetric_matrices() -> None:
    """The spinor matrix turned by SU(2) and D(Q) has the parts turned by D(Q), and as an axial vector by Q."""
    record = with_spin_orbit(layer(2))
    (matrix,), numbers = record.hamiltonian, record.structure.numbers
    scalar, *vector = decompose((matrix,))
    assert scalar.hermiticity_error() < 1e-15
    assert max(np.abs((a + a.adjoint()).values).max() for a in vector) < 1e-15
    for q in ROTATIONS:
        turned = [rotate_matrix(a, numbers, record.basis, q) for a in vector]
        found = decompose((rotate_matrix(matrix, numbers, record.basis, q),))
        expected = np.einsum("pq,qv->pv", axial(q), [t.values for t in turned])
        np.testing.assert_allclose([f.values for f in found[1:]], expected, atol=1e-14)


def test_su2_turns_the_pauli_matrices_as_q_turns_vectors() -> None:
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    for q in ROTATIONS:
        u, proper = spin_rotation(q), np.linalg.det(q) * q
        turned = u @ pauli @ u.conj().T
        np.testing.assert_allclose(turned, np.einsum("kl,kab->lab", proper, pauli), atol=1e-14)


def in_frame(matrix: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """D(Q) over the slots, and the rotation of axial vectors."""
    return torch.from_numpy(orbital_rotation(LAYOUT.slots, matrix)), torch.from_numpy(axial(matrix))


@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_components_of_spin_orbit_blocks_turn_as_those_of_o2(angle: float) -> None:
    """Rotation about the bond by an angle, then reflection of y: cosine and sine turn by m times the angle, sine and
    pseudoscalars change sign."""
    components = SpinOrbitComponents(LAYOUT)
    assert components.dims.size == 3 * LAYOUT.size**2
    assert components.dims.m_max == 2 * LAYOUT.l_max + 1
    blocks = torch.randn(2, 3, LAYOUT.size, LAYOUT.size, generator=torch.Generator().manual_seed(0))
    before = components.split(blocks)
    torch.testing.assert_close(components.assemble(before), blocks, atol=1e-12, rtol=0)
    assert float(before.flat().square().sum()) == pytest.approx(float(blocks.square().sum()), rel=1e-12)
    c, s = np.cos(angle), np.sin(angle)
    d, turn = in_frame(np.diag([1.0, -1.0, 1.0]) @ np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]))
    after = components.split(torch.einsum("pq,eqmn->epmn", turn, d @ blocks @ d.T))
    torch.testing.assert_close(after.even, before.even, atol=1e-12, rtol=0)
    torch.testing.assert_close(after.odd, -before.odd, atol=1e-12, rtol=0)
    for m, (x, y) in enumerate(zip(before.pairs, after.pairs, strict=True), start=1):
        c, s = np.cos(m * angle), np.sin(m * angle)
        expected = torch.stack([c * x[:, 0] - s * x[:, 1], -s * x[:, 0] - c * x[:, 1]], dim=1)
        torch.testing.assert_close(y, expected, atol=1e-12, rtol=0)


def test_angular_momentum_is_antisymmetric_invariant_and_generates_rotations() -> None:
    table = angular_momentum(LAYOUT)
    torch.testing.assert_close(table[_transposed_pairs()], -table.transpose(2, 3), atol=1e-14, rtol=0)
    for q in ROTATIONS:
        d, turn = in_frame(q)
        turned = torch.einsum("pq,kqmn->kpmn", turn, d @ table @ d.T)
        torch.testing.assert_close(turned, table, atol=1e-12, rtol=0)
    angle = 1e-6
    about_z = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.0]])
    generator = (wigner_d(2, about_z) - np.eye(5)) / angle
    start = LAYOUT.slots.index(2)
    begin = sum(2 * l + 1 for l in LAYOUT.slots[:start])
    pair = [k for k in range(len(table)) if table[k, 1, begin : begin + 5, begin : begin + 5].abs().max() > 0]
    found = table[pair[0], 1, begin : begin + 5, begin : begin + 5].numpy()
    ratio = float((found * generator).sum() / (generator**2).sum())
    np.testing.assert_allclose(found, ratio * generator, atol=1e-5)


def _transposed_pairs() -> list[int]:
    """Place of the pair of slots (b, a) for every (a, b) of equal l > 0."""
    pairs = [(a, b) for a, la in enumerate(LAYOUT.slots) for b, lb in enumerate(LAYOUT.slots) if la == lb and la > 0]
    return [pairs.index((b, a)) for a, b in pairs]


def run(model: TwoStageModel, graph: PairGraph) -> Blocks:
    with torch.no_grad():
        return model(model.prepare(graph)).total


def turned_blocks(blocks: Blocks, model: TwoStageModel, rotation: np.ndarray) -> Blocks:
    """Blocks of the rotated or inverted structure."""
    d = slot_rotation(model, rotation)
    turn = torch.from_numpy(axial(rotation)) if model.config.spin == "spin-orbit" else torch.eye(1)
    whole = torch.block_diag(torch.eye(1), turn)
    return blocks.map(lambda x: torch.einsum("pq,eqmn->epmn", whole, d @ x @ d.T))


@pytest.mark.parametrize("spin", SPINS)
@pytest.mark.parametrize("second", [None, "circle"])
def test_models_with_spin_are_covariant_under_rotations_and_inversions(spin: Spin, second: str | None) -> None:
    """Stage 1 exactly; the circle with moderate weights and 48 points to the same figure as without spin."""
    model = perturb(tiny_model(second, spin=spin, points=48), size=0.3 if second is None else 0.05)
    graph = random_graph(random_structure(), model, cutoff=9.0)
    straight = run(model, graph)
    assert float(straight[1:].edge.abs().max()) > 1e-3
    assert float(straight[1:].node.abs().max()) > 1e-3
    for rotation in ROTATIONS:
        found = run(model, rotated_graph(graph, model, rotation))
        error = largest(found, turned_blocks(straight, model, rotation))
        assert error < (EXACT if second is None else 2e-4 * float(straight[:1].edge.abs().max()))


@pytest.mark.parametrize("spin", SPINS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_blocks_with_spin_are_exactly_symmetric_or_antisymmetric(spin: Spin, dtype: torch.dtype) -> None:
    torch.set_default_dtype(dtype)
    model = perturb(tiny_model(spin=spin))
    graph = random_graph(random_structure(), model)
    blocks, sign = run(model, graph)[1:], -1 if spin == "spin-orbit" else 1
    assert SPIN_OF_PARTS[blocks.node.shape[1]] == spin
    assert torch.equal(blocks.node, sign * blocks.node.transpose(2, 3))
    assert torch.equal(blocks.edge, sign * blocks.edge[graph.reverse].transpose(2, 3))
    mask = torch.from_numpy(model.layout.masks())[graph.species]
    assert (blocks.node.transpose(1, 2)[~mask] == 0).all()


@pytest.mark.parametrize("spin", SPINS)
def test_permuted_atoms_give_permuted_blocks_with_spin(spin: Spin) -> None:
    model = perturb(tiny_model(spin=spin))
    graph = random_graph(random_structure(), model)
    order = torch.tensor([3, 0, 4, 2, 1])
    straight, again = run(model, graph), run(model, permuted_graph(graph, order))
    assert largest(replace(straight, node=straight.node[order]), again) < EXACT


@pytest.mark.parametrize("spin", SPINS)
def test_batch_gives_what_single_structures_give_with_spin(spin: Spin) -> None:
    model = perturb(tiny_model(spin=spin))
    mixes = [(8, 1, 26, 1, 8), (1, 1), (26, 26, 8), (8,)]
    graphs = [model.prepare(random_graph(random_structure(n, seed=k), model)) for k, n in enumerate(mixes)]
    with torch.no_grad():
        singles, together = [model(g).total for g in graphs], model(batch_graphs(graphs)).total
    assert largest(together, Blocks.cat(singles)) < EXACT


@pytest.mark.parametrize("spin", SPINS)
def test_every_parameter_of_the_heads_with_spin_receives_a_gradient(spin: Spin) -> None:
    model = perturb(tiny_model(spin=spin))
    found = model(model.prepare(random_graph(random_structure((26, 26, 8, 1)), model))).total[1:]
    weight = torch.Generator().manual_seed(0)
    sum((b * torch.randn(b.shape, generator=weight)).sum() for b in (found.node, found.edge)).backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if "spin" in n and p.numel()}
    assert {n for n, g in gradients.items() if g is None or not g.abs().max() > 0} == set()
    assert len(gradients) > 20


@pytest.mark.parametrize("spin", SPINS)
def test_untrained_second_stage_corrects_no_spin(spin: Spin) -> None:
    model = tiny_model(spin=spin)
    with torch.no_grad():
        output = model(model.prepare(random_graph(random_structure(), model)))
    assert largest(output.total, output.stage1) == 0


@pytest.mark.parametrize("spin", SPINS)
def test_rotating_a_prepared_graph_turns_targets_with_spin(spin: Spin) -> None:
    model, rotation, axis = tiny_model(None, spin=spin), ROTATIONS[0], MatrixAxis.hamiltonian(spin)
    graph, generator = random_graph(random_structure(), model), torch.Generator().manual_seed(0)
    shape = (axis.size, model.layout.size, model.layout.size)
    rows = (len(graph.species), graph.edges.shape[1])
    graph = graph.replace(
        target=Blocks(*(torch.randn(r, *shape, generator=generator) for r in rows), axis)
    )
    found = model.frames.rotate(model.prepare(graph), torch.from_numpy(rotation)).target
    expected = turned_blocks(graph.target, model, rotation)
    torch.testing.assert_close(found.node, expected.node, atol=1e-12, rtol=0)
    torch.testing.assert_close(found.edge, expected.edge, atol=1e-12, rtol=0)


def test_lab_transformer_refuses_spin() -> None:
    with pytest.raises(ValueError, match=r"'lab' has no spin.*kind: circle"):
        tiny_model("lab", spin="collinear")


def test_statistics_of_spin_orbit_coupling_turn_with_the_training_set() -> None:
    """On-site targets w L have no variance; mean and scales of general ones are the same however they are turned."""
    generator, n = np.random.default_rng(0), LAYOUT.size
    table = angular_momentum(LAYOUT).numpy()
    species = np.zeros(4, dtype=np.int64)
    pairs = PairList(np.zeros((0, 2), dtype=np.int64), np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int64))

    def statistics(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fit, axis = NormalizerFit(LAYOUT, 1, "spin-orbit"), MatrixAxis.hamiltonian("spin-orbit")
        target = torch.from_numpy(np.concatenate([np.zeros((4, 1, n, n)), vector], axis=1))
        blocks = Blocks(target, target[:0], axis)
        fit.add(species, pairs, blocks[:1], blocks)
        found = fit.result()
        assert found.spin_mean is not None
        assert found.spin_node_scale is not None
        return found.spin_mean[0], found.spin_node_scale[0]

    weights = generator.normal(size=len(table))
    weights = 0.5 * (weights + weights[_transposed_pairs()])
    pure = np.einsum("p,pkmn->kmn", weights, table)
    mean, scale = statistics(np.repeat(pure[None], 4, axis=0))
    np.testing.assert_allclose(mean, pure, atol=1e-13)
    assert scale.max() < 1e-5
    noise = generator.normal(size=(4, 3, n, n))
    noise = noise - noise.swapaxes(-1, -2)
    straight = statistics(noise)
    for q in ROTATIONS:
        d, turn = (t.numpy() for t in in_frame(q))
        again = statistics(np.einsum("pq,eqmn->epmn", turn, d @ noise @ d.T))
        for one, other in zip(straight, again, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("path", CODES)
def test_real_hamiltonians_come_apart_and_together(path: str, shared_dir: Path) -> None:
    """What time reversal turns around is 1e-8 Hartree or less in the two calculations with spin-orbit coupling."""
    (record,) = read_calculations(shared_dir / "samples" / path)
    parts = decompose(record.hamiltonian)
    for found, expected in zip(recombine(parts), record.hamiltonian, strict=True):
        assert np.abs((found - expected).values).max() < 5e-8
    if record.spinor:
        assert max(np.abs((a + a.adjoint()).values).max() for a in parts[1:]) < 1e-15
        assert np.abs(parts[1].values).max() > 1e-3


def test_magnetic_spinors_are_refused(shared_dir: Path) -> None:
    (record,) = read_calculations(shared_dir / "samples" / "abacus" / "H3_soc_nc")
    with pytest.raises(DataError, match=r"magnetic: .*without magnetic moments"):
        decompose(record.hamiltonian)


def test_imaginary_scalar_parts_are_refused() -> None:
    (matrix,) = with_spin_orbit(layer(0)).hamiltonian
    zeeman = 0.01 * with_spin_orbit(layer(0)).overlap.with_spin().values
    signs = np.sign(np.random.default_rng(0).normal(size=len(zeeman)))
    with pytest.raises(DataError, match="time reversal"):
        decompose((matrix.with_values(matrix.values + signs * zeeman),))
