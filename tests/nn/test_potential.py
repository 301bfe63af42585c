"""The potential of learned charges and dipoles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from harmose_dft.nn.axis import MatrixAxis
from harmose_dft.nn.blocks import Blocks
from harmose_dft.nn.frames import wigner_matrices
from harmose_dft.nn.graph import PairGraph, batch_graphs
from harmose_dft.nn.potential import CHARGE_UNIT, Potential, PotentialEmbedding, PotentialHead

L_MAX, CHANNELS, PAIRS, SPECIES = 2, 6, 5, 3


@pytest.fixture(autouse=True)
def _double() -> object:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def head(seed: int = 0) -> PotentialHead:
    """A head with weights of order one."""
    torch.manual_seed(seed)
    made = PotentialHead(L_MAX, CHANNELS, PAIRS, range(SPECIES))
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.5)
    return made.requires_grad_(False)


def molecule(positions: Tensor, fragments: Tensor | None = None, *, within: bool = False) -> PairGraph:
    """All pairs of a molecule, near and far; what the head does not read is empty.

    Args:
        positions: (atom, 3), Bohr.
        fragments: Near pairs join atoms of the same number only, (atom,).
        within: Whether far pairs do so too.
    """
    atoms = len(positions)
    group = torch.zeros(atoms) if fragments is None else fragments
    far = torch.nonzero(~torch.eye(atoms, dtype=torch.bool)).T
    near = far[:, group[far[0]] == group[far[1]]]
    far = near if within else far
    place = {(int(i), int(j)): k for k, (i, j) in enumerate(near.T)}
    return PairGraph(
        species=torch.arange(atoms) % SPECIES,
        edges=near,
        reverse=torch.tensor([place[int(j), int(i)] for i, j in near.T], dtype=torch.int64),
        vectors=positions[near[1]] - positions[near[0]],
        far_edges=far,
        far_vectors=positions[far[1]] - positions[far[0]],
    )


def pair_scalars(graph: PairGraph) -> tuple[Tensor, Tensor]:
    """Scalars that depend on the two atoms' numbers alone, and cutoff factors."""
    generator = torch.Generator().manual_seed(11)
    table = torch.randn(64, PAIRS, generator=generator)
    of_pair = graph.edges[0] * 8 + graph.edges[1]
    return table[of_pair], torch.full((len(of_pair), 1), 0.7)


def atoms(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Random positions (atom, 3) in Bohr and node features."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(count, 3)) * 4), torch.from_numpy(
        rng.normal(size=(count, (L_MAX + 1) ** 2, CHANNELS))
    )


def test_untrained_head_makes_no_potential() -> None:
    positions, nodes = atoms(5)
    graph = molecule(positions)
    found = PotentialHead(L_MAX, CHANNELS, PAIRS, range(SPECIES))(nodes, *pair_scalars(graph), graph)
    assert not found.value.any()
    assert not found.field.any()


def test_field_is_the_gradient_of_the_potential() -> None:
    positions, nodes = atoms(5)
    made, step, graph = head(), 1e-4, molecule(positions)
    field = made(nodes, *pair_scalars(graph), graph).field
    assert field.abs().max() > 1e-3
    for atom in range(5):
        for axis, component in ((0, 2), (1, 0), (2, 1)):
            move = torch.zeros_like(positions)
            move[atom, axis] = step
            up, down = (
                made(nodes, *pair_scalars(graph), molecule(positions + s * move)).value[atom] for s in (1, -1)
            )
            assert float(up - down) / (2 * step) == pytest.approx(float(field[atom, component]), abs=1e-8)


def test_potential_turns_with_the_molecule() -> None:
    positions, nodes = atoms(6)
    rotation = torch.from_numpy(Rotation.random(rng=np.random.default_rng(2)).as_matrix())
    matrices = wigner_matrices(rotation[None], L_MAX)
    turned = torch.einsum("ab,nbc->nac", torch.block_diag(*[m[0] for m in matrices]), nodes)
    made = head()
    scalars = pair_scalars(molecule(positions))
    before = made(nodes, *scalars, molecule(positions))
    after = made(turned, *scalars, molecule(positions @ rotation.T))
    assert before.value.std() > 1e-3
    assert torch.allclose(after.value, before.value, atol=1e-12)
    assert torch.allclose(after.field, before.field @ matrices[1][0].T, atol=1e-12)


