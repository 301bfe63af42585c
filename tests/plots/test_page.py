"""The page of a report: it draws in a browser, needs no network, and runs nothing that came from a file."""

from __future__ import annotations

import importlib.util
import json
import re
import tracemalloc
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from browser import open_page

from harmose_dft.core.errors import HarmoseError, OutputExistsError
from harmose_dft.core.structure import Structure
from harmose_dft.plots import LevelColumn
from harmose_dft.plots.page import (
    BandsView,
    Check,
    Fact,
    Level,
    OrbitalView,
    Report,
    TrustView,
    render_page,
    write_page,
)
from harmose_dft.plots.page.scenes import bonded_axes, bonds, repeat_for_view
from harmose_dft.plots.page.surfaces import find_isovalue, orbital_surfaces, tube, unit_sphere
from harmose_dft.solver.band_structure import BandStructure
from harmose_dft.solver.kpaths import KPath
from harmose_dft.testing.crystals import BASIS, layer
from harmose_dft.testing.molecules import hartree_fock, structure_of

HOSTILE = '<script>document.title="run"</script><img src=x onerror="console.error(1)">{{ 7*7 }}\x1b[2J'
"""A name that would do something on a page that trusted it."""


@cache
def water_report(title: str = "water.xyz") -> Report:
    """Water by Hartree-Fock/def2-SVP, as if a model had predicted it."""
    water = structure_of()
    basis, _, _, spectrum, _ = hartree_fock(water)
    homo, lumo = 4, 5
    orbitals = tuple(
        OrbitalView(name, float(spectrum.energies[n]), float(spectrum.occupations[n]), spectrum.coefficients[:, n])
        for name, n in (("HOMO", homo), ("LUMO", lumo))
    )
    return Report(
        title=title,
        level_of_theory=f"hf/def2-svp by {title}",
        structure=water,
        basis=basis,
        facts=(Fact("HOMO", "−13.5 eV", "0.010"),),
        trust=TrustView(Level.CAREFUL, f"careful: {title}", (Check(Level.BAD, "electrons", title),), 0.95),
        orbitals=orbitals,
        columns=(LevelColumn(title, spectrum), LevelColumn("PySCF", spectrum)),
        level_errors={"HOMO": 0.02, "LUMO": 0.03},
        charges={"Löwdin": np.array([-0.4, 0.2, 0.2])},
        dipole=np.array([0.0, 0.0, -0.8]),
        comparison=(("HOMO (eV)", "−13.5", "−13.4", "−0.1"),),
        reference=title,
        provenance=(Fact("model", title),),
        citation="A paper,",
        doi="10.1/1",
    )


def crystal_report() -> Report:
    """A boron nitride layer with made-up bands."""
    path = KPath(np.zeros((20, 3)), np.linspace(0, 1, 20), ((0.0, "G"), (1.0, "M")))
    energies = np.stack([-0.1 - 0.1 * path.distances, 0.1 + 0.1 * path.distances], axis=1)[None]
    bands = BandStructure(layer(), path, energies, 0.0, (0.2, 0.2), 2.0, 2, "a model")
    return replace(
        water_report(), structure=layer(), basis=BASIS, orbitals=(), columns=(), dipole=None, charges={},
        bands=BandsView(bands, reference=replace(bands, label="DFT")),
    )


def test_orbitals_levels_and_charges_are_drawn_without_a_word_on_the_console(tmp_path: Path) -> None:
    """Lobes of both colours, the levels' blue and orange, and the verdict's ochre are on the picture."""
    page = tmp_path / "page.html"
    write_page(page, water_report())
    image, console = open_page(page, tmp_path / "page.png", height=1900)
    assert console == []
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    lobes = image[700:1300]
    is_blue, is_orange = lobes[..., 2] > lobes[..., 0] + 0.3, lobes[..., 0] > lobes[..., 2] + 0.3
    assert is_blue.sum() > 5000
    assert is_orange.sum() > 5000
    below = image[1300:]
    assert (below[..., 2] > below[..., 0] + 0.4).sum() > 500
    ochre = (abs(red - 0.69) < 0.02) & (abs(green - 0.478) < 0.02) & (abs(blue - 0.063) < 0.02)
    assert ochre.sum() > 5000


