"""Atomic-orbital bases: shells per element, their radial functions, and a fingerprint that identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import UNPRINTABLE, BasisMismatchError, HarmoseError, shorten
from .structure import SYMBOLS

FINGERPRINT_DECIMALS = 8
"""Radial data is rounded to this many decimals before it is hashed, so that a text round trip keeps the fingerprint."""


LONGEST_LABEL = 4000
"""Characters of a basis's name; numerical orbitals of many elements join the names of their files."""


def is_label(name: str) -> bool:
    """Whether a text can be the name of a basis in a file: one line of bounded length, without control characters."""
    return len(name) <= LONGEST_LABEL and not UNPRINTABLE.search(name) and "\n" not in name


@dataclass(frozen=True, eq=False)
class GaussianRadial:
    """A contracted Gaussian radial function, sum_p c_p N_p r^l exp(-a_p r^2), with normalised primitives.

    Args:
        exponents: (primitive,) in Bohr^-2.
        coefficients: (primitive,), of normalised primitives.
        cutoff: Radius in Bohr beyond which the function counts as zero when the pairs of a crystal are listed; None for
            a molecule, whose pairs are all kept.
    """

    exponents: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    cutoff: float | None = None

    def arrays(self) -> tuple[NDArray[np.float64], ...]:
        """The arrays that define the function, and which pairs it has."""
        reach = () if self.cutoff is None else (np.array([self.cutoff]),)
        return self.exponents, self.coefficients, *reach


@dataclass(frozen=True, eq=False)
class NumericalRadial:
    """A radial function tabulated on a grid: R(r) with integral of R^2 r^2 = 1, zero beyond the last point.

    Args:
        r: Grid in Bohr, ascending, (point,).
        values: R(r), (point,).
    """

    r: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def cutoff(self) -> float:
        """Radius in Bohr beyond which the function vanishes."""
        return float(self.r[-1])

    def arrays(self) -> tuple[NDArray[np.float64], ...]:
        """The arrays that define the function."""
        return self.r, self.values


Radial = GaussianRadial | NumericalRadial


LARGEST_CUTOFF = 100.0
"""Bohr; no orbital of a crystal reaches farther."""

LARGEST_L = 12
"""Largest angular momentum of a shell."""


@dataclass(frozen=True)
class Shell:
    """2l+1 orbitals that share one radial function.

    Args:
        l: Angular momentum.
        radial: The radial function, where known.
    """

    l: int
    radial: Radial | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.l <= LARGEST_L:
            raise HarmoseError(f"A shell's angular momentum must not be negative or beyond {LARGEST_L}; got {self.l}.")

    @property
    def size(self) -> int:
        """Number of orbitals, 2l+1."""
        return 2 * self.l + 1


MOST_ORBITALS = 1000
"""Orbitals of an element; the largest published Gaussian sets have about 200."""


