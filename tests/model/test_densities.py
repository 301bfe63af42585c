"""Densities of H0 or of stage 1's Hamiltonian that networks see: what they are, in training as in prediction."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harmose_dft.core.errors import DomainError
from harmose_dft.core.progress import silent
from harmose_dft.core.record import Eigenvalues, Record
from harmose_dft.core.spin import decompose
from harmose_dft.core.units import MICRO
from harmose_dft.data import DatasetWriter
from harmose_dft.metrics import cov_err
from harmose_dft.model.chunks import predict_matrices
from harmose_dft.model.featurize import Featurizer
from harmose_dft.model.integrals import Integrals
from harmose_dft.model.loading import load_model
from harmose_dft.model.lowdin import orthogonal_density
from harmose_dft.model.pairs import PairList
from harmose_dft.model.predictor import Predictor
from harmose_dft.nn.blocks import Blocks
from harmose_dft.physics.h0 import H0Settings
from harmose_dft.physics.numerical import NumericalPhysics
from harmose_dft.solver import Filling, Smearing, density_blocks, monkhorst_pack, solve_structure, spacing_of
from harmose_dft.solver.orthogonal import root
from harmose_dft.testing.crystals import (
    BASIS,
    calculation,
    configuration,
    layer,
    repeat_cell,
    with_collinear_spin,
    with_spin_orbit,
)
from harmose_dft.testing.models import tiny_config, water_record, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.loop import Trainer
from harmose_dft.training.phases import SampleSets, SecondAlone
from harmose_dft.training.run import Fit
from harmose_dft.training.state import TrainState

SECOND = {"kind": "circle", "layers": 1, "width": 8, "heads": 2, "members": 2, "density": True}
STAGED = {"mode": "staged", "first_fraction": 0.5}
COARSE = Filling(spacing=0.6, smearing=Smearing.FERMI_DIRAC, width=0.02)


def integrals_of(record: Record) -> Integrals:
    featurizer = Featurizer(record.basis, ("overlap",), 100.0, damped=True, lattice=False)
    pairs = PairList.within(record.structure, record.overlap, 100.0)
    species = featurizer.layout.species(record.structure.numbers)
    return Integrals(record.structure, species, pairs, record.overlap, record.hamiltonian[0], record.n_electrons)


def test_density_holds_the_electrons_of_each_atom_as_loewdin_counts_them() -> None:
    """Diagonal elements are Loewdin populations, those of a crystal averaged over the mesh."""
    for record in (water_record(0), calculation(layer(3))):
        known = integrals_of(record)
        (density,) = orthogonal_density(known, record.hamiltonian, COARSE)
        whole = sum(float(np.trace(b)) for i, j, r, b in density.blocks() if i == j and not any(r))
        assert whole == pytest.approx(record.n_electrons, abs=1e-7)
        assert density.hermiticity_error() < 1e-12


def test_density_of_a_supercell_is_that_of_its_cell_on_the_matching_mesh() -> None:
    """2 x 2 cells on a 3 x 3 mesh, one cell on a 6 x 6 mesh: on-site blocks of all copies are the cell's."""
    cell = layer(5)
    large = repeat_cell(cell, (2, 2, 1))
    small, big = (calculation(s) for s in (cell, large))
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(cell.cell), axis=0)
    filling = Filling(spacing=float(lengths.max()) / 6, smearing=Smearing.FERMI_DIRAC, width=0.02)
    one, four = (orthogonal_density(integrals_of(r), r.hamiltonian, filling)[0] for r in (small, big))

    def onsite(density: Any) -> dict[int, np.ndarray]:
        return {i: b for i, j, r, b in density.blocks() if i == j and not any(r)}

    for atom, block in onsite(four).items():
        np.testing.assert_allclose(block, onsite(one)[atom % 2], atol=1e-10)


