"""``report``: what the page of a molecule or a crystal says, from predictions made in the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import graphene, molecule
from known_predictor import KnownPredictor

import harmose_dft
from harmose_dft.cli import main
from harmose_dft.core.errors import DataError, HarmoseError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.model.prediction import ModelInfo, Prediction
from harmose_dft.model.trust import Certificate, Deviation, Interval, Intervals, TrustReport, Verdict
from harmose_dft.model.trust.words import explain
from harmose_dft.plots.page import Level
from harmose_dft.testing.crystals import calculation, layer
from harmose_dft.testing.molecules import WATER, structure_of
from harmose_dft.workflows.compare import compare
from harmose_dft.workflows.report import (
    crystal_core_charges,
    report,
    report_crystal,
    report_molecule,
    require_applicable,
)
from harmose_dft.workflows.trust_words import check_consistency, describe_trust

EV = 27.211386
"""One Hartree."""

INTERVALS = Intervals(0.95, *(Interval(0.0, half) for half in (0.001, 0.002, 0.003, 0.001, 0.01)))
TRUST = TrustReport(
    0.02, 10.0, 1e-9, 0.5, (), (), 0.4, verdict=Verdict.GOOD, risk=1e-4, intervals=INTERVALS,
    certificate=Certificate(
        Deviation(0.0, 0.0, 0.0, 0.0, 0.0, 0.004), 0.0, Deviation(0.0, 0.0, 0.0, 0.0, 0.0, 0.0004), 0.0, 3, 0.1
    ),
)


@pytest.fixture(scope="module")
def water() -> Prediction:
    return replace(KnownPredictor().predict(structure_of()), trust=TRUST)


@pytest.fixture(scope="module")
def record() -> Record:
    return replace(calculation(layer()), provenance={"code": "Made-up", "version": "1.0", "functional": "lda"})


def as_prediction(record: Record) -> Prediction:
    spectrum = harmose_dft.solve(record.structure, record.hamiltonian, record.overlap, record.n_electrons)
    info = ModelInfo("a model", "0" * 64)
    return Prediction(record.structure, record.basis, record.hamiltonian, record.overlap, spectrum, "lda", info, 0.0)


def test_molecule_has_its_figures_with_half_widths_in_ev(water: Prediction) -> None:
    page = report_molecule(water, "water.xyz")
    facts = {fact.name: fact for fact in page.facts}
    assert facts["HOMO"].value == f"{water.spectrum.homo * EV:.3f} eV".replace("-", "−")
    assert facts["HOMO"].error == f"{0.001 * EV:.3f}"
    assert facts["dipole moment"].error == "0.025"  # 0.01 e Bohr are 0.0254 D
    assert [o.name for o in page.orbitals] == ["HOMO", "LUMO"]
    assert [c.label for c in page.columns] == ["known"]
    assert page.level_errors == {"HOMO": 0.001, "LUMO": 0.002}
    assert {fact.name: fact.value for fact in page.provenance}["model"] == "known"


def test_charges_of_a_molecule_sum_to_zero_and_oxygen_is_negative(water: Prediction) -> None:
    charges = report_molecule(water, "water.xyz").charges
    assert list(charges) == ["Löwdin", "Mulliken"]
    for values in charges.values():
        assert values.sum() == pytest.approx(0.0, abs=1e-9)
        assert values[0] < -0.1


def test_reference_of_a_molecule_is_listed_and_drawn_beside_it(water: Prediction) -> None:
    """The stand-in is PySCF's calculation on the coarsest grid; the reference takes another one."""
    comparison = compare(water)
    page = report_molecule(water, "water.xyz", ("HOMO",), comparison)
    rows = {row[0]: row[1:] for row in page.comparison}
    difference = (water.spectrum.homo - comparison.reference.spectrum.homo) * EV
    assert abs(difference) > 1e-3
    assert rows["HOMO (eV)"][2] == f"{difference:+.3f}".replace("-", "−")
    assert page.columns[1].label.startswith("PySCF 2.")
    assert page.reference == f"{page.columns[1].label}, pbe/sto-3g"


def test_crystal_without_reference_has_bands_and_no_comparison(record: Record) -> None:
    page = report_crystal(as_prediction(record), "bn.cif", kpath="GMKG")
    assert page.bands is not None
    assert page.bands.bands.path_name == "G-M-K-G"
    assert page.bands.reference is None
    assert page.comparison == ()
    assert page.charges == {}
    assert [fact.name for fact in page.facts][-1] == "electrons per cell"


