"""Sparse Hamiltonian-like matrices stored as blocks of atom pairs, for molecules and crystals alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arrays import running_sum
from .errors import HarmoseError

if TYPE_CHECKING:
    import scipy.sparse

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class BlockMatrix:
    """Blocks <phi_i,0| A |phi_j,shift> of an operator, one for each stored pair of atoms.

    Pair e joins atom ``pairs[e, 0]`` in cell 0 to atom ``pairs[e, 1]`` in cell ``shifts[e]`` (lattice coordinates).
    Both directions are stored, and a molecule is the case where every shift is zero. With the spinor layout a block
    has shape (2 n_i, 2 n_j), spin being the slow index inside the block: [[uu, ud], [du, dd]].

    Args:
        orbitals: Number of (spatial) orbitals of each atom, (atom,).
        pairs: (edge, 2) atom indices.
        shifts: (edge, 3) lattice shifts of the second atom.
        values: All blocks, row by row, one after the other; real or complex.
        spinor: Whether blocks carry spin.

    Raises:
        HarmoseError: Shapes disagree, a pair names no atom, or a pair occurs twice.
    """

    orbitals: NDArray[np.int64]
    pairs: NDArray[np.int64]
    shifts: NDArray[np.int64]
    values: Array
    spinor: bool = False

    def __post_init__(self) -> None:
        for name, dtype in (("orbitals", np.int64), ("pairs", np.int64), ("shifts", np.int64)):
            object.__setattr__(self, name, np.ascontiguousarray(getattr(self, name), dtype=dtype))
        values = np.ascontiguousarray(self.values)
        if values.dtype.kind not in "fc":
            values = values.astype(np.float64)
        object.__setattr__(self, "values", values)
        if self.pairs.ndim != 2 or self.pairs.shape[1] != 2 or self.shifts.shape != (len(self.pairs), 3):
            raise HarmoseError(
                f"Pairs must have shape (edge, 2) and shifts (edge, 3); got {self.pairs.shape} and {self.shifts.shape}."
            )
        if len(self.pairs) and (self.pairs.min() < 0 or self.pairs.max() >= len(self.orbitals)):
            raise HarmoseError(f"Pairs name atoms 0..{len(self.orbitals) - 1}; got an index outside this range.")
        width = self.orbitals * (2 if self.spinor else 1)
        rows, columns = width[self.pairs[:, 0]], width[self.pairs[:, 1]]
        pointers = running_sum(rows * columns)
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_columns", columns)
        object.__setattr__(self, "_pointers", pointers)
        if len(values) != pointers[-1]:
            raise HarmoseError(f"The blocks of these pairs hold {pointers[-1]} numbers; got {len(values)}.")
        repeats = len(self.pairs) - len(np.unique(self._codes(self.pairs, self.shifts, _span(self.shifts))))
        if repeats:
            raise HarmoseError(f"Each pair may occur once; {repeats} of {len(self.pairs)} repeat.")

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        kind = "spinor " if self.spinor else ""
        shape = f"{len(self.orbitals)} atoms, {self.size} orbitals, {len(self)} pairs"
        return f"BlockMatrix({kind}{shape}, {self.values.dtype})"

    @property
    def size(self) -> int:
        """Dimension of the dense matrix (spin included for spinors)."""
        return int(self.orbitals.sum()) * (2 if self.spinor else 1)

    @property
    def pointers(self) -> NDArray[np.int64]:
        """Start of each block in ``values``, (edge + 1,)."""
        pointers: NDArray[np.int64] = self._pointers  # type: ignore[attr-defined]
        return pointers

    def block(self, edge: int) -> Array:
        """Block of one pair, shape (rows, columns); a view."""
        begin, end = self.pointers[edge], self.pointers[edge + 1]
        return self.values[begin:end].reshape(self._rows[edge], self._columns[edge])  # type: ignore[attr-defined]

    def blocks(self) -> Iterator[tuple[int, int, tuple[int, int, int], Array]]:
        """(i, j, shift, block) of every stored pair."""
        for e, ((i, j), shift) in enumerate(zip(self.pairs.tolist(), self.shifts.tolist(), strict=True)):
            yield i, j, tuple(shift), self.block(e)

    @classmethod
    def from_blocks(
        cls, orbitals: ArrayLike, blocks: dict[tuple[int, int, int, int, int], Array], *, spinor: bool = False
    ) -> BlockMatrix:
        """From a mapping (i, j, Rx, Ry, Rz) -> block; pairs are sorted by that key."""
        keys = sorted(blocks)
        index = np.array(keys, dtype=np.int64).reshape(-1, 5)
        flat = [np.asarray(blocks[k]).ravel() for k in keys]
        values = np.concatenate(flat) if flat else np.zeros(0)
        return cls(np.asarray(orbitals), index[:, :2], index[:, 2:], values, spinor)

    @classmethod
    def from_dense(cls, dense: Array, orbitals: ArrayLike, *, spinor: bool = False) -> BlockMatrix:
        """A molecule's dense matrix (ao, ao), all pairs stored; spinors as [[uu, ud], [du, dd]] of the whole matrix.

        Raises:
            HarmoseError: The matrix does not have one row per orbital.
        """
        orbitals = np.asarray(orbitals, dtype=np.int64)
        n, m = int(orbitals.sum()), 2 if spinor else 1
        if np.shape(dense) != (m * n, m * n):
            raise HarmoseError(f"A dense matrix of these atoms has shape {(m * n, m * n)}; got {np.shape(dense)}.")
        atoms = len(orbitals)
        pairs = np.stack(np.meshgrid(np.arange(atoms), np.arange(atoms), indexing="ij"), -1).reshape(-1, 2)
        index = _dense_index(orbitals, pairs, spinor)
        return cls(orbitals, pairs, np.zeros((len(pairs), 3), dtype=np.int64), np.ravel(dense)[index], spinor)

    def with_values(self, values: Array) -> BlockMatrix:
        """The same pairs with other values."""
        copy = BlockMatrix(self.orbitals, self.pairs, self.shifts, values, self.spinor)
        object.__setattr__(copy, "_scatter_index", getattr(self, "_scatter_index", None))
        return copy

    def with_spin(self) -> BlockMatrix:
        """The spinor matrix 1_2 kron A of a spatial matrix, such as the overlap of spinors.

        Raises:
            HarmoseError: The matrix carries spin already.
        """
        if self.spinor:
            raise HarmoseError("This matrix carries spin already; only a spatial matrix can be given spin.")
        pointers = running_sum(4 * np.diff(self.pointers))
        values = np.zeros(pointers[-1], dtype=self.values.dtype)
        for edges, index in self.groups(self.orbitals):
            _, n, m = index.shape
            block = np.zeros((len(edges), 2, n, 2, m), dtype=values.dtype)
            block[:, 0, :, 0] = block[:, 1, :, 1] = self.values[index]
            values[pointers[edges][:, None] + np.arange(4 * n * m)] = block.reshape(len(edges), -1)
        return BlockMatrix(self.orbitals, self.pairs, self.shifts, values, True)

    def to_dense(self) -> Array:
        """Dense matrix (ao, ao) of a molecule, or of a crystal at Gamma (sum over shifts)."""
        return self.at((0.0, 0.0, 0.0)).real if self.values.dtype.kind == "f" else self.at((0.0, 0.0, 0.0))

    def at(self, k: ArrayLike) -> Array:
        """A(k) = sum_R exp(2 pi i k.R) A(R), dense.

        Args:
            k: Fractional coordinates, (3,).

        Returns:
            (ao, ao), real at Gamma for real blocks, complex otherwise.
        """
        values = self._at_k(k)
        flat = np.bincount(self._scatter(), weights=values.real, minlength=self.size**2)
        if values.dtype.kind == "c":
            flat = flat + 1j * np.bincount(self._scatter(), weights=values.imag, minlength=self.size**2)
        return flat.reshape(self.size, self.size)

    def to_scipy_sparse(self, k: ArrayLike = (0.0, 0.0, 0.0)) -> scipy.sparse.csr_array:
        """A(k) as a scipy CSR array."""
        from scipy.sparse import csr_array

        pattern, value_index = self._pattern()
        values = self._at_k(k)
        data = np.bincount(value_index, weights=values.real, minlength=len(pattern))
        if values.dtype.kind == "c":
            data = data + 1j * np.bincount(value_index, weights=values.imag, minlength=len(pattern))
        rows = np.searchsorted(pattern, np.arange(self.size + 1) * self.size)
        return csr_array((data, pattern % self.size, rows), shape=(self.size, self.size))

    def gather(self, dense: Array, k: ArrayLike = (0.0, 0.0, 0.0)) -> Array:
        """Elements of a dense matrix (ao, ao) in the order of ``values``, times exp(2 pi i k.R)."""
        values, phase = np.ravel(dense)[self._scatter()], self._phases(k)
        return values if phase is None else values * np.repeat(phase, np.diff(self.pointers))

    def _at_k(self, k: ArrayLike) -> Array:
        phase = self._phases(k)
        return self.values if phase is None else self.values * np.repeat(phase, np.diff(self.pointers))

    def _phases(self, k: ArrayLike) -> Array | None:
        kpt = np.asarray(k, dtype=np.float64)
        if kpt.shape != (3,):
            raise HarmoseError(f"A k-point has three fractional coordinates; got shape {kpt.shape}.")
        return None if not kpt.any() else np.exp(2j * np.pi * (self.shifts @ kpt))

    def groups(self, kinds: ArrayLike) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Pairs grouped by the kinds of their two atoms, so that blocks of one shape are handled at once.

        Args:
            kinds: A label for each atom, such as its atomic number, (atom,); equal kinds have equally many orbitals.

        Yields:
            Pairs of a group, (edge,), and where their blocks lie in ``values``, (edge, rows, columns).
        """
        _, kind = np.unique(np.asarray(kinds), return_inverse=True)
        label = kind[self.pairs[:, 0]] * (kind.max(initial=0) + 1) + kind[self.pairs[:, 1]]
        order = np.argsort(label, kind="stable")
        for edges in np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else ():
            rows, columns = self._rows[edges[0]], self._columns[edges[0]]  # type: ignore[attr-defined]
            element_index = np.arange(rows * columns).reshape(rows, columns)
            yield edges, self.pointers[edges][:, None, None] + element_index

    def coordinates(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Row and column in the dense matrix of every stored value."""
        return self._scatter() // self.size, self._scatter() % self.size

    def _scatter(self) -> NDArray[np.int64]:
        """Flat dense index of every stored value; computed once."""
        cached = getattr(self, "_scatter_index", None)
        if cached is None:
            cached = _dense_index(self.orbitals, self.pairs, self.spinor)
            object.__setattr__(self, "_scatter_index", cached)
        return np.asarray(cached)

    def _pattern(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Flat dense indices that occur, ascending, and the place of every stored value among them; computed once."""
        cached = getattr(self, "_sparse_pattern", None)
        if cached is None:
            cached = np.unique(self._scatter(), return_inverse=True)
            object.__setattr__(self, "_sparse_pattern", cached)
        return cached

    def reverse_edges(self) -> NDArray[np.int64]:
        """Edge index of (j, i, -shift) for every (i, j, shift), or -1 where it is not stored; (edge,)."""
        return self.find(self.pairs[:, ::-1], -self.shifts)

    def find(self, pairs: NDArray[np.int64], shifts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Edge index of each given pair, or -1 where it is not stored; (given,)."""
        order, codes = self._sorted_codes
        if len(codes) == 0:
            return np.full(len(pairs), -1)
        span = _span(self.shifts)
        asked_codes = self._codes(pairs, shifts, span)
        place = np.minimum(np.searchsorted(codes, asked_codes), len(codes) - 1)
        is_stored = (codes[place] == asked_codes) & (np.abs(shifts) <= span).all(axis=1)
        return np.where(is_stored, order[place], -1)

    @cached_property
    def _sorted_codes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Edges in the order of their codes, and these codes."""
        codes = self._codes(self.pairs, self.shifts, _span(self.shifts))
        order = np.argsort(codes)
        return order, codes[order]

    def _codes(
        self, pairs: NDArray[np.int64], shifts: NDArray[np.int64], span: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """One integer per (i, j, shift), distinct for shifts within the span."""
        code = pairs[:, 0] * len(self.orbitals) + pairs[:, 1]
        for axis in range(3):
            code = code * (2 * span[axis] + 1) + shifts[:, axis] + span[axis]
        return np.asarray(code)

    def adjoint(self) -> BlockMatrix:
        """A^+: the block of (j, i, -shift) is the conjugate transpose of that of (i, j, shift), in the same order."""
        widths = self._columns * self._rows  # type: ignore[attr-defined]
        values = np.empty_like(self.values)
        for edges, index in self.groups(self.orbitals):
            element_index = self.pointers[edges][:, None] + np.arange(widths[edges[0]])
            values[element_index] = self.values[index].conj().transpose(0, 2, 1).reshape(len(edges), -1)
        return BlockMatrix(self.orbitals, self.pairs[:, ::-1], -self.shifts, values, self.spinor)

    def hermiticity_error(self) -> float:
        """Largest |A_ij(R) - A_ji(-R)^+|; a missing reverse block counts as zero."""
        difference = self.values - self.adjoint().on_pairs_of(self).values
        return float(np.abs(difference).max(initial=0.0))

    def symmetrize(self) -> BlockMatrix:
        """The Hermitian part, with H_ji(-R) = H_ij(R)^+ imposed exactly; missing reverse blocks are added."""
        total = self + self.adjoint()
        return total.with_values(0.5 * total.values)

    def on_pairs_of(self, other: BlockMatrix) -> BlockMatrix:
        """This matrix on the pairs of another one, in its order; pairs that are not stored here become zero blocks."""
        if np.array_equal(self.pairs, other.pairs) and np.array_equal(self.shifts, other.shifts):
            return self
        source = self.find(other.pairs, other.shifts)
        width = self.orbitals * (2 if self.spinor else 1)
        sizes = width[other.pairs[:, 0]] * width[other.pairs[:, 1]]
        pointers = running_sum(sizes)
        start = np.where(source < 0, -1, self.pointers[source])
        element_index = np.arange(pointers[-1]) - np.repeat(pointers[:-1], sizes)
        is_stored = np.repeat(source >= 0, sizes)
        values = np.zeros(pointers[-1], dtype=self.values.dtype)
        values[is_stored] = self.values[(np.repeat(start, sizes) + element_index)[is_stored]]
        return BlockMatrix(self.orbitals, other.pairs, other.shifts, values, self.spinor)

    def unite_with(self, other: BlockMatrix) -> tuple[BlockMatrix, BlockMatrix]:
        """Both matrices on the union of their pairs (zero blocks where one has none).

        Raises:
            HarmoseError: The two have different numbers of orbitals.
        """
        if not np.array_equal(self.orbitals, other.orbitals):
            raise HarmoseError("Two matrices of different structures or bases cannot share a pair list.")
        keys = np.concatenate([np.concatenate([m.pairs, m.shifts], axis=1) for m in (self, other)])
        union = np.unique(keys, axis=0)
        pairs, shifts = union[:, :2], union[:, 2:]
        empty = np.zeros(int((self.orbitals[pairs[:, 0]] * self.orbitals[pairs[:, 1]]).sum()))
        frame = BlockMatrix(self.orbitals, pairs, shifts, empty)
        return self.on_pairs_of(frame), other.on_pairs_of(frame)

    def reorder(self, index: NDArray[np.int64], sign: NDArray[np.float64]) -> BlockMatrix:
        """Orbitals permuted and signed inside every atom: new[k] = sign[k] old[index[k]].

        Args:
            index: (ao,) spatial orbital indices of the whole structure; must not cross atoms.
            sign: (ao,).

        Raises:
            HarmoseError: The index moves an orbital to another atom.
        """
        offsets = running_sum(self.orbitals)
        local = np.asarray(index) - np.repeat(offsets[:-1], self.orbitals)
        if (local < 0).any() or (local >= np.repeat(self.orbitals, self.orbitals)).any():
            raise HarmoseError("Orbitals may be reordered inside an atom only; the index crosses atoms.")
        factor = np.asarray(sign)
        if self.spinor:
            local, factor = np.concatenate([local, local + np.repeat(self.orbitals, self.orbitals)]), np.tile(factor, 2)
        sizes = np.diff(self.pointers)
        row, column = self.coordinates()
        old_start = np.repeat(self.pointers[:-1], sizes)
        old_start += local[row] * np.repeat(self._columns, sizes) + local[column]  # type: ignore[attr-defined]
        return self.with_values(self.values[old_start] * (factor[row] * factor[column]))

    def __add__(self, other: BlockMatrix) -> BlockMatrix:
        return self._combine(other, 1.0)

    def __sub__(self, other: BlockMatrix) -> BlockMatrix:
        return self._combine(other, -1.0)

    def _combine(self, other: BlockMatrix, factor: float) -> BlockMatrix:
        if self.spinor != other.spinor or not np.array_equal(self.orbitals, other.orbitals):
            raise HarmoseError("Two matrices of different structures, bases or spin layouts cannot be added.")
        same_pairs = np.array_equal(self.pairs, other.pairs) and np.array_equal(self.shifts, other.shifts)
        a, b = (self, other) if same_pairs else self.unite_with(other)
        return a.with_values(a.values + factor * b.values)


def _dense_index(orbitals: NDArray[np.int64], pairs: NDArray[np.int64], spinor: bool) -> NDArray[np.int64]:
    """Flat dense index of every value of these blocks; for spinors spin up of the whole structure comes first."""
    total, spins = int(orbitals.sum()), 2 if spinor else 1
    offsets = running_sum(orbitals)[:-1]
    sizes = spins**2 * orbitals[pairs[:, 0]] * orbitals[pairs[:, 1]]
    pointers = running_sum(sizes)
    out = np.empty(pointers[-1], dtype=np.int64)
    for n, m in np.unique(orbitals[pairs], axis=0):
        edges = np.flatnonzero((orbitals[pairs] == (n, m)).all(axis=1))
        row, column = (
            (np.arange(spins)[:, None] * total + np.arange(width)).ravel() + offsets[pairs[edges, side], None]
            for side, width in ((0, n), (1, m))
        )
        dense = row[:, :, None] * (spins * total) + column[:, None, :]
        out[pointers[edges][:, None] + np.arange(sizes[edges[0]])] = dense.reshape(len(edges), -1)
    return out


def _span(shifts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Largest absolute lattice shift along each vector, (3,)."""
    return np.asarray(np.abs(shifts).max(axis=0, initial=0))
