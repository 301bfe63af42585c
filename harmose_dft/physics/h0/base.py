"""What every kind of H0 offers, its values in a training configuration, and the kinds that there are.

A new kind is one class in a file of its own in this folder: a subclass of :class:`GaussianH0` (molecules) or of
:class:`NumericalH0` (crystals) with a ``kind``. A kind that applies to both is two classes of the same ``kind``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator

from ...core.basis import OrbitalBasis
from ...core.discovery import discover
from ...core.errors import ConfigError, DataError
from ...core.matrix import BlockMatrix
from ...core.record import Record
from ...core.sections import MOST_COUNTED, Count, Section
from ...core.spin import Spin, recombine
from ...core.structure import SYMBOLS, Structure
from ..integrals.net_charge import net_charge_potential

PACKAGE = __name__.rpartition(".")[0]
"""The package that is scanned."""


class H0Settings(Section):
    """The section ``baseline`` of a training configuration; a kind with further values has a subclass.

    ``fit_structures`` is common to all kinds, so that a configuration keeps it when its kind changes.
    """

    kind: str = Field("fitted", description="what H0 is")
    fit_structures: Count = Field(
        80, ge=1, le=MOST_COUNTED, description="training structures the fitted potentials are fitted to"
    )

    @field_validator("kind")
    @classmethod
    def _is_a_kind(cls, kind: str) -> str:
        if kind not in h0_kinds():
            raise ValueError(f"Input should be one of {', '.join(h0_kinds())}")
        return kind

    def with_kind(self, kind: str) -> H0Settings:
        """The settings of another kind, with those values of this one that both kinds have."""
        settings = settings_of(kind)
        shared = self.model_dump(include=set(settings.model_fields))
        return settings.model_validate({**shared, "kind": kind})


class H0(ABC):
    """A cheap Hamiltonian, computed without a self-consistent field, that a model corrects.

    It is covariant to machine precision only if its integrals are analytic.

    Args:
        basis: Basis of the matrices.
        functional: Exchange-correlation functional of the data, for kinds that need one.
    """

    kind: ClassVar[str]
    """Name in ``baseline.kind`` of a configuration and in model.json."""

    orbitals: ClassVar[str]
    """The orbitals that it applies to, in words."""

    is_zero: ClassVar[bool] = False
    """Whether it vanishes, so that the model predicts the whole Hamiltonian."""

    Settings: ClassVar[type[H0Settings]] = H0Settings
    """Its values in a training configuration."""

    def __init__(self, basis: OrbitalBasis, functional: str = "") -> None:
        self.basis, self.functional = basis, functional

    @abstractmethod
    def __call__(self, structure: Structure) -> BlockMatrix:
        """H0 in Hartree on the pairs of S."""

    def spin_parts(self, structure: Structure) -> tuple[BlockMatrix, ...]:
        """Real matrices beside the spin-independent one in Hartree on the pairs of S; empty where H0 has none.

        Those of :func:`harmose_dft.core.spin.decompose`: three of spin-orbit coupling, one of collinear spin.
        """
        return ()

    def as_hamiltonian(self, structure: Structure, spin: Spin) -> tuple[BlockMatrix, ...]:
        """H0 in the shape of a Hamiltonian: one matrix, two (up, down), or one of spinors; Hartree."""
        h0, parts = self(structure), self.spin_parts(structure)
        if parts:
            return recombine([h0, *parts])
        return {"none": (h0,), "collinear": (h0, h0), "spin-orbit": (h0.with_spin(),)}[spin]

    @classmethod
    def fit(
        cls, basis: OrbitalBasis, functional: str, records: Sequence[Record], settings: H0Settings, seed: int
    ) -> Self:
        """H0 with its parameters fitted to calculations, where it has any.

        Args:
            basis: Basis of the matrices.
            functional: Functional of the calculations.
            records: The training set, read when asked for.
            settings: The section ``baseline`` of the configuration.
            seed: Seed of a random choice of calculations.
        """
        return cls(basis, functional)

    def with_functional(self, functional: str) -> Self:
        """The same H0 for calculations with another functional."""
        if functional.lower() == self.functional.lower():
            return self
        return self.from_description(self.describe(), self.basis, functional)

    def extend(self, basis: OrbitalBasis, records: Sequence[Record], settings: H0Settings, seed: int) -> H0:
        """The same H0 for a basis of more elements, whose parameters are fitted; those of its own elements stay.

        Args:
            basis: The larger basis.
            records: Calculations in which the new elements occur, among others.
            settings: The section ``baseline`` of the configuration.
            seed: Seed of a random choice of calculations.
        """
        return type(self)(basis, self.functional)

    def describe(self) -> dict[str, Any]:
        """What model.json holds of it: the kind and its parameters."""
        return {"kind": self.kind}

    @classmethod
    def from_description(cls, description: Mapping[str, Any], basis: OrbitalBasis, functional: str) -> Self:
        """Inverse of :meth:`describe`."""
        return cls(basis, functional)


class GaussianH0(H0):
    """H0 of molecules in a basis of contracted Gaussians."""

    orbitals = "Gaussian orbitals"

    @abstractmethod
    def dense(self, structure: Structure) -> NDArray[np.float64]:
        """H0 of the neutral molecule in Hartree, (ao, ao), in our convention."""

    def __call__(self, structure: Structure) -> BlockMatrix:
        """H0 in Hartree on all pairs of atoms; of an ion with the potential of its net charge."""
        h0 = self.dense(structure)
        if structure.charge and not self.is_zero:
            h0 = h0 + net_charge_potential(structure, self.basis)
        return BlockMatrix.from_dense(h0, self.basis.orbitals_per_atom(structure.numbers))


class NumericalH0(H0):
    """H0 of crystals (and molecules) in numerical orbitals."""

    orbitals = "numerical orbitals"


AnyH0 = TypeVar("AnyH0", bound=H0)


def h0_kinds(base: type[H0] = H0) -> tuple[str, ...]:
    """Names of the kinds of H0, in alphabetical order.

    Args:
        base: Only those of this class: :class:`GaussianH0` or :class:`NumericalH0`.
    """
    return tuple(sorted({h0.kind for h0 in discover(PACKAGE, base)}))


def h0_class(kind: str, base: type[AnyH0]) -> type[AnyH0]:
    """The class of a kind.

    Args:
        kind: Its name.
        base: :class:`GaussianH0` or :class:`NumericalH0`.

    Raises:
        ConfigError: There is no such kind.
        DataError: It does not apply to these orbitals.
    """
    for h0 in discover(PACKAGE, base):
        if h0.kind == kind:
            return h0
    if kind not in h0_kinds():
        raise ConfigError(f"There is no H0 {kind!r}; choose one of {', '.join(h0_kinds())}.")
    raise DataError(
        f"The H0 {kind!r} is not available for {base.orbitals}; set baseline.kind to {' or '.join(h0_kinds(base))}."
    )


def settings_of(kind: str, base: type[H0] = H0) -> type[H0Settings]:
    """The settings of a kind; the common ones where there is no such kind.

    Raises:
        ValueError: Two classes of the kind, of molecules and of crystals, have different settings.
    """
    kinds = {h0.Settings for h0 in discover(PACKAGE, base) if h0.kind == kind} or {H0Settings}
    if len(kinds) > 1:
        raise ValueError(f"The classes of the H0 {kind!r} have different settings; they need the same class Settings.")
    return kinds.pop()


def choose_holding(records: Sequence[Record], elements: Sequence[int], count: int, seed: int) -> list[Record]:
    """Calculations that hold some of the elements: a random choice, and one more for each element that is missing.

    Args:
        records: The training set.
        elements: Atomic numbers.
        count: How many calculations are wanted.
        seed: Seed of the random choice.

    Returns:
        The calculations; none where no calculation holds any of the elements.
    """
    chosen: list[Record] = []
    missing = set(elements)
    for i in np.random.default_rng(seed).permutation(len(records)):
        held = set((record := records[int(i)]).structure.numbers.tolist())
        if held & (missing if len(chosen) >= count else set(elements)):
            chosen.append(record)
            missing -= held
        if not missing and len(chosen) >= count:
            break
    return chosen


def untrained_elements(elements: Iterable[int]) -> DataError:
    """The error of elements of the data that no training structure holds."""
    return DataError(
        f"No training structure holds {', '.join(SYMBOLS[z] for z in sorted(elements))}, only others of the data do, "
        "so that nothing can be learned of it. Change data.sizes, data.seed or data.files."
    )


def _of_its_kind(value: object) -> object:
    """The section ``baseline`` read by the settings of the kind that it names."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind", H0Settings.model_fields["kind"].default)
    settings = settings_of(kind) if isinstance(kind, str) else H0Settings
    return settings.model_validate(value)


H0Section = Annotated[SerializeAsAny[H0Settings], BeforeValidator(_of_its_kind)]
"""Field of a configuration: the settings of any kind."""