def test_density_of_states_of_a_crystal_counts_its_electrons(record: Record) -> None:
    """Below the gap the density of states integrates to 8 electrons, but for those deeper than its window."""
    prediction = as_prediction(record)
    page = report_crystal(prediction, "bn.cif")
    assert page.bands is not None
    assert page.bands.dos is not None
    dos = page.bands.dos
    filled = dos.energies < prediction.spectrum.fermi
    lowest = prediction.spectrum.energies.min()
    assert lowest > dos.energies[0]
    assert np.trapezoid(dos.total[0][filled], dos.energies[filled]) == pytest.approx(8.0, abs=0.05)


def test_crystal_is_compared_with_its_calculation(record: Record) -> None:
    """H + 0.01 S shifts all bands by 0.01 Hartree, which the best shift takes away again."""
    matrix = record.hamiltonian[0]
    shifted = replace(record, hamiltonian=(matrix.with_values(matrix.values + 0.01 * record.overlap.values),))
    page = report_crystal(as_prediction(shifted), "run", record, "GMKG", np.array([3.0, 5.0]))
    rows = {row[0]: row[1:] for row in page.comparison}
    assert rows["bands within 5 eV, mean error (meV)"] == ("", "", "0.0")
    assert rows["gap (eV)"][2] == "+0.000"
    assert page.bands is not None
    assert page.bands.reference is not None
    assert page.bands.reference.label == "Made-up 1.0"
    assert page.charges["Mulliken"].sum() == pytest.approx(0.0, abs=1e-6)


def test_calculation_of_another_cell_is_refused(record: Record) -> None:
    with pytest.raises(HarmoseError, match="another cell"):
        report_crystal(as_prediction(record), "run", calculation(layer(stretch=1.1)))


def test_core_charges_are_left_out_where_the_model_knows_compounds_only() -> None:
    """The electrons of BN are known, those of boron and nitrogen alone are not."""
    from functools import partial
    from types import SimpleNamespace

    from harmose_dft.physics.base import Physics
    from harmose_dft.physics.electron_count import ElectronCount

    def predictor(*records: Record) -> Any:
        physics = SimpleNamespace(n_electrons=ElectronCount.fit(records))
        physics.core_charges = partial(Physics.core_charges, physics)
        return SimpleNamespace(physics=physics)

    bn = calculation(layer())
    assert crystal_core_charges(predictor(bn), bn.structure) is None
    two_borons = Structure(np.array([5, 5]), bn.structure.positions, bn.structure.cell)
    boron = replace(bn, structure=two_borons, n_electrons=6.0)
    np.testing.assert_allclose(crystal_core_charges(predictor(bn, boron), bn.structure), [3.0, 5.0])


def test_trust_is_a_verdict_and_checks_in_words() -> None:
    view = describe_trust(TRUST, 10.0, crystal=False)
    assert view.level == Level.GOOD
    assert view.coverage == 0.95
    assert {check.level for check in view.checks} == {Level.GOOD}
    doubtful = replace(
        TRUST, verdict=Verdict.CAREFUL, unusual_atoms=("C3",), unseen_pairs=("C-Cl",), electron_count=9.9,
        covariance_error=1e-3, smallest_overlap_eigenvalue=1e-7, atoms_relative_to_training=2.0, member_spread=0.1,
    )
    levels = {check.name: check.level for check in describe_trust(doubtful, 10.0, crystal=False).checks}
    assert levels == {
        "surroundings of the atoms": Level.BAD, "pairs of elements": Level.CAREFUL, "size": Level.CAREFUL,
        "3 cheap Fock builds": Level.GOOD, "networks of the ensemble": Level.CAREFUL, "electrons": Level.BAD,
        "orientation": Level.CAREFUL, "independence of the basis": Level.CAREFUL,
    }


def test_a_large_cell_speaks_against_no_prediction_and_wrong_electrons_do() -> None:
    """On the page and on the screen alike; 9 of 10 electrons are wrong although their number is whole."""
    large = replace(TRUST, atoms_relative_to_training=50.0, electron_count=9.0)
    for crystal in (True, False):
        levels = {check.name: check.level for check in describe_trust(large, 10.0, crystal=crystal).checks}
        assert levels.get("size") == (None if crystal else Level.CAREFUL)
        assert levels["electrons"] == Level.BAD
        against = explain(large, 10.0, crystal=crystal).bad
        assert [text for text in against if "50.0 times" in text] == ([] if crystal else [against[-1]])
        assert "9.0000 electrons in the density, 10 expected" in against


