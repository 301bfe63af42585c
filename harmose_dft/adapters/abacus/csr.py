"""Sparse H(R) and S(R) in ABACUS's CSR text, all header variants.

Three headers are known. ABACUS 2.x: ``Matrix Dimension of H(R): N`` and ``Matrix number of H(R): nR``. 3.x: the same
after a line ``STEP: n``. From 3.9.0.25 (names ``hrs1_nao.csr``): ``--- Ionic Step n ---``, counts with trailing
comments, a copy of the unit cell, and the arrays wrapped over several lines under ``# CSR values``,
``# CSR column indices`` and ``# CSR row pointers``. A file may hold several ionic steps one after the other.

Then for every lattice vector R a line ``Rx Ry Rz nnz`` and three arrays: values (Rydberg for H; ``(re,im)`` for
spinors), 0-based columns, and N+1 row pointers. Rows are orbitals in cell 0, columns orbitals in cell R; all R and
all rows are stored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ...core.errors import FileFormatError
from ..text import read_bytes
from .text import parse_complex, parse_integers, parse_numbers

_STEP = re.compile(rb"^\s*STEP:\s*(-?\d+)\s*$")
_IONIC_STEP = re.compile(rb"^\s*-+\s*Ionic Step\s+(\d+)\s*-+\s*$")
_DIMENSION = re.compile(rb"^\s*Matrix Dimension of (\w+)\(R\):\s*(\d+)\s*$")
_NUMBER = re.compile(rb"^\s*Matrix number of (\w+)\(R\):\s*(\d+)\s*$")
_TITLE = re.compile(rb"^\s*#\s*print (\S+) matrix in real space")
_COUNT = re.compile(rb"^\s*(\d+)\s*#\s*(.+?)\s*$")

SPIN_COUNT, SPIN_INDEX, BASIS_SIZE, R_COUNT = (
    "number of spin directions",
    "spin index",
    "number of localized basis",
    "number of Bravais lattice vector R",
)
"""Comments behind the numbers of the newer header."""


@dataclass(frozen=True)
class CsrSection:
    """One matrix of one ionic step, as stored (ABACUS's orbital order and units).

    Args:
        label: "H" or "S" (or another letter for the code's other matrices).
        step: 0-based ionic step; None where the header has none (2.x).
        size: Matrix dimension, spin included.
        shifts: Lattice vectors R, (R, 3).
        counts: Elements stored for each R, (R,).
        rows: Row of every element, (element,).
        columns: Column of every element, (element,).
        values: The elements, real or complex, (element,).
        line: First line of the section (1-based).
        cell_text: Unit-cell lines of the newer header (line number, text); empty otherwise.
        gamma_only: Whether the header says that all lattice vectors are summed into R = (0, 0, 0).
    """

    label: str
    step: int | None
    size: int
    shifts: NDArray[np.int64]
    counts: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[Any]
    line: int
    cell_text: tuple[tuple[int, str], ...] = field(default=(), repr=False)
    gamma_only: bool = False

    @property
    def complex(self) -> bool:
        """Whether the elements are ``(re,im)`` pairs, as ABACUS writes for nspin 4."""
        return self.values.dtype.kind == "c"


def read_csr(path: Path) -> list[CsrSection]:
    """All sections (ionic steps) of a CSR text file, compressed or not.

    Raises:
        FileFormatError: The file is binary, truncated, or does not follow one of the known layouts.
    """
    data = read_bytes(path).tobytes()
    if b"\0" in data[:4096]:
        raise FileFormatError(
            "This is a binary file; only CSR text is read. Run ABACUS with 'out_mat_hs2 1' (text).", path=path
        )
    return _Parser(path, data.split(b"\n")).sections()


@dataclass(frozen=True)
class _Header:
    label: str
    step: int | None
    size: int
    blocks: int
    cell_text: tuple[tuple[int, str], ...] = ()
    gamma_only: bool = False


class _Parser:
    """A cursor over the lines of one file."""

    def __init__(self, path: Path, lines: list[bytes]) -> None:
        self._path, self._lines, self._at = path, lines, 0

    def sections(self) -> list[CsrSection]:
        out: list[CsrSection] = []
        while self._skip_blank():
            out.append(self._section())
        if not out:
            self._fail("The file is empty.")
        return out

    def _section(self) -> CsrSection:
        start = self._at
        header = self._header()
        shifts, counts = np.empty((header.blocks, 3), dtype=np.int64), np.empty(header.blocks, dtype=np.int64)
        values, columns, rows = [], [], []
        shifts_read: set[tuple[int, ...]] = set()
        for block in range(header.blocks):
            shift, count = self._block_line(block, header.blocks)
            if shift in shifts_read:
                self._fail(f"The block R = {shift} occurs twice.", self._at - 1)
            shifts_read.add(shift)
            shifts[block], counts[block] = shift, count
            value, column, row = self._block(shift, count, header.size)
            values.append(value)
            columns.append(column)
            rows.append(row)
        if self._skip_blank() and not self._starts_section():
            self._fail(f"The header announces {header.blocks} lattice vectors, but more data follow.")
        kind = np.complex128 if any(v.dtype.kind == "c" for v in values) else np.float64
        return CsrSection(
            header.label, header.step, header.size, shifts, counts, np.concatenate([np.empty(0, np.int64), *rows]),
            np.concatenate([np.empty(0, np.int64), *columns]), np.concatenate([np.empty(0, kind), *values]),
            start + 1, header.cell_text, header.gamma_only,
        )  # fmt: skip

    def _header(self) -> _Header:
        line = self._lines[self._at]
        if match := _IONIC_STEP.match(line):
            return self._commented_header(int(match[1]) - 1)
        step = None
        if match := _STEP.match(line):
            step = int(match[1])
            self._at += 1
        dimension, number = _DIMENSION.match(self._peek(0)), _NUMBER.match(self._peek(1))
        if dimension is None or number is None or dimension[1] != number[1]:
            self._fail(
                "This is not a header of an ABACUS CSR file. Expected 'STEP: n' (3.x) or '--- Ionic Step n ---' "
                f"(newer), then the matrix dimension and the number of lattice vectors; got {_show(self._peek(0))}."
            )
        self._at += 2
        return _Header(dimension[1].decode(), step, int(dimension[2]), int(number[2]))

    def _commented_header(self, step: int) -> _Header:
        self._at += 1
        title = _TITLE.match(self._peek(0))
        if title is None:
            self._fail(f"Expected '# print H matrix in real space H(R)'; got {_show(self._peek(0))}.")
        self._at += 1
        counts: dict[str, int] = {}
        while match := _COUNT.match(self._peek(0)):
            counts[match[2].decode()] = int(match[1])
            self._at += 1
        missing = [name for name in (SPIN_COUNT, SPIN_INDEX, BASIS_SIZE, R_COUNT) if name not in counts]
        if missing:
            self._fail(f"The header lacks the line 'n # {missing[0]}'.")
        cell: list[tuple[int, str]] = []
        while self._skip_blank() and not self._is_comment():
            cell.append((self._at + 1, self._lines[self._at].decode("utf-8", errors="replace").strip()))
            self._at += 1
        gamma_only = False
        while self._skip_blank() and self._is_comment():
            gamma_only |= b"gamma-only folded" in self._peek(0)
            self._at += 1
        return _Header(title[1].decode(), step, counts[BASIS_SIZE], counts[R_COUNT], tuple(cell), gamma_only)

    def _block_line(self, block: int, blocks: int) -> tuple[tuple[int, int, int], int]:
        """The line ``Rx Ry Rz nnz``."""
        if not self._skip_blank() or self._starts_section():
            self._fail(
                f"The header announces {blocks} lattice vectors; the section ends after {block}. The file is truncated "
                "or a block is missing; write it again."
            )
        words = self._lines[self._at].split()
        try:
            x, y, z, count = (int(w) for w in words)
        except ValueError:
            self._fail(f"Expected 'Rx Ry Rz count'; got {_show(self._lines[self._at])}.")
        if count < 0:
            self._fail(f"A block cannot hold {count} elements.")
        self._at += 1
        return (x, y, z), count

    def _block(
        self, shift: tuple[int, ...], count: int, size: int
    ) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
        """Values, columns and rows of one R."""
        commented = self._skip_blank() and self._is_comment()
        if count == 0 and not commented:
            empty = np.empty(0, np.int64)
            return np.empty(0), empty, empty
        start = self._at
        values = self._array(count, f"values of R = {shift}", commented, value=True)
        columns = self._array(count, f"column indices of R = {shift}", commented)
        pointers = self._array(size + 1, f"row pointers of R = {shift}", commented)
        if pointers[0] != 0 or pointers[-1] != count or (np.diff(pointers) < 0).any():
            self._fail(
                f"The row pointers of R = {shift} must rise from 0 to {count}; they go from {pointers[0]} to "
                f"{pointers[-1]}.", self._at - 1
            )  # fmt: skip
        if count and (columns.min() < 0 or columns.max() >= size):
            self._fail(f"A column index of R = {shift} lies outside 0..{size - 1}.", start)
        return values, columns, np.repeat(np.arange(size), np.diff(pointers))

    def _array(self, count: int, quantity: str, commented: bool, value: bool = False) -> NDArray[Any]:
        """One array: a single line, or (``commented``) a comment and any number of lines."""
        start = self._at
        if commented:
            if not self._skip_blank() or not self._is_comment():
                self._fail(f"Expected a comment line before the {quantity}.")
            self._at += 1
            start, count_read = self._at, 0
            while count_read < count and self._at < len(self._lines) and not self._is_comment():
                count_read += len(self._lines[self._at].split())
                self._at += 1
        else:
            self._at += 1
        text = b" ".join(self._lines[start : self._at])
        numbers: NDArray[Any]
        if not value:
            numbers = parse_integers(text)
        else:
            numbers = parse_complex(text) if b"(" in text[:64] else parse_numbers(text)
        words = len(text.split())
        if len(numbers) != count or words != count:
            self._fail(
                f"Expected {count} {quantity}; got {len(numbers)}. The file is truncated or damaged; write it again.",
                start
            )
        if not np.isfinite(numbers).all():
            self._fail(f"The {quantity} contain a number that is not finite.", start)
        return numbers

    def _peek(self, ahead: int) -> bytes:
        return self._lines[self._at + ahead] if self._at + ahead < len(self._lines) else b""

    def _skip_blank(self) -> bool:
        """Move to the next line that is not blank; False at the end of the file."""
        while self._at < len(self._lines) and not self._lines[self._at].strip():
            self._at += 1
        return self._at < len(self._lines)

    def _is_comment(self) -> bool:
        return self._peek(0).lstrip().startswith(b"#")

    def _starts_section(self) -> bool:
        return any(pattern.match(self._peek(0)) for pattern in (_STEP, _IONIC_STEP, _DIMENSION))

    def _fail(self, message: str, at: int | None = None) -> NoReturn:
        line = min(self._at if at is None else at, len(self._lines) - 1) + 1
        raise FileFormatError(message, path=self._path, line=line)


def _show(line: bytes) -> str:
    text = line[:60].decode("utf-8", errors="replace").strip()
    return repr(text + ("..." if len(line) > 60 else "")) if text else "an empty line"
