"""PySCF's restricted Kohn-Sham object of a closed-shell molecule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.errors import HarmoseError, StructureError
from ...core.structure import Structure, format_charge
from .known_names import parsed_functional

if TYPE_CHECKING:
    from pyscf.dft.rks import RKS
    from pyscf.gto import Mole


def require_closed_shell(structure: Structure) -> None:
    """Refuse what restricted Kohn-Sham theory cannot describe.

    Raises:
        StructureError: The number of electrons is odd or not positive, or unpaired electrons are asked for.
    """
    electrons, name = structure.n_electrons, f"{structure.formula} with charge {format_charge(structure.charge)}"
    if electrons <= 0:
        raise StructureError(f"{name} has {electrons} electrons; expected two at least. Check the charge.")
    if electrons % 2:
        raise StructureError(
            f"{name} has an odd number of electrons ({electrons}). Only closed shells are supported. Give the "
            "charge of an ion, charge=-1 in the comment line of an xyz file, or --charge -1 where the command has that "
            "option, or look for missing hydrogen atoms."
        )
    if structure.spin:
        raise StructureError(
            f"{structure.formula} is given {structure.spin} unpaired electrons. Open shells (UKS, ROKS) are not "
            "supported; give spin 0 (multiplicity 1) if the ground state is a closed shell."
        )


def kohn_sham(mol: Mole, xc: str, grid_level: int = 3) -> RKS:
    """PySCF's restricted Kohn-Sham object.

    Args:
        mol: The molecule.
        xc: PySCF's name of the functional.
        grid_level: Integration grid, 0 (coarse) to 9 (fine).

    Raises:
        HarmoseError: PySCF does not know the functional or its dispersion energy, or the grid level does not exist.
    """
    from pyscf import dft

    if not 0 <= grid_level <= 9:
        raise HarmoseError(f"PySCF's integration grids have levels 0 to 9; got {grid_level}. 3 is the usual choice.")
    parsed_functional(xc)
    mf = dft.RKS(mol, xc=xc)
    mf.grids.level = grid_level
    try:
        mf.do_disp()
    except NotImplementedError as error:
        raise HarmoseError(
            f"PySCF does not have the dispersion energy of {xc}. It is no part of H: give the electronic functional by "
            "libxc's name, such as hyb_gga_xc_wb97x_d for wb97x-d."
        ) from error
    return mf