def test_mesh_of_a_codes_own_kpoints_is_found() -> None:
    record = calculation(layer())
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(record.structure.cell), axis=0)
    for grid in ((3, 3, 1), (4, 4, 1), (1, 1, 1), (6, 6, 1)):
        for shift in ((0.0, 0.0, 0.0), (0.5, 0.5, 0.0)):
            kpoints = np.round(monkhorst_pack(grid, shift)[0], 5)
            found = spacing_of(record.structure, record.overlap, kpoints)
            assert found == pytest.approx(lengths[0] / grid[0]), (grid, shift)
    path = np.linspace([0, 0, 0], [1 / 3, 1 / 3, 0], 41)
    assert spacing_of(record.structure, record.overlap, path) is None
    assert spacing_of(record.structure, record.overlap, np.array([[0.1234, 0.0, 0.0], [0.01, 0.02, 0.0]])) is None


@pytest.fixture(scope="module")
def crystals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six layers; the code's own eigenvalues are of a 3 x 3 mesh."""
    path = tmp_path_factory.mktemp("crystals") / "layers.h5"
    kpoints, _ = monkhorst_pack((3, 3, 1))
    with DatasetWriter(path) as writer:
        for seed in range(6):
            record = calculation(layer(seed))
            filling = Filling(spacing=0.6)
            energies = solve_structure(
                record.structure, record.hamiltonian, record.overlap, record.n_electrons, filling
            )
            own = Eigenvalues(kpoints, np.tile(energies.energies[None, :1], (1, len(kpoints), 1)), "made up")
            writer.add(Record(
                record.structure, record.basis, record.hamiltonian, record.overlap, record.n_electrons,
                eigenvalues=(own,), provenance=record.provenance,
            ))
    return path


def staged_crystals(data: Path, folder: Path, /, **changes: Any) -> TrainConfig:
    sizes = {"layers": 1, "channels": 8, "l_max": 2, "pair_channels": 8, "hidden_channels": 8, "radial": 8}
    moves = {"steps": 60, "batch_size": 2, "learning_rate": 1e-2, "ema": 0.8, "warmup_steps": 5, "dropout": 0.2}
    settings = {"model": {"first": sizes, "second": SECOND}, "stages": STAGED, "optimizer": moves}
    return configuration(data, folder, **settings | changes)


@pytest.fixture(scope="module")
def crystal_model(crystals: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("density-model")
    Fit(staged_crystals(crystals, folder), silent, lambda entry: None).run()
    return load_model(folder)


@pytest.fixture(scope="module")
def molecule_model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("waters")
    first = tiny_config().model.first.model_dump()
    config = tiny_config(
        data={"files": (write_waters(folder / "waters.h5", range(6)),), "split": "ordered", "sizes": (4, 2)},
        model={"first": first, "second": SECOND}, stages=STAGED, output=folder / "model",
    )
    Fit(config, silent, lambda entry: None).run()
    return load_model(folder / "model")


def test_mesh_of_the_data_and_smearing_travel_with_the_model(crystal_model: Predictor) -> None:
    structure = layer(0)
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(structure.cell), axis=0)
    filling = crystal_model.model.filling
    assert filling.spacing == pytest.approx(lengths[0] / 3)
    assert (filling.smearing, filling.width) == (Smearing.FERMI_DIRAC, 1e-3)


