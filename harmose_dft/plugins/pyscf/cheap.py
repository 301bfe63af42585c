"""A cheap Fock operator beside that of a mean-field object of PySCF, and where one is worth its price.

The functional and the basis are the same; Coulomb and exchange integrals are density-fitted, the integration grid is
coarse, and non-local correlation is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...adapters.pyscf.known_names import library_basis
from ...core.errors import HarmoseError
from .kinds import Integrator, MeanField, Potential

if TYPE_CHECKING:
    from pyscf.dft.gen_grid import Grids

COARSE_LEVEL, MORE_SHELLS, COARSE_ANGLES = 0, 5, 110
"""The coarse grid has so many radial shells more than PySCF's level 0, and so many points on each. Its response is four
times closer to that of the level-3 grid than that of level 0, at 1.6 times the points, and saves a full Fock build
(commit ec5d0ec, whose measurement is not on record)."""

LEAST_COARSENED_LEVEL = 3
"""Grids of this level on may be one level coarser in the first full build. Level 1 in the place of 3 costs a fourth
(journal/results.md, "The first full Fock build on a coarser grid")."""

LIGHT, LIGHT_FITTING, HEAVY_FITTING = 10, "weigend", "def2-universal-jkfit"
"""Auxiliary bases. Up to neon that for correlation of a named orbital basis, or for Coulomb integrals, is enough: it
has less than half of the functions of those for exchange, and the correction between the operators makes up for what it
lacks. From sodium on, it lacks what the cores need: with it a start of a chlorine compound looks ten times worse
(commit ec5d0ec, whose measurement is not on record)."""

SHARED_UP_TO = 1.5
"""Fitting integrals of the calculation itself serve the cheap operator, too, if not larger by that factor; chosen, not
measured."""

LEAST_GRID_RATIO = 3.0
"""The full grid has to be that much larger than the coarse one, where only the grid can be saved; chosen, not
measured."""

ORDINARY = frozenset({"hf", "uhf", "rohf", "rks", "uks", "roks", "hf_symm", "rks_symm", "uks_symm", "uhf_symm"})
"""Modules of PySCF whose effective potential is that of the molecule alone, and whose SCF is the ordinary loop."""


LARGEST_KEPT_MB = 500.0
"""Memory that the values of the orbitals on the coarse grid may take; chosen, not measured."""


class CheapPotential:
    """Effective potential of density fitting on a coarse grid, with the integrals and grids of one geometry.

    Args:
        mf: A mean-field object for which :func:`reason_against` is empty.

    Attributes:
        builds: How many potentials were built.
    """

    def __init__(self, mf: MeanField) -> None:
        self.mol, self.builds = mf.mol, 0
        self.builder = _builder(mf)

    def __call__(self, density: NDArray[np.float64]) -> Potential:
        """The potential, (ao, ao), or (2, ao, ao) where the density is; tagged as PySCF's own."""
        self.builds += 1
        return self.builder.get_veff(self.mol, density)


def _builder(mf: MeanField) -> MeanField:
    """A bare mean-field object of the same functional that is density-fitted on a coarse grid."""
    from pyscf import dft, scf

    kohn_sham, spins = is_kohn_sham(mf), is_spin_polarised(mf)
    if kohn_sham:
        new = dft.uks.UKS(mf.mol, xc=mf.xc) if spins else dft.rks.RKS(mf.mol, xc=mf.xc)
        new._numint, new.nlc = _keep_orbital_values(mf._numint), 0
        new.grids = _coarse_grids(mf.mol)
    else:
        new = scf.uhf.UHF(mf.mol) if spins else scf.hf.RHF(mf.mol)
    new.verbose, new.stdout, new.max_memory = 0, mf.stdout, mf.max_memory
    auxiliary = _fitting_basis(mf.mol)
    fitted = _shared_integrals(mf, auxiliary)
    new = new.density_fit(None if fitted else auxiliary, with_df=fitted)
    if new.with_df._cderi is None:
        new.with_df.build()
    return new