def test_refined_levels_that_still_move_by_three_millihartree_call_for_care() -> None:
    """Five make a refined prediction bad; half of that is the limit of the last Fock build's change."""
    certificate = TRUST.certificate
    assert certificate is not None
    moved = replace(certificate, last_deviation=replace(certificate.last_deviation, largest_level_change=0.003))
    (check,) = check_consistency(replace(TRUST, certificate=moved))
    assert check.level == Level.CAREFUL


def test_model_without_calibration_has_no_verdict() -> None:
    without = replace(TRUST, verdict=None, risk=None, intervals=None, certificate=None)
    view = describe_trust(without, 10.0, crystal=False)
    assert view.level is None
    assert view.coverage is None
    assert view.words.startswith("within the training set")


def predict_always(prediction: Prediction, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every model that a report loads predict this."""

    class StandIn:
        def check(self, structure: Structure) -> None: ...

        def orbital_counts(self, structure: Structure) -> tuple[int, int]:
            return 5, 7

        def predict(self, structure: Structure) -> Prediction:
            return prediction

    monkeypatch.setattr("harmose_dft.workflows.report.as_predictor", lambda name, device: StandIn())


def test_command_writes_a_page_into_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], water: Prediction
) -> None:
    predict_always(water, monkeypatch)
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / "water.xyz"
    source.write_text("3\n\n" + "\n".join(WATER))
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(source)]) == 0
    assert "written: water.report.html" in capsys.readouterr().out
    assert "<h1>water.xyz</h1>" in (tmp_path / "water.report.html").read_text()
    assert main(["report", str(source)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["report", str(source), "--force", "--orbitals", "LUMO+7"]) == 1
    assert "no orbital LUMO+7" in capsys.readouterr().err
    assert main(["report", str(source), "--force", "--kpath", "GMKG"]) == 1
    assert "has no cell" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "code"), [([], 3), (["--force-domain"], 0)])
def test_page_on_what_is_not_to_be_used_is_written_and_ends_with_3_unless_forced(
    options: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], water: Prediction,
) -> None:
    doubtful = replace(water, trust=replace(TRUST, verdict=Verdict.DO_NOT_USE, risk=0.9))
    predict_always(doubtful, monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("water.xyz").write_text("3\n\n" + "\n".join(WATER))
    assert main(["report", "water.xyz", *options]) == code
    printed = capsys.readouterr()
    assert "written: water.report.html" in printed.out
    assert ("The verdict on water.xyz is 'do not use" in printed.err) == (code == 3)
    assert Path("water.report.html").is_file()


def test_missing_source_and_model_are_told_before_a_page_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("water.xyz").write_text("3\n\n" + "\n".join(WATER))
    Path("cell.xyz").write_text('1\nLattice="3 0 0 0 3 0 0 0 3"\nC 0 0 0\n')
    for name in ("water.report.html", "wather.report.html", "bands.png"):
        Path(name).write_text("precious")
    for command, expected in (
        (["report", "wather.xyz"], "wather.xyz: There is no such file"),
        (["report", "water.xyz", "--model", "orgnic"], "no model 'orgnic'"),
        (["bands", "wather.xyz", "--plot", "bands.png"], "wather.xyz: There is no such file"),
        (["bands", "cell.xyz", "--model", "graphen", "--plot", "bands.png"], "no model 'graphen'"),
        (["seed", "wather.xyz", "--code", "pyscf", "--out", "bands.png"], "wather.xyz: There is no such file"),
        (["seed", "water.xyz", "--code", "pyscf", "--model", "orgnic", "--out", "bands.png"], "no model 'orgnic'"),
    ):
        assert main(command) == 1
        assert expected in capsys.readouterr().err


def test_report_and_start_never_replace_their_structure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "3\n\n" + "\n".join(WATER)
    Path("water.xyz").write_text(text)
    for command in (["report"], ["seed", "--code", "pyscf"]):
        assert main([*command, "water.xyz", "--out", str(tmp_path / "water.xyz"), "--force"]) == 1
        assert "is one of the input files" in capsys.readouterr().err
    assert Path("water.xyz").read_text() == text


def test_orbitals_of_a_crystal_are_refused(record: Record) -> None:
    with pytest.raises(HarmoseError, match="--orbitals are drawn of molecules"):
        require_applicable(record.structure, ("HOMO-3",), False, None)
    require_applicable(record.structure, ("HOMO", "LUMO"), False, "GMKG")


def test_page_of_a_folder_has_its_whole_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("graphene-2.46").mkdir()
    Path("graphene-2.46.report.html").write_text("precious")
    assert main(["report", "graphene-2.46"]) == 1
    assert "graphene-2.46.report.html exists already" in capsys.readouterr().err


def test_missing_folder_of_an_output_is_told_before_computing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], water: Prediction
) -> None:
    predict_always(water, monkeypatch)
    monkeypatch.setattr("harmose_dft.workflows.bands.bands", pytest.fail)
    monkeypatch.setattr("harmose_dft.cli.report.require_usable", pytest.fail)
    monkeypatch.setattr("harmose_dft.workflows.report.report", pytest.fail)
    monkeypatch.chdir(tmp_path)
    Path("water.xyz").write_text("3\n\n" + "\n".join(WATER))
    for command in (["report", "water.xyz", "-o", "no/page.html"], ["bands", "water.xyz", "--plot", "no/bands.png"]):
        assert main(command) == 1
        assert "the folder no does not exist" in capsys.readouterr().err


def test_calculation_needs_a_model(tmp_path: Path) -> None:
    path = tmp_path / "cell.xyz"
    path.write_text('1\nLattice="3 0 0 0 3 0 0 0 3"\nC 0 0 0\n')
    with pytest.raises(HarmoseError, match="--model MODEL"):
        report(path)
    many = tmp_path / "many.xyz"
    many.write_text("1\n\nHe 0 0 0\n" * 2)
    with pytest.raises(HarmoseError, match="holds 2 structures"):
        report(many)


def test_structures_and_atoms_of_ase_have_a_report_with_their_name_or_formula(
    monkeypatch: pytest.MonkeyPatch, water: Prediction
) -> None:
    predict_always(water, monkeypatch)
    atoms = molecule("H2O")
    assert report(atoms).title == "H2O"
    assert "H2O" in harmose_dft.view(atoms, orbitals=("LUMO",))._repr_html_()
    assert report(replace(structure_of(), name="a drop")).title == "a drop"
    with pytest.raises(HarmoseError, match="C2 is a calculation or a crystal"):
        report(graphene(vacuum=8))
    with pytest.raises(TypeError, match="Expected a Structure, ASE Atoms or the path of a file, got float"):
        report(1.0)  # type: ignore[arg-type]


def test_charge_of_an_ion_is_an_option_of_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], water: Prediction
) -> None:
    predict_always(water, monkeypatch)
    seen: list[int] = []
    monkeypatch.setattr("harmose_dft.workflows.report.require_applicable", lambda s, *rest: seen.append(s.charge))
    monkeypatch.chdir(tmp_path)
    Path("oh.xyz").write_text("2\n\nO 0 0 0\nH 0 0 0.97\n")
    assert main(["report", "oh.xyz", "--charge", "-1"]) == 0
    assert report("oh.xyz", charge=1).title == "oh.xyz"
    assert seen == [-1, 1]
    Path("oh.xyz").write_text("2\ncharge=1\nO 0 0 0\nH 0 0 0.97\n")
    assert main(["report", "oh.xyz", "--charge", "-1", "--force"]) == 1
    assert "oh.xyz has the charge +1, --charge asks for -1" in capsys.readouterr().err


def test_molecule_is_no_crystal(water: Prediction) -> None:
    with pytest.raises(DataError, match="no bands"):
        report_crystal(water, "water")


def test_notebook_shows_the_page_in_a_frame_of_its_own(water: Prediction, tmp_path: Path) -> None:
    """The frame may run scripts, but as of another origin: it reaches neither the notebook nor its cookies."""
    shown = harmose_dft.view(water, orbitals=("LUMO",))
    html = shown._repr_html_()
    assert 'sandbox="allow-scripts"' in html
    assert html.count("<iframe") == 1
    assert "<script" not in html  # all of the page is inside an attribute
    assert "LUMO" in html
    shown.save(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    with pytest.raises(HarmoseError, match="has no cell"):
        harmose_dft.view(water, kpath="GM")