@dataclass(frozen=True, eq=False)
class OrbitalBasis:
    """Shells per element, in the order in which their orbitals appear in a matrix.

    Inside the package orbitals are in our convention (:mod:`harmose_dft.core.conventions`): atoms in order, shells in
    order, m = -l..l.

    Args:
        name: What users call it ("def2-svp", "C6.0-s2p2d1").
        shells: Atomic number -> shells.
    """

    name: str
    shells: Mapping[int, tuple[Shell, ...]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shells", MappingProxyType({int(z): tuple(s) for z, s in sorted(self.shells.items())}))
        if (largest := max((sum(s.size for s in of) for of in self.shells.values()), default=0)) > MOST_ORBITALS:
            raise HarmoseError(f"A basis has {largest} orbitals of an element; expected at most {MOST_ORBITALS}.")

    def __reduce__(self) -> tuple[type[OrbitalBasis], tuple[str, dict[int, tuple[Shell, ...]]]]:
        """Copy and pickle by name and shells: a read-only mapping can do neither."""
        return OrbitalBasis, (self.name, dict(self.shells))

    def __repr__(self) -> str:
        text = ", ".join(f"{SYMBOLS[z]}:{self.label(z)}" for z in self.shells)
        return f"OrbitalBasis({self.name!r}, {text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OrbitalBasis) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def label(self, z: int) -> str:
        """Shell counts of an element, such as "3s2p1d"."""
        ls = self.angular_momenta(z)
        return "".join(f"{ls.count(l)}{'spdfghi'[l]}" for l in sorted(set(ls)))

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers the basis covers."""
        return tuple(self.shells)

    @property
    def has_cutoffs(self) -> bool:
        """Whether every orbital ends at a finite radius, so that the pairs of a crystal can be listed."""
        radials = [shell.radial for shells in self.shells.values() for shell in shells]
        return all(radial is not None and radial.cutoff is not None for radial in radials)

    def has_radial(self, elements: Iterable[int]) -> bool:
        """Whether the shells of elements have radial functions, so that their orbitals have values in space."""
        return all(shell.radial is not None for z in set(elements) for shell in self.shells[z])

    def angular_momenta(self, z: int) -> tuple[int, ...]:
        """Angular momenta of the shells of element z, in order.

        Raises:
            BasisMismatchError: The basis does not cover the element.
        """
        if int(z) not in self.shells:
            raise BasisMismatchError(
                f"The basis {self.name} has no orbitals for {SYMBOLS[int(z)]}; it covers "
                f"{', '.join(SYMBOLS[e] for e in self.elements)}."
            )
        return tuple(s.l for s in self.shells[int(z)])

    def size(self, z: int) -> int:
        """Number of orbitals of element z."""
        return sum(2 * l + 1 for l in self.angular_momenta(z))

    def orbitals_per_atom(self, numbers: Iterable[int]) -> NDArray[np.int64]:
        """Number of orbitals of each atom, (atom,)."""
        sizes = {int(z): self.size(int(z)) for z in {int(z) for z in numbers}}
        return np.array([sizes[int(z)] for z in numbers], dtype=np.int64)

    def shell_sequence(self, numbers: Iterable[int]) -> list[int]:
        """Angular momenta of all shells of a structure, atom by atom."""
        return [l for z in numbers for l in self.angular_momenta(int(z))]

    def restrict(self, elements: Iterable[int]) -> OrbitalBasis:
        """The basis of some of the elements."""
        return OrbitalBasis(self.name, {int(z): self.shells[int(z)] for z in sorted(set(elements))})

    @property
    def fingerprint(self) -> str:
        """sha256 over elements, shells and radial functions; equal fingerprints mean interchangeable orbitals."""
        digest = hashlib.sha256()
        for z in self.shells:
            digest.update(self.element_fingerprint(z).encode())
        return digest.hexdigest()

    def element_fingerprint(self, z: int) -> str:
        """sha256 of one element's shells and radial functions."""
        digest = hashlib.sha256(f"element {z};".encode())
        for shell in self.shells[z]:
            digest.update(f"l {shell.l};".encode())
            for array in shell.radial.arrays() if shell.radial is not None else ():
                rounded = np.round(np.asarray(array, dtype=np.float64), FINGERPRINT_DECIMALS) + 0.0
                digest.update(rounded.astype("<f8").tobytes())
        return digest.hexdigest()

    def require_same(self, other: OrbitalBasis, elements: Iterable[int]) -> None:
        """Refuse a basis that differs from this one on the given elements.

        Raises:
            BasisMismatchError: An element is missing or its shells or radial functions differ.
        """
        for z in sorted({int(z) for z in elements}):
            self.angular_momenta(z)
            other.angular_momenta(z)
            if self.element_fingerprint(z) != other.element_fingerprint(z):
                raise BasisMismatchError(
                    f"The orbitals of {SYMBOLS[z]} differ: got {other.name} ({other.label(z)}, fingerprint "
                    f"{other.element_fingerprint(z)[:12]}), expected {self.name} ({self.label(z)}, "
                    f"{self.element_fingerprint(z)[:12]}). Use the basis the model was trained with."
                )

    @classmethod
    def union(cls, bases: Sequence[OrbitalBasis]) -> OrbitalBasis:
        """One basis over the elements of several; its name joins the parts ("+") of theirs.

        Args:
            bases: At least one.

        Raises:
            BasisMismatchError: They differ on an element that they share, or in kind (numerical, Gaussian).
        """
        shells: dict[int, tuple[Shell, ...]] = {}
        names: dict[str, None] = {}
        by_element: dict[int, OrbitalBasis] = {}
        for basis in bases:
            names.update(dict.fromkeys(basis.name.split("+")))
            for z in basis.elements:
                by_element.setdefault(z, basis).require_same(basis, [z])
                shells[z] = basis.shells[z]
        if len({type(shell.radial) for of_element in shells.values() for shell in of_element}) > 1:
            raise BasisMismatchError("Numerical and Gaussian orbitals do not make one basis.")
        return cls("+".join(names), shells)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-serialisable description, radial functions included."""
        def describe(shell: Shell) -> dict[str, Any]:
            match shell.radial:
                case GaussianRadial(exponents, coefficients, cutoff):
                    reach = {} if cutoff is None else {"cutoff": cutoff}
                    return {
                        "l": shell.l, "exponents": exponents.tolist(), "coefficients": coefficients.tolist(), **reach
                    }
                case NumericalRadial(r, values):
                    return {"l": shell.l, "r": r.tolist(), "values": values.tolist()}
                case _:
                    return {"l": shell.l}

        elements = {str(z): [describe(shell) for shell in shells] for z, shells in self.shells.items()}
        return {"name": self.name, "shells": elements}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> OrbitalBasis:
        """Inverse of :meth:`to_dict`.

        Raises:
            HarmoseError: The name is no name, an element or angular momentum is impossible, or a radial function is
                none.
        """
        name = str(data["name"])
        if not is_label(name):
            raise HarmoseError(f"The stored basis is called {shorten(name)!r}; expected a name of one line.")

        def read(d: Mapping[str, Any]) -> Shell:
            radial: Radial | None = None
            if "exponents" in d:
                cutoff = None if d.get("cutoff") is None else float(d["cutoff"])
                exponents, coefficients = _read_radial(d["exponents"], d["coefficients"])
                radial = GaussianRadial(exponents, coefficients, cutoff)
                if (exponents <= 0).any():
                    raise HarmoseError(f"The basis {shorten(name)} has a Gaussian whose exponent is not positive.")
                if cutoff is not None and not 0 < cutoff <= LARGEST_CUTOFF:
                    raise HarmoseError(f"The basis {shorten(name)} has a Gaussian with the cutoff {cutoff:g} Bohr.")
            elif "r" in d:
                radial = NumericalRadial(*_read_radial(d["r"], d["values"]))
                if (np.diff(radial.r) <= 0).any() or radial.r[0] < 0:
                    raise HarmoseError(f"The basis {shorten(name)} has a radial mesh that does not ascend.")
            return Shell(int(d["l"]), radial)

        shells = {int(z): tuple(read(d) for d in of_element) for z, of_element in data["shells"].items()}
        if not all(0 < z < len(SYMBOLS) and of_element for z, of_element in shells.items()):
            raise HarmoseError(f"The basis {shorten(name)} names an impossible element, or one without shells.")
        return cls(name, shells)


def _read_radial(*columns: Any) -> list[NDArray[np.float64]]:
    """Equally long, finite columns of numbers that define a radial function."""
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    sizes = {a.shape for a in arrays}
    if len(sizes) != 1 or arrays[0].ndim != 1 or not arrays[0].size or not all(np.isfinite(a).all() for a in arrays):
        raise HarmoseError("A stored radial function must be columns of equally many finite numbers.")
    return arrays