def _coarse_grids(mol: Any) -> Grids:
    """The coarse integration grid of a molecule, not built yet."""
    from pyscf import dft, gto
    from pyscf.data import elements

    grids = dft.gen_grid.Grids(mol)
    grids.level, grids.verbose = COARSE_LEVEL, 0
    symbols = {mol.atom_symbol(i) for i in range(mol.natm)}
    charges = {s: elements.charge(gto.mole._std_symbol_without_ghost(s)) for s in symbols}
    grids.atom_grid = {
        s: (int(dft.gen_grid._default_rad(charge, COARSE_LEVEL)) + MORE_SHELLS, COARSE_ANGLES)
        for s, charge in charges.items()
    }
    return grids


def keep_integrals(mf: MeanField) -> None:
    """Calculate the four-centre integrals that PySCF would keep, before the cheap operator takes some of the memory.

    Otherwise, with little to spare, PySCF would calculate them again in every full build.
    """
    fitted = getattr(mf, "with_df", None) is not None
    if mf._eri is None and not fitted and (mf.mol.incore_anyway or mf._is_mem_enough()):
        mf._eri = mf.mol.intor("int2e", aosym="s8")


def coarser_grids(mf: MeanField) -> Grids | None:
    """An integration grid one level coarser than that of a calculation.

    None where the level is below :data:`LEAST_COARSENED_LEVEL` or the user made the grid, and where integrals that are
    calculated again in every full build make grids cheap beside them.
    """
    from pyscf import dft

    grids: Any = getattr(mf, "grids", None)
    if type(grids) is not dft.gen_grid.Grids or grids.atom_grid or _integrates_every_time(mf):
        return None
    if not isinstance(grids.level, int) or grids.level < LEAST_COARSENED_LEVEL:
        return None
    return grids.copy().set(level=grids.level - 1).reset()


def _fitting_basis(mol: Any) -> dict[str, str] | None:
    """A small auxiliary basis, the name for each symbol; None for PySCF's own choice, where an element has none."""
    from pyscf import df, gto
    from pyscf.data import elements

    named = df.addons.predefined_auxbasis(mol, mol.basis, mp2fit=True) if isinstance(mol.basis, str) else None
    light = [name for name in (named, LIGHT_FITTING) if name]
    fitting = {}
    for symbol in {mol.atom_symbol(i) for i in range(mol.natm)}:
        element = gto.mole._std_symbol_without_ghost(symbol)
        candidates = light if elements.charge(element) <= LIGHT else [HEAVY_FITTING]
        name = next((c for c in candidates if _has_element(c, element)), None)
        if name is None:
            return None
        fitting[symbol] = name
    return fitting


def _has_element(name: str, element: str) -> bool:
    """Whether a basis of PySCF's library has functions of an element."""
    try:
        library_basis(name, element)
    except HarmoseError:
        return False
    return True


def _shared_integrals(mf: MeanField, auxiliary: dict[str, str] | None) -> Any:
    """Fitting integrals that the object has already, unless they are of many more functions than ``auxiliary``."""
    from pyscf import df

    fitted = getattr(mf, "with_df", None)
    if fitted is None or auxiliary is None:
        return fitted
    small = df.addons.make_auxmol(mf.mol, auxiliary).nao
    return fitted if fitted.get_naoaux() < SHARED_UP_TO * small else None


def _keep_orbital_values(numint: Integrator) -> Integrator:
    """A copy of a numerical integrator of PySCF that keeps the values of the orbitals on its one grid."""
    new, kept = numint.copy(), {}

    def block_loop(mol: Any, grids: Any, nao: int | None = None, deriv: int = 0, **options: Any) -> Iterator[Any]:
        derivatives = (deriv + 1) * (deriv + 2) * (deriv + 3) // 6
        if len(grids.weights) * mol.nao * derivatives * 8e-6 > LARGEST_KEPT_MB:
            yield from numint.block_loop(mol, grids, nao, deriv, **options)
            return
        if deriv not in kept:
            kept[deriv] = [
                (np.copy(values, order="K"), *others)
                for values, *others in numint.block_loop(mol, grids, nao, deriv, **options)
            ]
        yield from kept[deriv]

    new.block_loop = block_loop
    return new