def test_pairs_pass_charge_from_one_atom_to_the_other() -> None:
    positions, nodes = atoms(4)
    far = positions.clone()
    far[0] += 1e6
    made, graph = head(), molecule(far)
    made.dipole.data.zero_()
    found = made(nodes, *pair_scalars(graph), graph)
    local = made(nodes, *pair_scalars(graph), graph.replace(far_edges=None, far_vectors=None))
    pairs, cutoff = pair_scalars(graph)
    passed = (pairs @ made.transfer) * cutoff[:, 0]
    own = CHARGE_UNIT * float((passed - passed[graph.reverse])[graph.edges[0] == 0].sum())
    assert abs(own) > 1e-3
    # the atom far away sees the rest of the molecule, whose charge is the opposite of its own
    assert float((found.value - local.value)[0] * 1e6 * np.sqrt(3)) == pytest.approx(own, rel=1e-4)


def test_separate_fragments_stay_neutral() -> None:
    """Without pairs between them they see each other's dipoles only, whose potential falls as 1/R^2."""
    positions, nodes = atoms(6)
    made, seen = head(), []
    for distance in (1e3, 1e4):
        apart = positions + distance * (torch.arange(6) >= 3)[:, None]
        graph = molecule(apart, fragments=torch.arange(6) // 3)
        local = made(nodes, *pair_scalars(graph), molecule(positions, fragments=torch.arange(6) // 3, within=True))
        seen.append((made(nodes, *pair_scalars(graph), graph).value - local.value).abs().max())
    assert seen[0] > 1e-12
    assert float(seen[0] / seen[1]) == pytest.approx(100, rel=0.05)


def test_molecules_of_a_batch_do_not_see_each_other() -> None:
    made = head()
    singles = [atoms(3, 3), atoms(5, 4)]
    graphs = [molecule(p) for p, _ in singles]
    scalars = [pair_scalars(g) for g in graphs]
    joined = (torch.cat([s[k] for s in scalars]) for k in (0, 1))
    whole = made(torch.cat([n for _, n in singles]), *joined, batch_graphs(graphs))
    apart = [made(n, *s, g) for (_, n), s, g in zip(singles, scalars, graphs, strict=True)]
    assert torch.allclose(whole.value, torch.cat([a.value for a in apart]), atol=1e-14)
    assert torch.allclose(whole.field, torch.cat([a.field for a in apart]), atol=1e-14)


def test_blocks_are_the_overlap_times_the_mean_potential() -> None:
    positions, _ = atoms(2)
    overlap = torch.randn(2, 3, 3)
    graph = molecule(positions).replace(
        edges=torch.tensor([[0, 1], [1, 0]]),
        overlap=Blocks(
            torch.eye(3).repeat(2, 1, 1, 1), torch.stack([overlap[0], overlap[0].T])[:, None], MatrixAxis.scalars(1)
        ),
    )
    blocks = Potential(torch.tensor([0.2, 0.6]), torch.zeros(2, 3), torch.zeros(2), torch.zeros(2, 3)).blocks(graph)
    assert torch.allclose(blocks.node[1, 0], 0.6 * torch.eye(3))
    assert torch.allclose(blocks.edge[0, 0], 0.4 * overlap[0])
    assert torch.equal(blocks.edge[1, 0], blocks.edge[0, 0].T)


def test_embedding_adds_value_and_field_to_their_own_degrees() -> None:
    embed = PotentialEmbedding(CHANNELS).requires_grad_(False)
    nodes = torch.randn(4, 9, CHANNELS)
    potential = Potential(torch.randn(4), torch.randn(4, 3), torch.zeros(4), torch.zeros(4, 3))
    assert torch.equal(embed(nodes, potential), nodes)
    torch.nn.init.ones_(embed.value)
    torch.nn.init.ones_(embed.field)
    change = (embed(nodes, potential) - nodes).abs().amax(dim=(0, 2))
    assert (change[:4] > 0).all()
    assert not change[4:].any()
