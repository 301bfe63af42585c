"""Crystals from data set to bands: training, covariance, periodicity, gauge, commands, refusals.

The calculations are made up (``harmose_dft.testing.crystals``); exact properties hold to the network's single
precision.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harmose_dft.adapters.structures import to_ase
from harmose_dft.cli import main
from harmose_dft.core.basis import OrbitalBasis
from harmose_dft.core.errors import BasisMismatchError, DataError, DomainError
from harmose_dft.core.progress import silent
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.data import DatasetWriter
from harmose_dft.metrics import cov_err, gauge_shift
from harmose_dft.model.loading import load_model
from harmose_dft.model.predictor import Predictor
from harmose_dft.output import Result, write_results
from harmose_dft.solver import bands, mesh, monkhorst_pack, solve_structure, spacing_of
from harmose_dft.testing.crystals import (
    BASIS,
    CUTOFF,
    calculation,
    configuration,
    layer,
    repeat_cell,
    with_collinear_spin,
    with_spin_orbit,
)
from harmose_dft.training.loop import Trainer
from harmose_dft.training.losses.errors import Errors, subtract_shift
from harmose_dft.training.run import Fit
from harmose_dft.training.samples import Sample, collate
from harmose_dft.workflows.calibrate import measure_cases
from harmose_dft.workflows.evaluate import evaluate
from harmose_dft.workflows.parts import is_trained_on

SINGLE = 2e-6
"""Hartree; rounding of single precision in blocks of order one."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six calculations of two cells; one of each cell has its energies shifted by 0.3 Hartree."""
    path = tmp_path_factory.mktemp("crystals") / "layers.h5"
    with DatasetWriter(path) as writer:
        for seed in range(6):
            structure = layer(seed, stretch=1.04, tilt=0.2) if seed % 2 else layer(seed)
            writer.add(calculation(structure, shift=0.3 if seed in (2, 3) else 0.0))
    return path


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Predictor, list[Any]]:
    """A model trained for 60 steps, loaded from its folder, and the training log."""
    log: list[Any] = []
    folder = tmp_path_factory.mktemp("model")
    Fit(configuration(data, folder), silent, log.append).run()
    return load_model(folder), log


def test_training_on_two_cells_learns_and_fills_in_defaults(trained: tuple[Predictor, list[Any]]) -> None:
    predictor, log = trained
    assert log[-1].valid_mae_all < 0.3 * log[0].valid_mae_all or log[-1].valid_mae_all < 5e3
    assert predictor.featurizer.cutoff == pytest.approx(2 * CUTOFF)
    assert predictor.model.inputs == ("overlap", "baseline")
    assert predictor.physics.describe()["baseline"]["kind"] == "fitted"
    assert predictor.physics.n_electrons(layer()) == pytest.approx(8.0)


def test_predictions_are_covariant_hermitian_and_stored_both_ways(trained: tuple[Predictor, list[Any]]) -> None:
    predictor, structure = trained[0], layer(11)
    hamiltonian = predictor.hamiltonian(structure)
    assert hamiltonian.hermiticity_error() == 0.0
    assert (hamiltonian.reverse_edges() >= 0).all()
    assert cov_err(predictor.hamiltonian, structure, BASIS) < 20 * SINGLE


def test_moving_the_origin_or_an_atom_by_a_lattice_vector_changes_no_band(trained: tuple[Predictor, list[Any]]) -> None:
    predictor, structure = trained[0], layer(12)
    assert structure.cell is not None
    moved = np.array(structure.positions) + np.array([0.3, -1.2, 4.0])
    moved[1] += structure.cell[0] - structure.cell[1]
    k = np.array([[0.0, 0.0, 0.0], [0.21, 0.4, 0.0]])
    pairs = [
        (predictor.hamiltonian(s), predictor.physics.overlap(s))
        for s in (structure, Structure(structure.numbers, moved, structure.cell))
    ]
    assert np.abs(bands(*pairs[0], k) - bands(*pairs[1], k)).max() < 20 * SINGLE


