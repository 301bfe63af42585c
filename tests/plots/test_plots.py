"""Pictures are files of the right kind with the right content, and refuse what cannot be drawn."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_molecules import hartree_fock, structure_of

from harmose_dft.core.errors import HarmoseError, OutputExistsError
from harmose_dft.core.spectrum import Spectrum
from harmose_dft.plots import BandCurves, LevelColumn, orbital_picture, plot_bands, plot_levels
from harmose_dft.plots.levels import degenerate_groups

PNG = b"\x89PNG"


def levels(*energies: float) -> Spectrum:
    """A spectrum whose lower half is filled."""
    n = len(energies)
    return Spectrum(np.array(energies), np.eye(n), np.repeat([2.0, 0.0], [n - n // 2, n // 2]))


def test_levels_within_the_tolerance_share_a_group() -> None:
    groups = degenerate_groups(np.array([-9.0, -5.0, -4.99, -4.98, 1.0]))
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


def test_bands_are_drawn_over_their_reference(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 20)
    energies = np.stack([-np.cos(x), np.cos(x)], axis=1) * 0.1
    path = tmp_path / "bands.png"
    ticks = [(0.0, "G"), (1.0, "M")]
    plot_bands(x, ticks, BandCurves("model", energies, 0.0), path, reference=BandCurves("DFT", energies, 0.0))
    assert path.read_bytes().startswith(PNG)
    spins = BandCurves("model", np.stack([energies, energies + 0.01]), 0.0)
    plot_bands(x, ticks, spins, path, force=True)
    with pytest.raises(HarmoseError, match="20 k-points; the path has 19"):
        plot_bands(x[:-1], ticks, BandCurves("model", energies, 0.0), tmp_path / "b.png")
    with pytest.raises(HarmoseError, match="shape"):
        BandCurves("model", np.zeros(3), 0.0)


def test_picture_of_a_pi_orbital_shows_both_signs_and_the_atoms() -> None:
    """Water's HOMO is oxygen's out-of-plane p orbital: two lobes of equal area, blue and red, seen edge-on."""
    water = structure_of()
    basis, _, _, spectrum, _ = hartree_fock(water)
    image = orbital_picture(water, basis, spectrum.coefficients[:, 4], tilt=(-90.0, 0.0), pixels_per_bohr=8)
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
