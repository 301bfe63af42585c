"""From structures and matrices to graphs, and from predicted blocks to Hamiltonians."""

from __future__ import annotations

import numpy as np
import torch

from harmose_dft.core.matrix import BlockMatrix
from harmose_dft.model.featurize import Featurizer, build_graph
from harmose_dft.model.normalizer import NormalizerFit
from harmose_dft.model.padding import pad
from harmose_dft.model.pairs import PairList
from harmose_dft.nn.layout import OrbitalLayout
from harmose_dft.testing.models import BASIS, random_blocks, random_structure

LAYOUT = OrbitalLayout.of(BASIS)
NUMBERS = ((8, 1, 26, 1, 8), (26, 26, 1), (1, 8))


def test_network_precision_is_set_in_one_place() -> None:
    structure = random_structure((8, 1))
    matrix = random_blocks(structure)
    species, pairs = LAYOUT.species(structure.numbers), PairList.within(structure, matrix, 100.0)
    inputs = pad([matrix], pairs, species, LAYOUT)
    assert build_graph(structure, pairs, species, inputs).inputs.edge.dtype == torch.float32
    assert build_graph(structure, pairs, species, inputs, dtype=torch.float64).vectors.dtype == torch.float64


def test_true_blocks_give_the_true_hamiltonian() -> None:
    """Features of H0, with H - H0 in place of the network's output, give H back."""
    structure = random_structure((8, 1, 26, 1))
    overlap, h0, h = (random_blocks(structure, seed=k) for k in range(3))
    featurizer = Featurizer(BASIS, ("overlap", "baseline"), 100.0, damped=False, lattice=False)
    raw = featurizer.featurize(structure, overlap, h0, 36, (h,))
    layout = featurizer.layout
    fit = NormalizerFit(layout, 2)
    assert raw.target is not None
    known = raw.integrals
    fit.add(known.species, known.pairs, raw.inputs, raw.target)
    normalizer = fit.result()
    blocks = normalizer.shift_target(raw.target, known.species)
    ((found,),) = featurizer.assemble_hamiltonians(known, [blocks], normalizer)
    np.testing.assert_allclose(found.to_dense(), h.to_dense(), atol=1e-13)
    rows = np.zeros(4 * layout.size, dtype=bool)
    rows[featurizer.slots(known.species)] = True
    np.testing.assert_array_equal(rows.reshape(4, -1), layout.masks()[known.species])


def test_damping_keeps_the_correction_where_the_overlap_is_well_conditioned() -> None:
    """f(s) = s^4 / (s^4 + s0^4) is one minus 8e-11 at s = 1 and 1 / 82 at s = s0 / 3 (by hand)."""
    from harmose_dft.model.featurize import OVERLAP_FLOOR, damping

    small = OVERLAP_FLOOR / 3
    overlap = BlockMatrix.from_dense(np.diag([1.0, small]), [2])
    np.testing.assert_allclose(damping(overlap), [[1.0, 0.0], [0.0, 1.0 / 82.0]], rtol=1e-9, atol=1e-12)
