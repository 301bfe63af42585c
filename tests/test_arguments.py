"""Arguments that make no sense are refused in Python as on the command line, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import harmose_dft
from harmose_dft.core.arguments import require_count
from harmose_dft.core.errors import ArgumentError, HarmoseError
from harmose_dft.solver import Filling, fermi_level, mesh, solve_structure
from harmose_dft.solver.kpaths import k_path
from harmose_dft.testing.crystals import calculation, layer
from harmose_dft.testing.models import water_record, write_waters

CRYSTAL = calculation(layer())
WATER = water_record(0)


@pytest.mark.parametrize("value", [0, -3, 2.5, "4", float("nan")])
def test_counts_are_whole_and_positive(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"^The number of cups is a whole number of at least 1; got "):
        require_count("The number of cups", value)  # type: ignore[arg-type]
    require_count("The number of cups", np.int64(2), 2)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: harmose_dft.bands(CRYSTAL, kpath="GMKG", points=0), r"k-points along a path .*at least 2; got 0"),
        (lambda: k_path(layer(), "GMKG", points=-5), r"at least 2; got -5"),
        (lambda: harmose_dft.bands(CRYSTAL, kpath="GMKG", states=0), r"states around the Fermi level .*got 0"),
        (lambda: harmose_dft.evaluate("organic", [WATER], limit=0), r"number of records \(limit\).*got 0"),
        (lambda: harmose_dft.label(["nowhere.xyz"], "out.h5", jobs=0), r"number of processes \(jobs\).*got 0"),
        *((lambda s=s: mesh(layer(), CRYSTAL.overlap, s), "make no mesh; expected a spacing of at least 0.005")
          for s in (0.0, -0.1, 1e-9, float("nan"), float("inf"))),
        (lambda: solve_structure(layer(), CRYSTAL.hamiltonian, CRYSTAL.overlap, 8.0, Filling(width=float("nan"))),
         "width of nan Ha makes no sense"),
        (lambda: harmose_dft.solve(layer(), CRYSTAL.hamiltonian, CRYSTAL.overlap, float("nan")), "expected a finite"),
        (lambda: harmose_dft.solve(WATER.structure, WATER.hamiltonian, WATER.overlap, float("inf")), "finite number"),
        (lambda: harmose_dft.solve(WATER.structure, WATER.hamiltonian, WATER.overlap, 9.6), "9.6 electrons .* whole"),
        (lambda: fermi_level(np.zeros((1, 2)), np.ones(1), 1.0, smearing="gaussian", width=float("inf")), "no sense"),
    ],
)  # fmt: skip
def test_arguments_without_sense_are_refused_in_a_sentence(call: Callable[[], object], message: str) -> None:
    with pytest.raises(HarmoseError, match=message):
        call()


def test_one_path_is_a_list_of_one(tmp_path: Path) -> None:
    """A text is a sequence, too, of letters."""
    data = write_waters(tmp_path / "waters.h5", [0])
    for path in (data, str(data)):
        (converted,) = harmose_dft.convert(path)
        assert converted.formula == "H2O"
