"""Model folders: round trip, the committed model of format version 1, and what is refused."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harmose_dft.adapters.pyscf import orbital_basis
from harmose_dft.core.errors import BasisMismatchError, CheckpointError, ConfigError, DomainError, OutputExistsError
from harmose_dft.core.structure import Structure
from harmose_dft.core.units import MICRO
from harmose_dft.metrics.covariance import cov_err
from harmose_dft.model import two_stage
from harmose_dft.model.checkpoint import ModelFile
from harmose_dft.model.description import DESCRIPTION, FORMAT_VERSION, WEIGHTS, read_description, seal_of
from harmose_dft.model.loading import load_model, model_folder
from harmose_dft.model.predictor import Predictor
from harmose_dft.model.upgrades import in_fine_units
from harmose_dft.nn import potential
from harmose_dft.testing.models import perturb, random_graph, random_structure, tiny_model, water, water_record


@pytest.fixture
def folder(fixtures_dir: Path, tmp_path: Path) -> Path:
    """A copy of the committed model, to be damaged."""
    return Path(shutil.copytree(fixtures_dir / "model_v1", tmp_path / "model"))


@pytest.fixture(scope="module")
def predictor(fixtures_dir: Path) -> Predictor:
    return load_model(fixtures_dir / "model_v1")


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = json.loads((folder / DESCRIPTION).read_text())
    change(found)
    (folder / DESCRIPTION).write_text(json.dumps(found))


def rehash(folder: Path) -> None:
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    edit(folder, lambda d: d.update(weights_sha256=digest))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        ModelFile.load(folder)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 700
    return text


def test_model_of_version_one_predicts_what_it_did(predictor: Predictor, fixtures_dir: Path) -> None:
    """``water.json`` was written with the model; float32 sums in another order move elements by a nanohartree."""
    stored = json.loads((fixtures_dir / "model_v1" / "water.json").read_text())
    found = predictor.predict(water(9))
    np.testing.assert_allclose(found.hamiltonian.to_dense(), stored["hamiltonian_hartree"], atol=0.1 * MICRO)
    np.testing.assert_allclose(found.spectrum.energies, stored["energies_hartree"], atol=MICRO)


def test_predicted_hamiltonian_is_exactly_symmetric_and_near_the_reference(predictor: Predictor) -> None:
    """LDA/STO-3G by PySCF. The model was made on four waters: it improves on its baseline, no more is asked."""
    record = water_record(7)
    found = predictor.predict(record.structure)
    dense, reference = found.hamiltonian.to_dense(), record.hamiltonian[0].to_dense()
    assert np.array_equal(dense, dense.T)
    baseline = predictor.physics.h0(record.structure).to_dense()
    assert np.abs(dense - reference).mean() < 0.5 * np.abs(baseline - reference).mean()


def test_prediction_is_covariant_under_rotations_and_inversions(predictor: Predictor) -> None:
    """float32 network: rounding of corrections of about 10 mHa; the physics baseline is analytic."""
    assert cov_err(predictor.hamiltonian, water(8), predictor.model.basis) < 0.1 * MICRO


def test_distant_molecules_have_the_blocks_that_they_have_alone(predictor: Predictor) -> None:
    """SAP's atoms are neutral and the density of a sum is the sum of densities, so 50 Bohr are infinite."""
    one, other = water(3), water(4)
    positions = np.concatenate([one.positions, other.positions + np.array([50.0, 0, 0])])
    both = Structure(np.concatenate([one.numbers, other.numbers]), positions)
    dense = predictor.hamiltonian(both).to_dense()
    alone = [predictor.hamiltonian(s).to_dense() for s in (one, other)]
    np.testing.assert_allclose(dense[:7, :7], alone[0], atol=0.1 * MICRO)
    np.testing.assert_allclose(dense[7:, 7:], alone[1], atol=0.1 * MICRO)
    np.testing.assert_allclose(dense[:7, 7:], 0, atol=1e-10)


def test_order_of_atoms_and_company_do_not_matter(predictor: Predictor) -> None:
    first = water(3)
    turned = Structure(first.numbers[::-1], first.positions[::-1])
    single, again, _ = predictor.predict([first, turned, water(5)], trust=False)
    np.testing.assert_allclose(single.spectrum.energies, again.spectrum.energies, atol=MICRO)
    np.testing.assert_allclose(
        single.hamiltonian.to_dense(), predictor.hamiltonian(first).to_dense(), atol=0.1 * MICRO
    )


