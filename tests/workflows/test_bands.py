"""``bands`` of calculations and predictions, and their comparison, on a made-up boron nitride layer."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import click
import numpy as np
import pytest
from known_predictor import KnownPredictor

import harmose_dft
from harmose_dft.adapters.structures import to_ase
from harmose_dft.cli import cli
from harmose_dft.cli.render import print_bands
from harmose_dft.core.errors import DataError, HarmoseError, SolverError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import BOHR_IN_ANGSTROM
from harmose_dft.model.prediction import ModelInfo, Prediction
from harmose_dft.solver import bands as solve_bands
from harmose_dft.solver.band_structure import BandStructure
from harmose_dft.testing.crystals import calculation, layer
from harmose_dft.testing.molecules import structure_of
from harmose_dft.workflows.bands import WINDOW, bands, choose_points, compare_bands
from harmose_dft.workflows.crystals import require_same_crystal

EV = 27.211386
"""One Hartree."""


@pytest.fixture(scope="module")
def record() -> Record:
    return replace(calculation(layer()), provenance={"code": "Made-up", "version": "1.0"})


def as_prediction(record: Record) -> Prediction:
    spectrum = harmose_dft.solve(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    info = ModelInfo("a model", "0" * 64)
    return Prediction(
        record.structure, record.basis, record.hamiltonian, record.overlap, spectrum, "lda", info, 0.0
    )


def test_bands_of_a_calculation_are_its_eigenvalues_on_the_path(record: Record) -> None:
    found = bands(record, kpath="GMKG", points=12)
    assert found.label == "Made-up 1.0"
    assert found.path_name == "G-M-K-G"
    assert found.energies.shape == (1, len(found.path.kpoints), 8)
    np.testing.assert_array_equal(found.energies, solve_bands(record.hamiltonian, record.overlap, found.path.kpoints))
    assert found.n_electrons == 8.0
    assert repr(found).startswith("BandStructure(BN, 'Made-up 1.0', G-M-K-G")


def test_prediction_and_calculation_with_one_hamiltonian_have_the_same_bands(record: Record) -> None:
    reference = bands(record, kpath="GMKG", points=12)
    found = bands(as_prediction(record), kpath=reference.path)
    assert found.label == "a model"
    np.testing.assert_array_equal(found.energies, reference.energies)
    comparison = compare_bands(found, reference)
    assert comparison.mean_error == comparison.largest_error == 0.0
    assert comparison.reference == "Made-up 1.0"


def test_shift_of_all_bands_is_no_error(record: Record) -> None:
    """All energies 0.01 Hartree (272 meV) higher: a shift; one band 0.02 Hartree higher at one k-point: an error."""
    reference = bands(record, kpath="GMKG", points=12)
    energies = reference.energies + 0.01
    energies[0, 0, 3] += 0.02
    comparison = compare_bands(replace(reference, energies=energies), reference, window=1000.0)
    assert comparison.shift == pytest.approx(0.01)
    assert comparison.largest_error == pytest.approx(0.02)
    assert comparison.mean_error == pytest.approx(0.02 / energies.size)
    figures = comparison.to_dict()
    assert list(figures) == ["reference", "window_ev", "band_mae_mev", "band_max_mev", "shift_ev", "in_training"]
    assert figures["window_ev"] == 1000.0
    assert figures["band_max_mev"] == pytest.approx(20 * EV)
    assert figures["shift_ev"] == pytest.approx(0.01 * EV)


def test_band_structure_in_json_is_in_ev(record: Record) -> None:
    found = bands(record, kpath="GMKG", points=12)
    figures = found.to_dict()
    assert figures["fermi_ev"] == pytest.approx(found.fermi * EV)
    assert figures["gap_ev"] == pytest.approx(found.gaps[0] * EV)
    assert np.asarray(figures["energies_ev"]) == pytest.approx(found.energies * EV)
    assert (figures["path"], figures["n_orbitals"], figures["n_atoms"]) == ("G-M-K-G", 8, 2)


def test_atoms_of_ase_are_predicted_as_structures_are(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    class StandIn:
        def predict(self, structure: Structure) -> Prediction:
            assert isinstance(structure, Structure)
            return replace(as_prediction(record), structure=structure)

    monkeypatch.setattr("harmose_dft.workflows.crystals.as_predictor", lambda model, device: StandIn())
    found = bands(to_ase(record.structure), "a model", kpath="GM", points=4)
    np.testing.assert_allclose(found.energies, bands(record, kpath="GM", points=4).energies, atol=1e-9)


def test_only_states_near_the_fermi_level_are_computed_when_asked(record: Record) -> None:
    found = bands(record, kpath="GM", points=4, states=2)
    assert found.energies.shape == (1, len(found.path.kpoints), 2)
    assert found.n_orbitals == 8


def test_comparisons_that_mean_nothing_are_refused(record: Record) -> None:
    one = bands(record, kpath="GM", points=4)
    with pytest.raises(HarmoseError, match="same basis"):
        compare_bands(replace(one, n_orbitals=9), one)
    with pytest.raises(HarmoseError, match="another cell"):
        require_same_crystal(layer(), layer(stretch=1.1))


def moved(structure: Structure, atom: int | slice, vector: list[float]) -> Structure:
    """Positions in Angstrom."""
    positions = structure.positions.copy()
    positions[atom] += np.array(vector) / BOHR_IN_ANGSTROM
    return replace(structure, positions=positions)


@pytest.mark.parametrize("atom", [0, 1])
def test_reference_with_a_displaced_atom_is_refused_with_its_displacement(record: Record, atom: int) -> None:
    other = moved(record.structure, atom, [0.0, 0.03, 0.04])
    with pytest.raises(HarmoseError, match=rf"Atom {atom + 1} \([BN]\) lies 0\.050 Angstrom from its place"):
        require_same_crystal(other, record.structure)
    one = bands(record, kpath="GM", points=4)
    with pytest.raises(HarmoseError, match="two geometries"):
        compare_bands(replace(one, structure=other), one)


def test_reference_with_other_elements_is_refused_with_the_atom(record: Record) -> None:
    swapped = replace(record.structure, numbers=record.structure.numbers[::-1])
    with pytest.raises(HarmoseError, match=r"Atom 1 is [BN] here and [BN] in the reference.*same order"):
        require_same_crystal(swapped, record.structure)


def test_images_roundings_and_translations_are_the_same_crystal(record: Record) -> None:
    structure = record.structure
    assert structure.cell is not None
    image = (structure.cell[0] - 2 * structure.cell[1]) * BOHR_IN_ANGSTROM
    for other in (
        moved(structure, 1, image.tolist()), moved(structure, 0, [0.005, 0, 0.005]),
        moved(structure, slice(None), [0, 0, 0.4]),
    ):
        require_same_crystal(other, structure)


def test_sources_without_bands_are_refused() -> None:
    molecule = KnownPredictor().predict(structure_of())
    with pytest.raises(DataError, match="molecule"):
        bands(molecule)
    with pytest.raises(HarmoseError, match=r"without a Hamiltonian\. Name a model"):
        bands(layer())
    with pytest.raises(HarmoseError, match=r"without a Hamiltonian\. Name a model"):
        bands(to_ase(layer()))
    with pytest.raises(TypeError, match="got float"):
        bands(1.0)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="overlap-only"):
        bands(replace(calculation(layer()), hamiltonian=()))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))], ids=["copy", "pickle"])
def test_band_structures_can_be_copied_and_sent(again, record: Record) -> None:  # type: ignore[no-untyped-def]
    one = bands(record, kpath="GM", points=4)
    other: BandStructure = again(one)
    np.testing.assert_array_equal(other.energies, one.energies)
    assert other.path.ticks == one.path.ticks


def test_window_of_the_command_is_that_of_the_function() -> None:
    command = cli.get_command(click.Context(cli), "bands")
    assert command is not None
    assert {p.name: p.default for p in command.params}["window"] == WINDOW


def test_small_cells_have_more_points_on_a_path(record: Record) -> None:
    """The layer has eight orbitals; each of the three segments rounds its share."""
    assert abs(len(bands(record, kpath="GMKG").path.kpoints) - 401) <= 3
    assert [choose_points(size) for size in (120, 121, 500, 501)] == [400, 200, 200, 100]


def test_bands_that_touch_are_a_metal_in_the_table(record: Record, capsys: pytest.CaptureFixture[str]) -> None:
    """As graphene's do, whose gap on a mesh is rounding."""
    found = bands(record, kpath="GMKG", points=12)
    for gap, expected in ((1e-8, "none (metal)"), (0.1, "2.7211 (direct 2.7211)")):
        print_bands("layer.cif", replace(found, gaps=(gap, gap)), None, None, [])
        assert expected in capsys.readouterr().out


def test_a_misspelt_solver_is_refused_where_the_cell_needs_none(record: Record) -> None:
    with pytest.raises(SolverError, match="no direct solver 'superlou'"):
        bands(record, kpath="GMKG", points=12, solver="superlou")
