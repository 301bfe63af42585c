"""What may be named to PySCF: basis sets and functionals, looked up before PySCF sees them.

PySCF takes the text of a basis in place of its name, reads a file of that name in the current folder first, and its
parsers evaluate what is not a number as Python. A name that a file brings is therefore one of the library's
(:func:`require_known_basis`), and PySCF's evaluation is off while anything is looked up.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import RLock
from typing import Any

from ...core.errors import FileFormatError, HarmoseError, shorten

LONGEST_NAME = 100
"""Characters of a basis's name in a file; PySCF's longest are below 30."""

BASIS_NAME = re.compile(r"[A-Za-z0-9+*(),_ -]+(@[0-9a-z]+)?")
"""What the library's names are made of, with PySCF's truncation ("cc-pvtz@3s2p1d"): no newline, no separator."""

FUNCTIONAL_NAME = re.compile(r"[A-Za-z0-9_ +*.,;()-]{1,200}")
"""What PySCF's names and sums of functionals are made of."""

POPLE = re.compile(r"(.+)\(([0-9a-z]+)(,[0-9a-z]+)?\)")
"""A split-valence basis with its polarisation functions, "631g(d,p)"."""

EVALUATORS = ("gto.basis.parse_nwchem", "gto.basis.parse_nwchem_ecp", "gto.basis.parse_cp2k", "gto.mole")
"""Modules of PySCF that evaluate text unless their ``DISABLE_EVAL`` is true."""

SWITCH = "DISABLE_EVAL"

_switching = RLock()


@contextmanager
def without_evaluation() -> Iterator[None]:
    """PySCF's parsers take numbers only; one thread at a time, and as it was afterwards."""
    modules = [import_module(f"pyscf.{name}") for name in EVALUATORS]
    with _switching:
        before = [getattr(module, SWITCH, False) for module in modules]
        try:
            for module in modules:
                setattr(module, SWITCH, True)
            yield
        finally:
            for module, value in zip(modules, before, strict=True):
                setattr(module, SWITCH, value)


def is_known_basis(name: str) -> bool:
    """Whether a name is in PySCF's library, in that of basis-set-exchange, or an alias that the user configured."""
    from pyscf.gto import basis
    from pyscf.gto.basis import bse

    if len(name) > LONGEST_NAME or not BASIS_NAME.fullmatch(name):
        return False
    stem = name.lower().partition("@")[0]
    plain = re.sub("[-_ ]", "", stem.removeprefix("unc"))
    for table in (basis.ALIAS, basis.GTH_ALIAS, basis.USER_BASIS_ALIAS, basis.USER_GTH_ALIAS):
        if plain in table:
            return True
    pople = POPLE.fullmatch(plain)
    if pople is not None and basis._is_pople_basis(plain) and pople[1] in basis.ALIAS:
        return True
    exchange = bse.basis_set_exchange
    return exchange is not None and stem in (n.lower() for n in exchange.api.get_all_basis_names())


def require_known_basis(name: str, path: str | Path | None = None) -> str:
    """The name of a basis that a file brings, if PySCF's library has it.

    Args:
        name: The name.
        path: The file, for the message.

    Raises:
        FileFormatError: It is not in the library, or PySCF would read a file of that name in the current folder.
    """
    if not is_known_basis(name):
        raise FileFormatError(
            f"The basis is called {shorten(name)!r}, which is no name in PySCF's library; expected one such as "
            "def2-svp. Data sets with other bases are made with harmose-dft label or convert.",
            path=path,
        )
    _require_no_file(name)
    return name


def _require_no_file(name: str) -> None:
    """Refuse a name under which PySCF would read a file of the current folder instead of its library."""
    stem = name.partition("@")[0]
    for tried in (name, stem, stem[3:] if stem.lower().startswith("unc") else stem):
        if os.path.isfile(tried):
            raise HarmoseError(
                f"The current folder holds {tried!r}, which PySCF would read in place of its own basis of that name. "
                "Rename it, or run the command in another folder."
            )


def library_basis(name: str, symbol: str) -> list[list[Any]]:
    """A basis by name, or one that the user gives as text or as a file, in PySCF's nested-list format.

    Raises:
        HarmoseError: PySCF does not know the basis for the element, the text holds something else than numbers, or
            PySCF would read a file of the current folder in place of its library.
    """
    from pyscf import gto

    if is_known_basis(name):
        _require_no_file(name)
    try:
        with without_evaluation(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Basis may be available in basis-set-exchange")
            return list(gto.format_basis({symbol: name})[symbol])
    except (KeyError, RuntimeError, ValueError, AssertionError, OSError) as error:
        raise HarmoseError(
            f"PySCF has no basis {shorten(name)!r} for {symbol}. Check the name (def2-svp, cc-pvdz, 6-31g**, ...), "
            "that the basis covers the element, and that a basis given as text or as a file holds numbers only."
        ) from error


def library_ecp(name: str, symbol: str) -> list[Any] | None:
    """The pseudopotential that belongs to a basis of the library, None for an all-electron or a custom basis.

    Raises:
        HarmoseError: PySCF would read a file of the current folder.
    """
    from pyscf.gto import basis

    if not is_known_basis(name):
        return None
    _require_no_file(name)
    try:
        with without_evaluation():
            return basis.load_ecp(name, symbol) or None
    except (KeyError, RuntimeError, ValueError, AssertionError, OSError):
        return None


def refuse_own_ecp(name: str, symbols: Sequence[str]) -> None:
    """Refuse pseudopotentials in a basis that is given as text or as a file: data sets and models keep names of them.

    Raises:
        HarmoseError: There is one.
    """
    from pyscf.gto import basis

    if is_known_basis(name):
        return
    for symbol in symbols:
        try:
            with without_evaluation():
                ecp = basis.load_ecp(name, symbol)
        except (KeyError, RuntimeError, ValueError, AssertionError, OSError):
            continue
        if ecp:
            raise HarmoseError(
                f"The basis {shorten(name)!r} brings a pseudopotential for {symbol}; data sets and models know those "
                "of PySCF's library only, by name. Use a basis of the library."
            )


def parsed_functional(xc: str) -> Any:
    """PySCF's description of a functional: fractions of exact exchange, and (number in libxc, factor) of each part.

    Raises:
        HarmoseError: PySCF does not know the functional.
    """
    from pyscf.dft import libxc

    try:
        if not FUNCTIONAL_NAME.fullmatch(xc):
            raise ValueError("it is no name")
        return libxc.parse_xc(xc)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise HarmoseError(
            f"PySCF knows no functional {shorten(xc)!r}. Check the name (b3lyp, pbe, pbe0, wb97x, ...)."
        ) from error