def test_isolated_atom_keeps_its_on_site_block(predictor: Predictor) -> None:
    """No pairs, hence no messages; oxygen has an even number of electrons."""
    dense = predictor.hamiltonian(Structure(np.array([8]), np.zeros((1, 3)))).to_dense()
    assert np.isfinite(dense).all()
    np.testing.assert_allclose(dense[2:, 2:], np.eye(3) * dense[2, 2], atol=MICRO)


def test_round_trip_gives_identical_predictions(predictor: Predictor, folder: Path, tmp_path: Path) -> None:
    model = ModelFile.load(folder)
    assert model.sha256 == predictor.model.sha256
    written = model.save(tmp_path / "again")
    again = load_model(tmp_path / "again")
    assert again.model.sha256 == written == again.model.save(tmp_path / "third")
    np.testing.assert_array_equal(
        again.hamiltonian(water(3)).to_dense(), predictor.hamiltonian(water(3)).to_dense()
    )
    found, expected = read_description(tmp_path / "again"), read_description(folder)
    if expected["format_version"] == 1:  # before potentials and spin were learned; has weights that nothing read
        expected |= {"format_version": FORMAT_VERSION, "weights_sha256": written, "filling": None}
        expected["model"] |= {"potential": False, "lattice": False, "spin": "none", "charged": False}
        expected["domain"]["charges"] = [0]
        del expected["charge"], expected["spin"]
        expected["model"]["second"] |= {"members": 1, "density": False}
        expected["description_sha256"] = seal_of(expected)
    assert found == expected
    assert repr(model).startswith("ModelFile('tiny', lda,vwn/sto-3g")


def test_models_with_potentials_in_coarse_units_predict_what_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """Format versions 2 and 3, whose units are set here again to have what they predicted."""
    network = perturb(tiny_model()).eval().requires_grad_(False)
    graph = network.prepare(random_graph(random_structure(), network))
    for module, unit, value in (
        (potential, "LOCAL_UNIT", 0.02), (potential, "CHARGE_UNIT", 0.1), (two_stage, "CORRECTION_UNIT", 1.0)
    ):
        monkeypatch.setattr(module, unit, value)
    ours = {name: getattr(network, name).clone() for name in network.unit_names}
    for name in ours:
        getattr(network, name).fill_(1.0)
    expected = network(graph)
    monkeypatch.undo()
    for name, unit in ours.items():
        getattr(network, name).copy_(unit)
    assert not torch.allclose(network(graph).total.node, expected.total.node, rtol=0.1)
    network.load_state_dict({
        name: value * in_fine_units(name.replace("second.members.0.", "second."))
        for name, value in network.state_dict().items()
    })
    found = network(graph)
    for part in ("stage1", "total"):
        for blocks in ("node", "edge"):
            before = getattr(getattr(expected, part), blocks)
            torch.testing.assert_close(getattr(getattr(found, part), blocks), before, rtol=1e-4, atol=1e-5)


def test_existing_model_is_not_overwritten_unasked(folder: Path) -> None:
    with pytest.raises(OutputExistsError):
        ModelFile.load(folder).save(folder)


@pytest.mark.parametrize("name", [WEIGHTS, DESCRIPTION])
def test_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert name in refusal(folder)


def test_damaged_weights_are_refused(folder: Path) -> None:
    data = bytearray((folder / WEIGHTS).read_bytes())
    data[-5] ^= 1
    (folder / WEIGHTS).write_bytes(data)
    assert "damaged" in refusal(folder)


def test_truncated_weights_are_refused_even_with_their_hash(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:1000])
    rehash(folder)
    assert "usable" in refusal(folder)


class Trap:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a model file was unpickled",))


def test_pickle_posing_as_weights_is_never_unpickled(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps(Trap()))
    rehash(folder)
    assert "usable" in refusal(folder)