def is_kohn_sham(mf: MeanField) -> bool:
    """Whether a mean-field object has a density functional and a grid."""
    from pyscf import scf

    return isinstance(mf, scf.hf.KohnShamDFT)


def is_spin_polarised(mf: MeanField) -> bool:
    """Whether a mean-field object's density matrices are (2, ao, ao)."""
    from pyscf import scf

    return isinstance(mf, scf.uhf.UHF | scf.rohf.ROHF)


def reason_against(mf: MeanField, mixin: type) -> str:
    """Why an SCF should run as PySCF does; empty where a cheap Fock operator pays.

    Args:
        mf: A mean-field object with ``mixin`` among its classes.
        mixin: The class that is not PySCF's own.
    """
    if (reason := _unknown_method(mf, mixin)) or (reason := _special_iteration(mf)):
        return reason
    return _no_gain(mf)


def _unknown_method(mf: MeanField, mixin: type) -> str:
    """Names what the cheap operator does not describe."""
    from pyscf import scf

    if hasattr(mf, "cell"):
        return "crystals are not accelerated"
    if not isinstance(mf, scf.hf.RHF | scf.uhf.UHF | scf.rohf.ROHF):
        return "only restricted, unrestricted and restricted open-shell SCFs are accelerated"
    if mf.mol.natm == 0 or mf.mol.nelectron == 0:
        return "there are no atoms or no electrons"
    for name in ("get_veff", "get_fock", "scf", "kernel"):
        if name in mf.__dict__:
            return f"{name} is replaced by a function of the user's"
        owner = next(c for c in type(mf).__mro__ if name in c.__dict__ and c is not mixin)
        package, _, module = owner.__module__.rpartition(".")
        if package not in ("pyscf.scf", "pyscf.dft") or module not in ORDINARY or _is_one_electron(owner):
            return f"{owner.__name__} has {name} of its own"
    return ""


def _is_one_electron(owner: type) -> bool:
    return owner.__name__.startswith("HF1e")


def _special_iteration(mf: MeanField) -> str:
    """Names settings of the iteration that the user chose and that acceleration would change."""
    from pyscf import scf

    if mf.max_cycle <= 0:
        return "no SCF cycle is asked for"
    if not mf.diis or (mf.diis is not True and mf.diis != 1):
        return "mf.diis is set"
    if mf.DIIS is not scf.diis.CDIIS:
        return f"{mf.DIIS.__name__} is asked for"
    if np.any(np.abs(mf.level_shift) > 0):
        return "a level shift is asked for"
    if np.any(np.abs(mf.damp) > 0) or mf.diis_start_cycle > 1 or mf.diis_file:
        return "damping, a later start of DIIS or a DIIS file is asked for"
    return ""


def _no_gain(mf: MeanField) -> str:
    """Says where full Fock builds cost no more than cheap ones."""
    if _integrates_every_time(mf):
        return ""
    if not is_kohn_sham(mf) or mf._numint._xc_type(mf.xc) == "HF":
        return "with the integrals in memory or fitted already, the full Fock builds are cheap"
    if mf.grids.coords is None and not mf.grids.atom_grid and mf.grids.level > COARSE_LEVEL + 1:
        return ""
    if mf.grids.coords is None:
        mf.grids.build(with_non0tab=True)
    if len(mf.grids.weights) < LEAST_GRID_RATIO * len(_coarse_grids(mf.mol).build().weights):
        return "the integration grid is coarse already"
    return ""


def _integrates_every_time(mf: MeanField) -> bool:
    """Whether every full Fock build calculates the four-centre integrals again."""
    if getattr(mf, "with_df", None) is not None or mf._eri is not None or mf.mol.incore_anyway:
        return False
    return not mf._is_mem_enough()


def spin_density(mf: MeanField, density: NDArray[np.float64]) -> NDArray[np.float64]:
    """A density matrix with the number of axes that the mean-field object uses, its tags kept where it fits."""
    if is_spin_polarised(mf) and np.ndim(density) == 2:
        return cast("NDArray[np.float64]", np.asarray([density * 0.5] * 2))
    return density