def test_a_supercell_has_the_folded_bands_of_its_cell(trained: tuple[Predictor, list[Any]]) -> None:
    predictor, structure = trained[0], layer(13)
    large = repeat_cell(structure, (2, 2, 1))
    k = np.array([0.1, 0.3, 0.0])
    unfolded = np.array([[(k[0] + a) / 2, (k[1] + b) / 2, 0.0] for a in (0, 1) for b in (0, 1)])
    small = bands(predictor.hamiltonian(structure), predictor.physics.overlap(structure), unfolded)
    folded = bands(predictor.hamiltonian(large), predictor.physics.overlap(large), k[None])
    assert np.abs(np.sort(small.ravel()) - folded.ravel()).max() < 20 * SINGLE


def prepared(data: Path, folder: Path) -> tuple[Sequence[Sample], Trainer]:
    """Training samples, and a trainer with an untrained model."""
    trainer = Fit(configuration(data, folder), silent, lambda entry: None).assemble().trainer
    return trainer.course.samples.training, trainer


def test_loss_does_not_see_a_shift_by_mu_times_overlap(data: Path, tmp_path: Path) -> None:
    samples, trainer = prepared(data, tmp_path)
    batch = collate(samples[:2])
    graph = batch.graph
    mask = trainer.objective.mask(graph)
    with torch.no_grad():
        output = trainer.model(graph).total
    assert graph.target is not None
    assert graph.overlap is not None
    mu = torch.tensor([0.4, -0.2])[graph.structure][:, None, None, None]
    shift = replace(graph.overlap, node=mu * graph.overlap.node, edge=mu[graph.edges[0]] * graph.overlap.edge)
    shifted = graph.replace(target=graph.target + shift)
    plain, moved = (Errors(output, replace(batch, graph=g), mask).elements for g in (graph, shifted))
    assert float(moved) == pytest.approx(float(plain), rel=1e-4)


def test_gauge_error_is_the_multiple_of_the_overlap_in_the_error(data: Path, tmp_path: Path) -> None:
    """Least squares, worked out densely for each crystal; a loss without this term does not see it."""
    samples, trainer = prepared(data, tmp_path)
    expected = []
    for sample in samples[:2]:
        graph = sample.graph
        with torch.no_grad():
            output = trainer.model(graph).total
        assert graph.target is not None
        assert graph.overlap is not None
        error, overlap = (torch.cat([x.flatten() for x in blocks]) for blocks in (output - graph.target, graph.overlap))
        expected.append(abs(float(error.double() @ overlap.double() / (overlap.double() @ overlap.double()))))
    batch = collate(samples[:2])
    with torch.no_grad():
        found = Errors(trainer.model(batch.graph).total, batch, trainer.objective.mask(batch.graph)).gauge
    assert float(found) == pytest.approx(np.mean(expected), rel=1e-4)


def test_shift_of_the_loss_is_that_of_the_metrics(data: Path, tmp_path: Path) -> None:
    samples, trainer = prepared(data, tmp_path)
    graph = samples[0].graph
    with torch.no_grad():
        output = trainer.model(graph).total
    assert graph.target is not None
    assert graph.overlap is not None
    node, edge = ((a - b)[:, 0] for a, b in zip(output, graph.target, strict=True))
    aligned = subtract_shift(node, edge, graph)[0]
    error, overlap = (torch.cat([a.flatten(), b.flatten()]).double().numpy() for a, b in (
        (node, edge), graph.overlap
    ))
    mu = gauge_shift(error, overlap)
    assert torch.allclose(aligned, node - mu * graph.overlap.node[:, 0], atol=1e-5)