@pytest.mark.parametrize("kind", ["crystal", "molecule"])
def test_prediction_sees_the_density_that_training_saw(
    kind: str, crystals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """The loaded model's error of the validation structure is the one the training log ends with."""
    log: list[Any] = []
    if kind == "crystal":
        config = staged_crystals(crystals, tmp_path / "model", inputs=("overlap", "baseline"))
    else:
        data = {"files": (write_waters(tmp_path / "w.h5", range(5)),), "split": "ordered", "sizes": (4, 1)}
        first = tiny_config().model.first.model_dump()
        second = SECOND | {"points": 48}
        config = tiny_config(
            data=data, model={"first": first, "second": second}, stages=STAGED, output=tmp_path / "model"
        )
    seen: list[Any] = []
    enter = SecondAlone.enter

    def noted(self: SecondAlone, *given: Any, **options: Any) -> SampleSets:
        samples = enter(self, *given, **options)
        seen.append(samples.validation[0].graph)
        return samples

    monkeypatch.setattr(SecondAlone, "enter", noted)
    Fit(config, silent, log.append).run()
    predictor = load_model(tmp_path / "model")
    structure = layer(4) if kind == "crystal" else water_record(4).structure
    graphs: list[Any] = []
    forward = predictor.network.forward
    monkeypatch.setattr(predictor.network, "forward", lambda graph, **o: graphs.append(graph) or forward(graph, **o))
    predictor.hamiltonian(structure)
    torch.testing.assert_close(graphs[-1].density.node, seen[0].density.node, atol=2e-4, rtol=1e-3)
    torch.testing.assert_close(graphs[-1].density.edge, seen[0].density.edge, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["crystal_model", "molecule_model"])
def test_predictions_hang_on_the_density_and_stay_covariant_and_hermitian(
    kind: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    predictor: Predictor = request.getfixturevalue(kind)
    structure = layer(7) if kind == "crystal_model" else water_record(9).structure
    basis = BASIS if kind == "crystal_model" else water_record(9).basis
    before = predictor.hamiltonian(structure)
    assert before.hermiticity_error() == 0.0
    assert cov_err(predictor.hamiltonian, structure, basis) < 2e-4 * float(np.abs(before.values).max())
    plain = predictor.network.with_density
    monkeypatch.setattr(
        predictor.network,
        "with_density",
        lambda graph, density: plain(graph, replace(density, node=0.5 * density.node)),
    )
    assert np.abs((predictor.hamiltonian(structure) - before).values).max() > 1e-6


@pytest.mark.filterwarnings("ignore::harmose_dft.core.errors.HarmoseWarning")  # the training set holds four waters
def test_structures_of_a_batch_keep_their_own_densities(molecule_model: Predictor) -> None:
    structures = [water_record(k).structure for k in (7, 8, 9)]
    together = molecule_model.predict(structures)
    for structure, found in zip(structures, together, strict=True):
        alone = molecule_model.predict(structure)
        np.testing.assert_allclose(found.hamiltonian.values, alone.hamiltonian.values, atol=2e-5)


def test_spread_is_the_mean_deviation_of_the_members_over_all_elements(molecule_model: Predictor) -> None:
    structure, network = water_record(7).structure, molecule_model.network
    found = molecule_model.predict(structure)
    members = network.second.members
    alone = []
    for k in range(2):
        network.second.members = torch.nn.ModuleList([members[k]])
        alone.append(molecule_model.hamiltonian(structure).values)
    network.second.members = members
    np.testing.assert_allclose(found.hamiltonian.values, 0.5 * (alone[0] + alone[1]), atol=1e-7)
    apart = np.abs(0.5 * (alone[0] - alone[1])).mean() / MICRO
    assert apart > 1.0
    assert found.trust.member_spread / MICRO == pytest.approx(apart, rel=2e-2)  # before the filter along small S


@pytest.mark.parametrize("before", [20, 45])
def test_training_in_two_parts_equals_training_at_once_bit_for_bit(crystals: Path, tmp_path: Path, before: int) -> None:
    def trainer() -> Trainer:
        return Fit(staged_crystals(crystals, tmp_path / "m"), silent, lambda entry: None).assemble().trainer

    whole, first, second = trainer(), trainer(), trainer()
    for _ in range(60):
        whole.update()
    for _ in range(before):
        first.update()
    first.state().save(tmp_path / "state")
    second.restore(TrainState.load(tmp_path / "state"))
    for _ in range(60 - before):
        second.update()
    ours, theirs = second.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert torch.equal(second.course.flat.average, whole.course.flat.average)


def test_a_model_with_a_density_is_trained_further_in_its_second_stage(
    crystal_model: Predictor, crystals: Path, tmp_path: Path
) -> None:
    crystal_model.model.save(tmp_path / "start")
    config = configuration(crystals, tmp_path / "further").model_dump(exclude_unset=True, exclude={"model"})
    config = TrainConfig.model_validate({**config, "start_from": str(tmp_path / "start")})
    Fit(config, silent, lambda entry: None).run()
    before, after = crystal_model.network.state_dict(), load_model(tmp_path / "further").network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith("second.") for name in changed)
    assert load_model(tmp_path / "further").model.filling == crystal_model.model.filling


def test_densities_need_a_finished_first_stage(crystals: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"set stages\.mode to staged"):
        staged_crystals(crystals, tmp_path, stages={"mode": "joint"})


def test_six_points_of_a_path_are_not_taken_for_a_mesh() -> None:
    """The mesh that a calculation was filled on, 4 x 4, beside bands at six points, which a 12 x 6 mesh holds, too."""
    record = calculation(layer())
    path = np.array([[0, 0, 0], [3, 0, 0], [6, 0, 0], [6, 0, 0], [5, 2, 0], [4, 4, 0]]) / 12
    assert spacing_of(record.structure, record.overlap, path) is not None
    lists = [monkhorst_pack((4, 4, 1), (0.5, 0.5, 0.0))[0], path]
    entries = [Eigenvalues(k, np.zeros((1, len(k), 8)), "made up") for k in lists]
    assert record.structure.cell is not None
    length = 2 * np.pi * np.linalg.norm(np.linalg.inv(record.structure.cell), axis=0)[0]
    physics = NumericalPhysics.fit(BASIS, "pbe", [record], H0Settings(kind="kinetic"), seed=0)
    for eigenvalues in (entries, entries[::-1]):
        assert physics.mesh_spacing([replace(record, eigenvalues=tuple(eigenvalues))]) == pytest.approx(length / 4)


def with_h0_density(data: Path, folder: Path, /, **changes: Any) -> TrainConfig:
    """A first stage that sees the density of the kinetic energy's orbitals, which is far from that of H."""
    moves = {"steps": 20, "batch_size": 2, "learning_rate": 1e-2, "ema": 0.8, "warmup_steps": 5}
    settings = {"inputs": ("overlap", "baseline", "density"), "optimizer": moves, "baseline": {"kind": "kinetic"}}
    return configuration(data, folder, **settings | changes)


def test_prediction_sees_the_density_of_h0_that_training_saw(
    crystals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = Fit(with_h0_density(crystals, tmp_path / "model"), silent, lambda entry: None)
    seen = fit.assemble().trainer.course.samples.validation[0].graph
    fit.run()
    predictor, graphs = load_model(tmp_path / "model"), list[Any]()
    forward = predictor.network.forward
    monkeypatch.setattr(predictor.network, "forward", lambda graph, **o: graphs.append(graph) or forward(graph, **o))
    before = predictor.hamiltonian(layer(4))
    torch.testing.assert_close(graphs[-1].components.node, seen.components.node, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(graphs[-1].components.edge, seen.components.edge, atol=1e-5, rtol=1e-4)
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(layer(0).cell), axis=0)
    assert predictor.model.filling.spacing == pytest.approx(lengths[0] / 3)
    assert predictor.density is None
    with pytest.raises(DomainError, match=r"takes a diagonalisation of the whole cell of 2 atoms.*inputs: \[overlap"):
        predict_matrices(predictor, layer(4))
    monkeypatch.setattr(predictor.featurizer, "filling", replace(predictor.model.filling, width=0.2))
    assert np.abs((predictor.hamiltonian(layer(4)) - before).values).max() > 1e-6


def test_there_is_no_density_without_h0(crystals: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the input density is that of H0, which baseline\\.kind none leaves out"):
        with_h0_density(crystals, tmp_path, baseline={"kind": "none"})


MAKERS = {"collinear": with_collinear_spin, "spin-orbit": with_spin_orbit}


@pytest.mark.parametrize("spin", sorted(MAKERS))
def test_density_with_spin_holds_the_electrons_and_the_moment(spin: str) -> None:
    """Collinear: half the difference of up and down holds half the moment; spin-orbit: A_k are antisymmetric."""
    record = MAKERS[spin](layer(3))
    density, *parts = orthogonal_density(integrals_of(record), record.hamiltonian, COARSE)

    def trace(matrix: Any) -> float:
        return sum(float(np.trace(b)) for i, j, r, b in matrix.blocks() if i == j and not any(r))

    assert 2 * trace(density) == pytest.approx(record.n_electrons, abs=1e-7)
    if spin == "collinear":
        filling = replace(COARSE)
        solved = solve_structure(
            record.structure, record.hamiltonian, record.overlap, record.n_electrons, filling, multiple=1
        )
        up, down = (float(np.einsum("kn,k->", f, solved.weights)) for f in solved.occupations)
        assert 2 * trace(parts[0]) == pytest.approx(up - down, abs=1e-7)
        return
    assert len(parts) == 3
    for part in parts:
        assert np.abs(part.values).max() > 1e-4
        np.testing.assert_allclose(part.values, -part.adjoint().on_pairs_of(part).values, atol=1e-10)


def test_density_of_spinors_is_that_of_all_points_of_the_mesh() -> None:
    """Half of the points are solved, the others follow by time reversal."""
    record = with_spin_orbit(layer(3))
    overlap, filling = record.overlap, Filling(spacing=0.3, smearing=Smearing.FERMI_DIRAC, width=0.02)
    spectrum = solve_structure(
        record.structure, record.hamiltonian, overlap, record.n_electrons, filling, multiple=1
    )
    assert spectrum.kpoints is not None
    assert len(spectrum.kpoints) >= 9
    roots = np.stack([np.kron(np.eye(2), root(overlap.at(k))) for k in spectrum.kpoints])
    rotated = replace(spectrum, coefficients=roots @ spectrum.coefficients)
    expected = decompose(density_blocks(rotated, overlap.with_spin()))
    density = orthogonal_density(integrals_of(record), record.hamiltonian, filling)
    assert max(float(np.abs(part.values).max()) for part in expected[1:]) > 1e-4
    for part, reference in zip(density, expected, strict=True):
        np.testing.assert_allclose(part.values, reference.values, atol=1e-12)


@pytest.mark.parametrize("spin", sorted(MAKERS))
def test_second_stage_that_sees_a_density_with_spin_is_covariant(spin: str, tmp_path: Path) -> None:
    path = tmp_path / "spin.h5"
    with DatasetWriter(path) as writer:
        for seed in range(4):
            writer.add(MAKERS[spin](layer(seed)))
    settings = {"files": [path], "split": "ordered", "sizes": (3, 1)}
    moves = {"steps": 20, "batch_size": 1, "learning_rate": 1e-2, "ema": 0.8, "warmup_steps": 5}
    Fit(
        staged_crystals(path, tmp_path / "model", data=settings, optimizer=moves, filling={"spacing": 0.6}),
        silent, lambda entry: None,
    ).run()
    predictor = load_model(tmp_path / "model")
    structure = layer(7)
    before = predictor.hamiltonians(structure)
    largest = max(float(np.abs(h.values).max()) for h in before)
    assert all(h.hermiticity_error() == 0.0 for h in before)
    assert cov_err(predictor.hamiltonians, structure, BASIS) < 2e-4 * largest
    plain = predictor.network.with_density
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predictor.network, "with_density", lambda graph, density: plain(graph, without_spin(density)))
        other = predictor.hamiltonians(structure)
    assert max(np.abs((a - b).values).max() for a, b in zip(before, other, strict=True)) > 1e-7


def without_spin(density: Blocks) -> Blocks:
    """The density with its matrices that depend on spin set to zero."""
    node, edge = density.node.clone(), density.edge.clone()
    node[:, 1:], edge[:, 1:] = 0.0, 0.0
    return replace(density, node=node, edge=edge)


@pytest.mark.parametrize("spin", ["none", *sorted(MAKERS)])
def test_first_stage_that_sees_the_density_of_h0_is_covariant(spin: str, tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with DatasetWriter(path) as writer:
        for seed in range(4):
            writer.add(MAKERS[spin](layer(seed)) if spin in MAKERS else calculation(layer(seed)))
    settings = {"files": [path], "split": "ordered", "sizes": (3, 1)}
    changes = {"data": settings, "filling": {"spacing": 0.6}, "baseline": {"kind": "fitted"}}
    Fit(with_h0_density(path, tmp_path / "model", **changes), silent, lambda entry: None).run()
    predictor = load_model(tmp_path / "model")
    matrices = predictor.matrices(layer(7)).hamiltonians
    largest = max(float(np.abs(m.values).max()) for m in matrices)
    assert cov_err(lambda s: predictor.matrices(s).hamiltonians, layer(7), BASIS) < 2e-4 * largest