def test_bands_and_the_layer_are_drawn(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    write_page(page, crystal_report())
    image, console = open_page(page, tmp_path / "page.png", height=1800)
    assert console == []
    assert (image[..., 2] > image[..., 0] + 0.4).sum() > 3000


def test_console_of_a_page_with_an_error_is_seen(tmp_path: Path) -> None:
    """The other tests rest on this one: what a page's script reports arrives."""
    page = tmp_path / "bad.html"
    page.write_text("<!DOCTYPE html><body><script>console.error('seen')</script>")
    _, console = open_page(page, tmp_path / "bad.png", height=200)
    assert len(console) == 1
    assert "seen" in console[0]


def test_names_from_files_are_text_on_the_page_and_in_its_figures(tmp_path: Path) -> None:
    """Nothing of the hostile name runs: neither its script nor its image, whose errors would be on the console."""
    report = water_report(HOSTILE)
    text = render_page(report)
    assert "<script>document.title" not in text
    assert "<img src=x" not in text
    assert "{{ 7*7 }}" in text
    assert "\x1b" not in text
    page = tmp_path / "page.html"
    write_page(page, report)
    _, console = open_page(page, tmp_path / "page.png", height=900)
    assert console == []


def test_page_names_no_address_but_the_paper_and_allows_only_its_own_scripts() -> None:
    text = render_page(water_report())
    own = re.sub(r'<script type="text/plain" id="viewer">.*?</script>', "", text, flags=re.DOTALL)
    assert re.findall(r"https?://[^\"' ]+", own) == ["https://doi.org/10.1/1"]
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe-eval" not in policy[1]
    assert re.search(r"script-src 'sha256-\S+' 'sha256-\S+';", policy[1])


def test_page_is_below_five_megabytes_and_its_figures_are_json() -> None:
    text = render_page(water_report())
    assert len(text.encode()) < 5_000_000
    block = re.search(r'id="figures">(.*?)</script>', text, flags=re.DOTALL)
    assert block is not None
    assert set(json.loads(block[1])) == {"orbital-0", "orbital-1", "levels", "charges"}


def test_existing_page_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("precious")
    with pytest.raises(OutputExistsError):
        write_page(page, water_report())
    assert page.read_text() == "precious"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "plotly" else find_spec(name))
    with pytest.raises(HarmoseError, match=r"needs plotly, which is not installed.*harmose-dft\[report\]"):
        render_page(water_report())


def test_surface_holds_the_share_of_the_density_or_more() -> None:
    """A Gaussian exp(-r^2 / 2) on a grid: the points above the isovalue hold 70 % of the sum of psi^2."""
    x = np.linspace(-5, 5, 61)
    r2 = np.add.outer(np.add.outer(x**2, x**2), x**2)
    psi = 0.01 * np.exp(-r2 / 2)
    isovalue = find_isovalue(psi)
    share = (psi[psi >= isovalue] ** 2).sum() / (psi**2).sum()
    assert 0.7 <= share < 0.72
    assert find_isovalue(1e3 * psi) == 0.05


def test_lone_pair_of_water_has_two_surfaces_on_either_side_of_its_plane() -> None:
    """Water lies in the yz plane; its HOMO is oxygen's p_x orbital."""
    water = structure_of()
    basis, _, _, spectrum, _ = hartree_fock(water)
    isovalue, positive, negative = orbital_surfaces(water, basis, spectrum.coefficients[:, 4])
    assert isovalue == 0.05
    assert positive is not None
    assert negative is not None
    sides = sorted([positive.vertices[:, 0].mean(), negative.vertices[:, 0].mean()])
    assert sides[0] == pytest.approx(-sides[1], rel=0.02)
    assert sides[1] > 0.5


def test_spheres_and_tubes_are_closed_where_they_should_be() -> None:
    """Every edge of a sphere belongs to two triangles (Euler: V - E + F = 2); a tube is open at both ends (0)."""
    for mesh, euler in ((unit_sphere(), 2), (tube(np.zeros(3), np.array([0.0, 0.0, 2.0]), (1.0, 0.5)), 0)):
        edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert len(mesh.vertices) - len(np.unique(edges, axis=0)) + len(mesh.faces) == euler
    np.testing.assert_allclose(np.linalg.norm(unit_sphere().vertices, axis=1), 1.0)


def test_bonds_join_neighbours_within_covalent_radii() -> None:
    assert sorted(map(sorted, bonds(structure_of()))) == [[0, 1], [0, 2]]
    assert bonds(Structure(np.array([8]), np.zeros((1, 3)))) == []


def test_layer_is_repeated_in_its_plane_only() -> None:
    assert bonded_axes(layer()) == (True, True, False)
    repeated, labels = repeat_for_view(layer(), ["B1", "N2"], (True, True, False))
    assert len(repeated) == len(labels) == 32
    assert np.ptp(repeated.positions[:, 2]) == pytest.approx(0.0, abs=1e-12)


def test_bonds_across_a_large_cell_take_memory_in_proportion_to_its_atoms() -> None:
    """All pairs of 2048 atoms would take 100 MB (three coordinates of eight bytes)."""
    small = layer()
    assert small.cell is not None
    shifts = np.stack(np.meshgrid(np.arange(32), np.arange(32), [0]), axis=-1).reshape(-1, 3)
    positions = (small.positions[None] + (shifts @ small.cell)[:, None]).reshape(-1, 3)
    large = Structure(np.tile(small.numbers, len(shifts)), positions, small.cell * np.array([[32], [32], [1]]))
    tracemalloc.start()
    try:
        assert bonded_axes(large) == (True, True, False)
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