def test_rotated_graphs_turn_the_overlap_too(data: Path, tmp_path: Path) -> None:
    samples, trainer = prepared(data, tmp_path)
    batch, mask = collate(samples[:2]), trainer.objective.mask(collate(samples[:2]).graph)
    angle = 0.7
    rotation = torch.tensor(
        [[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0], [0.0, 0.0, 1.0]]
    ).float()
    turned = replace(batch, graph=trainer.model.frames.rotate(batch.graph, rotation))
    with torch.no_grad():
        errors = [float(Errors(trainer.model(b.graph).total, b, mask).elements) for b in (batch, turned)]
    # mae_all is no invariant of rotations; it changes little, whereas an overlap left behind would spoil the shift.
    assert errors[1] == pytest.approx(errors[0], rel=0.3)
    assert turned.graph.overlap is not None
    overlap = turned.graph.overlap.node
    assert torch.allclose(overlap, overlap.transpose(2, 3), atol=1e-6)


def test_evaluation_has_bands_and_does_not_see_the_shift(trained: tuple[Predictor, list[Any]]) -> None:
    straight, shifted = (
        evaluate(trained[0], [calculation(layer(14), shift=x)], covariance_samples=0) for x in (0.0, 0.5)
    )
    assert straight.model.band_mae is not None
    assert straight.model.band_mae == pytest.approx(shifted.model.band_mae, rel=1e-3)
    assert straight.model.mae_all == pytest.approx(shifted.model.mae_all, rel=1e-3)
    assert shifted.model.mae_all_raw > 2 * straight.model.mae_all
    assert straight.stage1 is not None



def test_spectrum_of_a_crystal_has_a_mesh_and_counts_its_electrons(trained: tuple[Predictor, list[Any]]) -> None:
    prediction = trained[0].predict(layer(15))
    assert prediction.spectrum.kpoints is not None
    assert (prediction.spectrum.kpoints[:, 2] == 0).all()
    assert prediction.spectrum.n_electrons == pytest.approx(8.0)
    assert prediction.trust.electron_count == pytest.approx(8.0, abs=1e-6)
    assert prediction.trust.covariance_error < 20 * SINGLE


def test_meshes_leave_out_vacuum_and_hold_the_points_of_hexagonal_lattices() -> None:
    structure = layer()
    matrix = calculation(structure).overlap
    # |b1| = 2 pi / (4.7 sin 60 deg) = 1.54 per Bohr.
    assert mesh(structure, matrix, spacing=0.3) == (6, 6, 1)
    assert mesh(structure, matrix, spacing=0.15) == (12, 12, 1)
    assert mesh(structure, matrix, spacing=1.0) == (2, 2, 1)


def test_mesh_of_a_layer_is_the_same_however_its_vacuum_is_tilted() -> None:
    """Atoms, and hence pairs, are the same; only the vector across the vacuum is another."""
    structure = layer()
    assert structure.cell is not None
    matrix = calculation(structure).overlap
    assert not matrix.shifts[:, 2].any()
    cell = structure.cell.copy()
    cell[2] += 3 * cell[0] - 2.3 * cell[1]
    tilted = replace(structure, cell=cell)
    for spacing in (0.05, 0.15, 0.3):
        assert mesh(tilted, matrix, spacing, multiple=1) == mesh(structure, matrix, spacing, multiple=1)
    kpoints, _ = monkhorst_pack((4, 4, 1))
    assert spacing_of(tilted, matrix, kpoints) == pytest.approx(spacing_of(structure, matrix, kpoints), rel=1e-12)


def test_model_refuses_molecules_ions_and_other_orbitals(trained: tuple[Predictor, list[Any]]) -> None:
    predictor, structure = trained[0], layer()
    with pytest.raises(DomainError, match="has no cell"):
        predictor.predict(Structure(structure.numbers, structure.positions))
    with pytest.raises(DomainError, match="charge \\+1"):
        predictor.predict(Structure(structure.numbers, structure.positions, structure.cell, charge=1))
    other = OrbitalBasis("other", {z: tuple(reversed(s)) for z, s in BASIS.shells.items()})
    with pytest.raises(BasisMismatchError, match=r"orbitals of B differ.*basis the model was trained with"):
        evaluate(predictor, [calculation(structure, basis=other)])


