"""Pictures are files of the right kind with the right content, and refuse what cannot be drawn."""

from __future__ import annotations

import builtins
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harmose_dft.core.errors import HarmoseError, OutputExistsError, SolverError
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.core.structure import Structure
from harmose_dft.plots import LevelColumn, draw_orbital, plot_bands, plot_levels
from harmose_dft.plots.levels import group_degenerate
from harmose_dft.solver.band_structure import BandStructure
from harmose_dft.solver.kpaths import KPath
from harmose_dft.testing.molecules import hartree_fock, structure_of

PNG = b"\x89PNG"


def levels(*energies: float) -> Spectrum:
    """A spectrum whose lower half is filled."""
    n = len(energies)
    return Spectrum(np.array(energies), np.eye(n), np.repeat([2.0, 0.0], [n - n // 2, n // 2]))


def test_levels_within_the_tolerance_share_a_group() -> None:
    groups = group_degenerate(np.array([-9.0, -5.0, -4.99, -4.98, 1.0]))
    assert [g.tolist() for g in groups] == [[0], [1, 2, 3], [4]]


def test_level_diagram_with_reference_and_picture_is_written(tmp_path: Path) -> None:
    path = tmp_path / "levels.png"
    columns = [LevelColumn("model", levels(-0.6, -0.3, 0.1)), LevelColumn("PySCF", levels(-0.61, -0.31, 0.12))]
    plot_levels(columns, path, title="water", pictures=[("HOMO", np.ones((4, 4, 4)))], connect=True)
    assert path.read_bytes().startswith(PNG)


def test_level_diagram_labels_the_frontier_orbitals_in_ev(tmp_path: Path) -> None:
    """-0.3 and 0.1 Hartree are -8.16 and 2.72 eV (27.2114 eV per Hartree), 10.88 eV apart."""
    path = tmp_path / "levels.svg"
    import matplotlib as mpl

    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_levels([LevelColumn("model", levels(-0.6, -0.3, 0.1))], path)
    text = path.read_text()
    for label in ("HOMO −8.16", "LUMO 2.72", "10.88 eV", "model"):
        assert label in text


def test_atom_without_empty_orbitals_is_drawn(tmp_path: Path) -> None:
    plot_levels([LevelColumn("H", levels(-0.5))], tmp_path / "one.png")
    assert (tmp_path / "one.png").exists()


def band_structure(energies: np.ndarray, label: str, *, points: int = 20) -> BandStructure:
    """Bands of a made-up crystal from Gamma to M."""
    path = KPath(np.zeros((points, 3)), np.linspace(0, 1, points), ((0.0, "G"), (1.0, "M")))
    crystal = Structure(np.array([1]), np.zeros((1, 3)), np.eye(3))
    return BandStructure(crystal, path, energies, 0.0, (0.0, 0.0), 1.0, 2, label)


def test_bands_are_drawn_over_their_reference(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 20)
    energies = np.stack([-np.cos(x), np.cos(x)], axis=1)[None] * 0.1
    path = tmp_path / "bands.png"
    model = band_structure(energies, "model")
    plot_bands(model, path, reference=band_structure(energies, "DFT"))
    assert path.read_bytes().startswith(PNG)
    plot_bands(band_structure(np.concatenate([energies, energies + 0.01]), "model"), path, force=True)
    with pytest.raises(HarmoseError, match="DFT have 19 k-points; the path has 20"):
        plot_bands(model, tmp_path / "b.png", reference=band_structure(energies[:, 1:], "DFT", points=19))


def test_bands_are_labelled_by_spin(tmp_path: Path) -> None:
    """The legend has one entry for each spin."""
    import matplotlib as mpl

    path = tmp_path / "bands.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_bands(band_structure(np.zeros((2, 20, 1)), "model"), path, title="H")
    text = path.read_text()
    for label in ("model up", "model down", "Γ", "M", "energy relative to the Fermi level (eV)"):
        assert label in text


@pytest.mark.parametrize("shape", [(20, 2), (1, 19, 2)])
def test_bands_that_are_not_of_their_path_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SolverError, match="20 k-points; got"):
        band_structure(np.zeros(shape), "model")


def test_picture_of_a_pi_orbital_shows_both_signs_and_the_atoms() -> None:
    """Water's HOMO is oxygen's out-of-plane p orbital: two lobes of equal area, blue and red, seen edge-on."""
    water = structure_of()
    basis, _, _, spectrum, _ = hartree_fock(water)
    image = draw_orbital(water, basis, spectrum.coefficients[:, 4], tilt=(-90.0, 0.0), pixels_per_bohr=8)
    assert image.shape[2] == 4
    assert image.min() >= 0.0
    assert image.max() <= 1.0
    opaque = image[..., 3] > 0.5
    blue = opaque & (image[..., 2] > image[..., 0] + 0.2)
    red = opaque & (image[..., 0] > image[..., 2] + 0.2)
    assert blue.sum() > 100
    assert abs(blue.sum() - red.sum()) < 0.3 * blue.sum()


def test_existing_picture_is_kept_and_unknown_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "levels.png"
    path.write_text("precious")
    with pytest.raises(OutputExistsError):
        plot_levels([LevelColumn("model", levels(-0.6, 0.1))], path)
    assert path.read_text() == "precious"
    with pytest.raises(HarmoseError, match=r"png, pdf, svg"):
        plot_levels([LevelColumn("model", levels(-0.6, 0.1))], tmp_path / "levels.doc")
    with pytest.raises(HarmoseError, match="at least one molecule"):
        plot_levels([], tmp_path / "none.png")


def test_missing_matplotlib_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without_matplotlib(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(HarmoseError, match=r"pip install 'harmose-dft\[plot\]'"):
        plot_levels([LevelColumn("model", levels(-0.6, 0.1))], tmp_path / "levels.png")


def test_zero_of_a_band_plot_is_the_top_of_the_valence_bands_where_there_is_a_gap(tmp_path: Path) -> None:
    """The Fermi level lies 0.05 Hartree above the highest full band; a metal keeps it as zero."""
    energies = np.stack([np.linspace(-0.3, -0.05, 20), np.linspace(0.2, 0.1, 20)], axis=1)[None]
    metal = band_structure(energies, "model")
    insulator = replace(metal, gaps=(0.15, 0.15))
    assert metal.zero == 0.0
    assert insulator.zero == pytest.approx(-0.05)
    import matplotlib as mpl

    path = tmp_path / "bands.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        plot_bands(insulator, path)
    text = path.read_text()
    assert "energy relative to the valence-band maximum (eV)" in text
    assert "model" in text
