"""Structures that are periodic in some directions only, as ASE's atoms and as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, graphene
from ase.io import write

from harmose_dft.adapters.periodicity import SMALLEST_VACUUM
from harmose_dft.adapters.structures import from_ase, read_structures
from harmose_dft.core.errors import StructureError

RIBBON = '2\nLattice="2.46 0 0 -1.23 2.13042 0 0 0 20" pbc="T F F"\nC 0 0 10\nC 0 1.42028 10\n'


def test_ribbon_whose_images_touch_is_refused_with_the_direction_and_the_gap(tmp_path: Path) -> None:
    """Two atoms 1.42 Angstrom apart along b, which is 2.13 high; c leaves 20 Angstrom."""
    (tmp_path / "ribbon.xyz").write_text(RIBBON)
    with pytest.raises(StructureError, match=r"ribbon\.xyz.*not periodic along b \(.*T F F.*vacuum of 0\.71 Angstrom"):
        read_structures(tmp_path / "ribbon.xyz")


def test_atoms_in_python_are_refused_with_every_narrow_direction() -> None:
    atoms = Atoms("C2", [[0, 0, 0], [0, 0, 1.4]], cell=[2.5, 5, 4], pbc=(True, False, False))
    with pytest.raises(StructureError, match=r"along b and c .* 5\.00 and 2\.60 .*vacuum=10, axis=\(1, 2\)\)"):
        from_ase(atoms)


def test_advice_of_the_message_makes_the_structure_good() -> None:
    atoms = graphene(vacuum=2.0)
    with pytest.raises(StructureError, match=r"vacuum of 4\.00 Angstrom.*atoms\.center\(vacuum=10, axis=2\)"):
        from_ase(atoms)
    again = atoms.copy()
    atoms.center(vacuum=10, axis=2)
    assert from_ase(atoms).periodic
    again.pbc = True
    assert from_ase(again).periodic


def test_vacuum_is_measured_across_the_layer_however_its_vector_is_tilted() -> None:
    atoms = graphene(vacuum=0.6 * SMALLEST_VACUUM)
    atoms.cell[2] += 3 * atoms.cell[0]
    assert from_ase(atoms).periodic
    atoms.cell[2, 2] = 0.9 * SMALLEST_VACUUM
    with pytest.raises(StructureError, match="along c"):
        from_ase(atoms)


@pytest.mark.parametrize("name", ["a.extxyz", "a.traj"])
def test_layer_in_wide_vacuum_is_read_as_it_was(name: str, tmp_path: Path) -> None:
    atoms = graphene(vacuum=8.0)
    write(tmp_path / name, atoms)
    (structure,) = read_structures(tmp_path / name)
    assert structure.cell is not None
    np.testing.assert_allclose(structure.cell[2, 2] / structure.cell[0, 0], 16.0 / 2.46, rtol=1e-6)


def test_lattice_vector_of_zero_is_refused_with_the_call_that_makes_one() -> None:
    atoms = graphene()
    with pytest.raises(StructureError, match=r"lattice vector c of C2 is zero.*atoms\.center\(vacuum=10, axis=2\)"):
        from_ase(atoms)
    atoms.center(vacuum=10, axis=2)
    assert from_ase(atoms).periodic


def test_periodic_atoms_without_a_cell_are_told_to_be_a_molecule() -> None:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], pbc=True)
    with pytest.raises(StructureError, match=r"periodic \(pbc=\"T T T\"\), but has no cell.*atoms\.pbc = False"):
        from_ase(atoms)


@pytest.mark.parametrize(("numbers", "position", "message"), [
    ([99999999999], 0.0, "Atomic numbers must lie in"), ([6], np.nan, "not a finite number"), ([], 0.0, "at least one"),
])
def test_atoms_that_are_none_are_refused_for_that_reason(numbers: list[int], position: float, message: str) -> None:
    atoms = Atoms(numbers=numbers, positions=np.full((len(numbers), 3), position), cell=[5, 5, 5], pbc=(1, 1, 0))
    with pytest.raises(StructureError, match=message):
        from_ase(atoms)


def test_cell_of_a_molecule_is_remembered_for_messages_only() -> None:
    box = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]], cell=[5, 5, 5])
    assert (from_ase(box).periodic, from_ase(box).unused_cell) == (False, True)
    assert not from_ase(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])).unused_cell
    assert not from_ase(graphene(vacuum=8)).unused_cell


def test_cell_without_volume_is_told_what_to_check() -> None:
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    atoms.set_cell([[3, 0, 0], [0, 3, 0], [3, 3, 0]])
    with pytest.raises(StructureError, match=r"linearly dependent.*Check"):
        from_ase(atoms)
