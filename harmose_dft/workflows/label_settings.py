"""How structures are labelled: functional, basis, grid, recipe."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from ..core.errors import ConfigError
from ..core.record import Record
from ..core.structure import Structure

ACCELERATED = "accelerated"
"""The recipe that is not the adapter's: it needs a model."""

CRYSTALS = "full"
"""The recipe of crystals."""


@dataclass(frozen=True)
class LabelSettings:
    """How structures are calculated; one data set has one.

    Args:
        xc: PySCF's name of the functional.
        basis: PySCF's name of the basis.
        grid_level: Integration grid of the stored matrices, 0 to 9.
        recipe: "full", "staged" or "corrected", see :func:`harmose_dft.adapters.pyscf.reference`; or "accelerated",
            see :func:`harmose_dft.plugins.pyscf.reference_from_prediction`.
        kpoint_spacing: Of crystals, 1/Bohr, see :func:`harmose_dft.adapters.pyscf.reference_crystal`.
        ke_cutoff: Of crystals with pseudopotentials, Hartree.
    """

    xc: str = "b3lyp"
    basis: str = "def2-svp"
    grid_level: int = 3
    recipe: str = "full"
    kpoint_spacing: float | None = None
    ke_cutoff: float | None = None

    def texts(self) -> dict[str, str]:
        """The settings as text, as files keep them; those that are left to the program have none."""
        return {key: str(value) for key, value in asdict(self).items() if value is not None}

    def require_applicable(self, structure: Structure) -> None:
        """Refuse settings that do nothing for a molecule, or for a crystal.

        Raises:
            ConfigError: With the setting to leave out.
        """
        if structure.periodic and self.recipe != CRYSTALS:
            raise ConfigError(
                f"The recipe {self.recipe!r} is for molecules, and {structure.formula} is a crystal. Crystals have "
                f"the recipe {CRYSTALS!r} only; leave --recipe out."
            )
        if structure.periodic and self.grid_level != LabelSettings.grid_level:
            raise ConfigError(
                f"The grid level {self.grid_level} is for molecules, and {structure.formula} is a crystal, whose grid "
                "--ke-cutoff decides. Leave --grid-level out."
            )
        for_crystals = {"--kpoint-spacing": self.kpoint_spacing, "--ke-cutoff": self.ke_cutoff}
        given = [option for option, value in for_crystals.items() if value is not None]
        if given and not structure.periodic:
            raise ConfigError(
                f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} for crystals, and {structure.formula} has "
                "no cell. Leave it out, or give the cell in the structure file."
            )

    def calculate(self, structure: Structure) -> Record:
        """The calculation of a molecule or a crystal.

        Raises:
            ConfigError: A setting does nothing for such a structure.
        """
        from ..adapters.pyscf import KPOINT_SPACING, reference, reference_crystal

        self.require_applicable(structure)
        if structure.periodic:
            spacing = self.kpoint_spacing or KPOINT_SPACING
            return reference_crystal(structure, self.xc, self.basis, spacing=spacing, ke_cutoff=self.ke_cutoff)
        if self.recipe == ACCELERATED:
            from ..plugins.pyscf import reference_from_prediction

            return reference_from_prediction(structure, self.xc, self.basis, grid_level=self.grid_level)
        return reference(structure, self.xc, self.basis, grid_level=self.grid_level, recipe=self.recipe)