def test_description_that_is_no_json_is_refused(folder: Path) -> None:
    (folder / DESCRIPTION).write_text("{")
    assert "damaged" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(format_version=FORMAT_VERSION + 1), "Update harmose-dft"),
        (lambda d: d.pop("format_version"), "damaged"),
        (lambda d: d.pop("weights_sha256"), "hash"),
        (lambda d: d.pop("domain"), "domain"),
        (lambda d: d.update(basis="sto-3g"), "usable"),
        (lambda d: d.update(domain=[]), "usable"),
        (lambda d: d["basis"]["shells"]["1"][0]["exponents"].__setitem__(0, 3.0), "fingerprint"),
        (lambda d: d["model"]["first"].update(channels=6), "size mismatch"),
        (lambda d: d["model"]["first"].update(chanels=6), "chanels"),
        (lambda d: d.update(inputs=["overlap"]), "size mismatch"),
    ],
)
def test_edited_description_is_refused_in_one_paragraph(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    edit(folder, change)
    assert said in refusal(folder)


ABSURD = [
    (("first", "layers"), "model.first.layers = 1000000000"),
    (("first", "channels"), "model.first.channels = 1000000000"),
    (("first", "cutoff"), "model.first.cutoff = 1000000000"),
    (("second", "width"), "model.second"),
    (("second", "layers"), "model.second"),
]


@pytest.mark.parametrize(("keys", "said"), ABSURD)
def test_absurd_sizes_in_a_description_are_refused_by_name(folder: Path, keys: tuple[str, str], said: str) -> None:
    edit(folder, lambda d: d["model"][keys[0]].update({keys[1]: 10**9}))
    message = refusal(folder)
    assert said in message
    assert "less than or equal to" in message
    assert "errors.pydantic" not in message


def test_sizes_beyond_the_stored_weights_are_refused_before_they_are_allocated(folder: Path) -> None:
    """Each size is allowed; the committed model stores 10 thousand numbers, these layers have hundreds of millions."""
    edit(folder, lambda d: d["model"]["first"].update(channels=1024, hidden_channels=2048, pair_channels=1024))
    assert "the sizes of the model ask for more than" in refusal(folder)


def test_absurd_numbers_of_shells_are_refused(folder: Path) -> None:
    def multiply(description: dict[str, Any]) -> None:
        shells = next(iter(description["basis"]["shells"].values()))
        shells *= 10_000

    edit(folder, multiply)
    assert "orbitals of an element; expected at most 1000" in refusal(folder)


def test_edited_baseline_is_refused(folder: Path) -> None:
    edit(folder, lambda d: d["baseline"]["charges"].pop("1"))
    with pytest.raises(DomainError, match="H"):
        load_model(folder).hamiltonian(water(0))


def test_other_basis_of_the_same_size_is_refused(predictor: Predictor) -> None:
    """STO-6G has the shells of STO-3G with other radial functions."""
    with pytest.raises(BasisMismatchError, match="sto-6g"):
        predictor.model.basis.require_same(orbital_basis("sto-6g", [1, 8]), [1, 8])


def test_unknown_model_name_lists_what_there_is() -> None:
    with pytest.raises(CheckpointError, match="bundled models"):
        model_folder("no such model")


def test_device_that_does_not_exist_is_an_error_of_the_user(fixtures_dir: Path) -> None:
    for device in ("nonsense", "cuda:99"):
        with pytest.raises(ConfigError, match=f"The device '{device}' cannot be used"):
            load_model(fixtures_dir / "model_v1", device=device)


def test_something_else_than_structures_is_named(predictor: Predictor) -> None:
    for value in (None, [None], 3):
        with pytest.raises(TypeError, match="Expected a Structure"):
            predictor.predict(value)


def test_batches_in_threads_give_what_one_thread_gives(predictor: Predictor) -> None:
    """Several structures are shared among the cores; afterwards torch has as many threads as before."""
    import torch

    structures = [water(k) for k in range(5)]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        shared = predictor.predict(structures)
        assert torch.get_num_threads() == 3
        torch.set_num_threads(1)
        alone = predictor.predict(structures)
    finally:
        torch.set_num_threads(before)
    assert [p.structure for p in shared] == structures
    for one, other in zip(shared, alone, strict=True):
        np.testing.assert_allclose(one.hamiltonian.values, other.hamiltonian.values, atol=0.1 * MICRO)
        assert set(one.trust.to_dict()) == set(other.trust.to_dict())


@pytest.mark.parametrize("default", [torch.float64, torch.bfloat16])
def test_model_predicts_whatever_precision_is_torchs_default(
    predictor: Predictor, fixtures_dir: Path, default: torch.dtype
) -> None:
    """Other programs, such as MACE, leave another default behind."""
    expected = predictor.predict(water(9), trust=False).hamiltonian.values
    torch.set_default_dtype(default)
    try:
        values = load_model(fixtures_dir / "model_v1").predict(water(9), trust=False).hamiltonian.values
        assert torch.get_default_dtype() == default
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(values, expected)
