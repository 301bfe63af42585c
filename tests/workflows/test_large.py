"""Around the Fermi level of crystals of any size, in Python and by the command, on a made-up boron nitride layer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import graphene

from harmose_dft.cli import main
from harmose_dft.core.errors import DataError, HarmoseError
from harmose_dft.core.record import Record
from harmose_dft.core.units import HARTREE_IN_EV
from harmose_dft.model.domain import DomainReport
from harmose_dft.model.trust.judging import describe_unusual
from harmose_dft.output import Result, write_results
from harmose_dft.solver import band_gap, solve_structure
from harmose_dft.testing.crystals import calculation, layer, repeat_cell
from harmose_dft.workflows.large import near_fermi, open_cell


@pytest.fixture(scope="module")
def record() -> Record:
    """A layer of 7 x 6 cells, 336 orbitals."""
    return replace(calculation(repeat_cell(layer(5), (7, 6, 1))), provenance={"code": "Made-up", "version": "1.0"})


def test_window_has_the_fermi_level_and_the_gap_of_the_whole_spectrum(record: Record) -> None:
    spectrum = solve_structure(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    window = near_fermi(record, states=20)
    assert window.states is not None
    assert window.label == "Made-up 1.0"
    assert window.fermi == pytest.approx(spectrum.fermi, abs=1e-6)
    assert window.states.gaps == pytest.approx(band_gap(spectrum), abs=1e-8)
    assert window.density is None
    assert set(window.seconds) == {"matrices", "states"}


def test_small_cells_have_an_exact_density_and_larger_ones_an_error(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = near_fermi(record, states=None, with_dos=True, window=4.0, broadening=0.5).density
    monkeypatch.setattr("harmose_dft.workflows.large.DENSE_LIMIT", 10)
    rough = near_fermi(record, states=None, with_dos=True, window=4.0, broadening=0.5).density
    assert exact is not None
    assert rough is not None
    assert (exact.n_vectors, exact.error.max()) == (0, 0.0)
    assert rough.n_vectors > 1
    low, high = rough.fermi_interval
    assert low <= exact.fermi <= high
    curve = np.interp(exact.energies, rough.energies, rough.density)
    inside = (exact.energies > rough.energies[0]) & (exact.energies < rough.energies[-1])
    assert np.abs(curve - exact.density)[inside].max() < 6 * rough.error.max()


def test_command_prints_the_window_as_table_and_json(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spectrum = solve_structure(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    write_results(tmp_path / "layer.harmose.h5", [Result(record, spectrum)])
    source = str(tmp_path / "layer.harmose.h5")
    picture = tmp_path / "window.png"
    assert main(["bands", source, "--near-fermi", "20", "--dos", "--solver", "superlu", "--plot", str(picture)]) == 0
    table = capsys.readouterr().out
    assert "superlu" in table
    assert "states per eV at the Fermi level" in table
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert main(["bands", source, "--near-fermi", "20", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["fermi_ev"] == pytest.approx(spectrum.fermi * HARTREE_IN_EV, abs=1e-4)
    assert np.shape(shown["states"]["energies_ev"])[-1] == 20


def test_contradictory_and_empty_requests_are_refused(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(HarmoseError, match="Neither states nor a density"):
        near_fermi(record, states=None)
    with pytest.raises(DataError, match="number of electrons of B42N42 is unknown"):
        open_cell(replace(record, n_electrons=float("nan")))
    with pytest.raises(HarmoseError, match="structure without a Hamiltonian"):
        open_cell(record.structure)
    assert main(["bands", "layer.cif", "--near-fermi", "20", "--kpath", "GM"]) == 2
    assert "take no path" in capsys.readouterr().err
    assert main(["bands", "layer.cif", "--near-fermi", "20", "--broadening", "0.1"]) == 2
    assert "--broadening is the resolution of --dos" in capsys.readouterr().err


def test_cells_far_from_training_end_with_an_error_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Graphene, and graphene with bonds that are longer by 15 %."""
    atoms = graphene(vacuum=10.0).repeat((2, 2, 1))
    atoms.pbc = True
    atoms.write(tmp_path / "layer.cif")
    atoms.set_cell(np.diag([1.15, 1.15, 1.0]) @ atoms.cell.array, scale_atoms=True)
    atoms.write(tmp_path / "stretched.cif")
    command = ["bands", "--model", "graphene", "--near-fermi", "8", "--json"]
    assert main([*command, str(tmp_path / "layer.cif")]) == 0
    near = json.loads(capsys.readouterr().out)["trust"]
    assert near["far_atoms"] == []
    assert near["environment_distance"] < 1
    assert main([*command, str(tmp_path / "stretched.cif")]) == 3
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["trust"]["far_atoms"]) == 8
    assert "do not use: atoms with surroundings unlike those of the training set" in printed.err
    assert main([*command, "--force-domain", str(tmp_path / "stretched.cif")]) == 0


def test_sentences_name_a_few_of_many_atoms() -> None:
    atoms = tuple(f"C{n}" for n in range(1, 41))
    assert describe_unusual(DomainReport(4.0, atoms, (), 1.0, atoms)).endswith(
        "C1, C2, C3, C4, C5, C6, C7, C8 and 32 more (distance 4, training atoms up to 1)"
    )