def test_baselines_of_molecules_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'sap' is not available for numerical orbitals"):
        Fit(configuration(data, tmp_path, baseline={"kind": "sap"}), silent, lambda entry: None).run()


def test_commands_go_from_structure_file_to_bands(
    trained: tuple[Predictor, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ase.io

    monkeypatch.chdir(tmp_path)
    ase.io.write("bn.cif", to_ase(layer(16)))
    trained[0].model.save("model")
    before = sorted(p.name for p in Path().iterdir())
    assert main(["predict", "bn.cif", "--model", "model", "--kpath", "GWG", "--plot", "bn.png"]) == 1
    assert "this lattice has the points" in capsys.readouterr().err
    assert sorted(p.name for p in Path().iterdir()) == before
    assert main(["predict", "bn.cif", "--model", "model", "--kpath", "GMKG", "--plot", "bn.png", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    assert entry["n_electrons"] == 8
    assert Path("bn.png").stat().st_size > 10_000
    assert main(["bands", "bn.harmose.h5", "--kpath", "GMKG", "--points", "20", "--json"]) == 0
    stored = json.loads(capsys.readouterr().out)
    assert main(["bands", "bn.cif", "--model", "model", "--kpath", "GMKG", "--points", "20", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert np.allclose(stored["energies_ev"], again["energies_ev"], atol=1e-3)
    assert stored["path"] == "G-M-K-G"
    assert stored["fermi_ev"] == pytest.approx(entry["fermi_ev"], abs=1e-3)


def test_bands_are_compared_with_a_reference_of_the_same_cell(
    trained: tuple[Predictor, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import ase.io

    monkeypatch.chdir(tmp_path)
    structure = layer(17)
    ase.io.write("bn.cif", to_ase(structure))
    trained[0].model.save("model")
    for name, one in (("same.h5", structure), ("other.h5", repeat_cell(structure, (2, 1, 1)))):
        record = calculation(one)
        write_results(
            name, [Result(record, solve_structure(one, record.hamiltonian, record.overlap, record.n_electrons))]
        )
    command = ["bands", "bn.cif", "--model", "model", "--kpath", "GMKG", "--points", "20", "--plot", "bn.png", "--json"]
    assert main([*command, "--compare", "same.h5"]) == 0
    compared = json.loads(capsys.readouterr().out)["compare"]
    assert 0 < compared["band_mae_mev"] <= compared["band_max_mev"]
    assert compared["in_training"] is False
    assert Path("bn.png").exists()
    assert main([*command, "--force", "--compare", "other.h5"]) == 1
    assert "another cell" in capsys.readouterr().err
    assert main([*command]) == 1
    assert "bn.png" in capsys.readouterr().err


def test_comparison_with_a_calculation_of_the_training_set_says_so(
    trained: tuple[Predictor, list[Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    """Also by a model that went on from the one trained on it; not known where a model lists no structures."""
    known = calculation(layer(0))
    one = Result(known, solve_structure(known.structure, known.hamiltonian, known.overlap, known.n_electrons))
    path = tmp_path / "known.h5"
    write_results(path, [one])
    model = trained[0].model
    model.save(tmp_path / "model")
    command = ["bands", str(path), "--model", str(tmp_path / "model"), "--points", "8", "--compare", str(path)]
    assert main(command) == 0
    assert "one of the training set" in " ".join(capsys.readouterr().out.split())
    training = model.training
    assert is_trained_on(training, known.structure) is True
    further = {"structure_ids": "0" * 12, "started_from": {"training": training}}
    assert is_trained_on(further, known.structure) is True
    assert is_trained_on(further, layer(40)) is False
    assert is_trained_on({"started_from": {"training": training}}, layer(40)) is None


def test_molecules_options_are_refused_for_crystals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ase.io

    monkeypatch.chdir(tmp_path)
    ase.io.write("bn.cif", to_ase(layer()))
    Path("h2.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n", encoding="utf-8")
    assert main(["predict", "bn.cif", "--compare"]) == 1
    assert "harmose-dft bands" in capsys.readouterr().err
    assert main(["predict", "bn.cif", "h2.xyz"]) == 1
    assert "separately" in capsys.readouterr().err
    Path("two.xyz").write_text('2\n\nH 0 0 0\nH 0 0 0.74\n1\nLattice="3 0 0 0 3 0 0 0 3" pbc="T T T"\nC 0 0 0\n')
    assert main(["predict", "two.xyz"]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "two.xyz#1 is a molecule, two.xyz#2 a crystal. Predict them separately" in said
    assert main(["predict", "h2.xyz", "--kpath", "GM"]) == 1
    assert "no cell" in capsys.readouterr().err


def test_bands_of_a_molecule_are_refused_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("h2.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n", encoding="utf-8")
    assert main(["bands", "h2.xyz", "--model", "no such model"]) == 1
    assert "h2.xyz has no cell; bands are of crystals. Use harmose-dft predict" in capsys.readouterr().err


def test_bands_of_a_cell_without_periodic_direction_are_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("c.xyz").write_text('1\nLattice="3 0 0 0 3 0 0 0 3" pbc="F F F"\nC 0 0 0\n')
    assert main(["bands", "c.xyz", "--model", "no such model"]) == 1
    assert 'c.xyz has a cell, but no periodic direction (pbc="F F F"' in " ".join(capsys.readouterr().err.split())


def test_bands_of_a_structure_need_a_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("h.xyz").write_text("1\n\nH 0 0 0\n", encoding="utf-8")
    assert main(["bands", "h.xyz"]) == 1
    assert "h.xyz is a structure without a Hamiltonian" in capsys.readouterr().err


def test_reference_bands_of_a_real_calculation(shared_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = shared_dir / "samples" / "openmx" / "graphene_prim"
    assert main(["bands", str(source), "--kpath", "GMKG", "--points", "30", "--json"]) == 0
    entry = json.loads(capsys.readouterr().out)
    energies = np.array(entry["energies_ev"])[0] - entry["fermi_ev"]
    k = int(np.argmin(np.abs(np.array(entry["kpoints"]) - [1 / 3, 1 / 3, 0]).sum(axis=1)))
    # Valence and conduction band of graphene touch at K, at the Fermi level.
    assert np.abs(energies[k, 3:5]).max() < 0.05


@pytest.mark.parametrize(("maker", "words"), [
    (lambda structure: replace(calculation(structure), hamiltonian=()), "is an overlap-only calculation"),
    (with_collinear_spin, "has nspin 2 .spin: collinear.; the model 'made-up' is of spin: none"),
    (with_spin_orbit, "has nspin 4 .spin: spin-orbit.; the model 'made-up' is of spin: none"),
])
def test_calculations_that_the_model_does_not_stand_for_neither_measure_nor_calibrate_it(
    trained: tuple[Predictor, list[Any]], tmp_path: Path, maker: Callable[[Structure], Record], words: str
) -> None:
    with DatasetWriter(tmp_path / "others.h5") as writer:
        writer.add(maker(layer(21)))
    with pytest.raises(DataError, match=words):
        evaluate(trained[0], tmp_path / "others.h5")
    with pytest.raises(DataError, match=words):
        measure_cases(trained[0], [tmp_path / "others.h5"])


def test_crystals_are_not_measured_as_refined(trained: tuple[Predictor, list[Any]]) -> None:
    """Nothing refines them: the column would be that of the model."""
    with pytest.raises(DataError, match=r"refine molecules only; .* Leave --refine out"):
        evaluate(trained[0], [calculation(layer(21))], refine=True)
