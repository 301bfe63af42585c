"""Sparse Hamiltonian-like matrices stored as blocks of atom pairs, for molecules and crystals alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import HarmoseError, StructureError

if TYPE_CHECKING:
    import scipy.sparse
    import sisl

    from .structure import Structure

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
        HarmoseError: Shapes disagree or a pair occurs twice.
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
        rows, columns = self._block_shapes()
        pointers = np.concatenate([[0], np.cumsum(rows * columns)])
        object.__setattr__(self, "_rows", rows)
        object.__setattr__(self, "_columns", columns)
        object.__setattr__(self, "_pointers", pointers)
        if len(values) != pointers[-1]:
            raise HarmoseError(f"The blocks of these pairs hold {pointers[-1]} numbers; got {len(values)}.")
        keys = {tuple(k) for k in np.concatenate([self.pairs, self.shifts], axis=1).tolist()}
        if len(keys) != len(self.pairs):
            raise HarmoseError(f"Each pair may occur once; {len(self.pairs) - len(keys)} of {len(self.pairs)} repeat.")

    def _block_shapes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        width = self.orbitals * (2 if self.spinor else 1)
        return width[self.pairs[:, 0]], width[self.pairs[:, 1]]

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        kind = "spinor " if self.spinor else ""
        return f"BlockMatrix({kind}{len(self.orbitals)} atoms, {self.size} orbitals, {len(self)} pairs, {self.values.dtype})"

    @property
    def size(self) -> int:
        """Dimension of the dense matrix (spin included for spinors)."""
        return int(self.orbitals.sum()) * (2 if self.spinor else 1)

    @property
    def pointers(self) -> NDArray[np.int64]:
        """Start of each block in ``values``, (edge + 1,)."""
        return self._pointers  # type: ignore[attr-defined,no-any-return]

    def block(self, edge: int) -> Array:
        """Block of one pair, shape (rows, columns); a view."""
        begin, end = self.pointers[edge], self.pointers[edge + 1]
        return self.values[begin:end].reshape(self._rows[edge], self._columns[edge])  # type: ignore[attr-defined,no-any-return]

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
        where = _atom_indices(orbitals, spinor)
        flat = [dense[np.ix_(where[i], where[j])].ravel() for i, j in pairs]
        return cls(orbitals, pairs, np.zeros((len(pairs), 3), dtype=np.int64), np.concatenate(flat), spinor)

    def with_values(self, values: Array) -> BlockMatrix:
        """The same pairs with other values."""
        return BlockMatrix(self.orbitals, self.pairs, self.shifts, values, self.spinor)

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
        dense, rows, columns = self._scatter()
        phase = self._phases(k)
        values = self.values if phase is None else self.values * np.repeat(phase, np.diff(self.pointers))
        flat = np.bincount(dense, weights=values.real, minlength=rows * columns)
        if values.dtype.kind == "c":
            flat = flat + 1j * np.bincount(dense, weights=values.imag, minlength=rows * columns)
        return flat.reshape(rows, columns)

    def to_scipy_sparse(self, k: ArrayLike = (0.0, 0.0, 0.0)) -> scipy.sparse.csr_array:
        """A(k) as a scipy CSR array."""
        from scipy.sparse import coo_array

        dense, rows, columns = self._scatter()
        phase = self._phases(k)
        values = self.values if phase is None else self.values * np.repeat(phase, np.diff(self.pointers))
        return coo_array((values, (dense // columns, dense % columns)), shape=(rows, columns)).tocsr()

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
            inside = np.arange(rows * columns).reshape(rows, columns)
            yield edges, self.pointers[edges][:, None, None] + inside

    def _scatter(self) -> tuple[NDArray[np.int64], int, int]:
        """Flat dense index of every stored value; computed once."""
        cached = getattr(self, "_scatter_index", None)
        if cached is None:
            where = _atom_indices(self.orbitals, self.spinor)
            parts = [
                (where[i][:, None] * self.size + where[j][None, :]).ravel() for i, j in self.pairs.tolist()
            ]
            cached = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)
            object.__setattr__(self, "_scatter_index", cached)
        return cached, self.size, self.size

    def reverse_edges(self) -> NDArray[np.int64]:
        """Edge index of (j, i, -shift) for every (i, j, shift), or -1 where it is not stored; (edge,)."""
        keys = np.concatenate([self.pairs, self.shifts], axis=1)
        lookup = {tuple(k): e for e, k in enumerate(keys.tolist())}
        return np.array([lookup.get((j, i, -x, -y, -z), -1) for i, j, x, y, z in keys.tolist()], dtype=np.int64)

    def hermiticity_error(self) -> float:
        """Largest |A_ij(R) - A_ji(-R)^+|; a missing reverse block counts as zero."""
        worst = 0.0
        for e, back in enumerate(self.reverse_edges()):
            other = 0.0 if back < 0 else self.block(int(back)).conj().T
            worst = max(worst, float(np.abs(self.block(e) - other).max(initial=0.0)))
        return worst

    def symmetrized(self) -> BlockMatrix:
        """The Hermitian part, with H_ji(-R) = H_ij(R)^+ imposed exactly; missing reverse blocks are added."""
        found = {(i, j, *shift): block for i, j, shift, block in self.blocks()}
        out: dict[tuple[int, int, int, int, int], Array] = {}
        for (i, j, x, y, z), block in found.items():
            back = found.get((j, i, -x, -y, -z))
            mean = 0.5 * (block + back.conj().T) if back is not None else 0.5 * block
            out[i, j, x, y, z] = mean
            out[j, i, -x, -y, -z] = mean.conj().T
        return BlockMatrix.from_blocks(self.orbitals, out, spinor=self.spinor)

    def on_pairs_of(self, other: BlockMatrix) -> BlockMatrix:
        """This matrix on the pairs of another one, in its order; pairs that are not stored here become zero blocks."""
        own = {(i, j, *shift): block for i, j, shift, block in self.blocks()}
        width = self.orbitals * (2 if self.spinor else 1)
        flat = []
        for i, j, shift, _ in other.blocks():
            block = own.get((i, j, *shift))
            flat.append(np.zeros(width[i] * width[j], self.values.dtype) if block is None else block.ravel())
        values = np.concatenate(flat) if flat else np.zeros(0)
        return BlockMatrix(self.orbitals, other.pairs, other.shifts, values, self.spinor)

    def united_with(self, other: BlockMatrix) -> tuple[BlockMatrix, BlockMatrix]:
        """Both matrices on the union of their pairs (zero blocks where one has none).

        Raises:
            HarmoseError: The two have different numbers of orbitals.
        """
        if not np.array_equal(self.orbitals, other.orbitals):
            raise HarmoseError("Two matrices of different structures or bases cannot share a pair list.")
        n = self.orbitals
        keys = {(*p, *s) for m in (self, other) for p, s in zip(m.pairs.tolist(), m.shifts.tolist(), strict=True)}
        union = BlockMatrix.from_blocks(n, {k: np.zeros((n[k[0]], n[k[1]])) for k in keys})
        return self.on_pairs_of(union), other.on_pairs_of(union)

    def reordered(self, index: NDArray[np.int64], sign: NDArray[np.float64]) -> BlockMatrix:
        """Orbitals permuted and signed inside every atom: new[k] = sign[k] old[index[k]].

        Args:
            index: (ao,) spatial orbital indices of the whole structure; must not cross atoms.
            sign: (ao,).
        """
        offsets = np.concatenate([[0], np.cumsum(self.orbitals)])
        local = [index[a:b] - a for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        signs = [sign[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        if self.spinor:
            local = [np.concatenate([p, p + n]) for p, n in zip(local, self.orbitals, strict=True)]
            signs = [np.concatenate([s, s]) for s in signs]
        flat = [
            (block[np.ix_(local[i], local[j])] * signs[i][:, None] * signs[j][None, :]).ravel()
            for i, j, _, block in self.blocks()
        ]
        return self.with_values(np.concatenate(flat) if flat else self.values)

    def __add__(self, other: BlockMatrix) -> BlockMatrix:
        return self._combine(other, 1.0)

    def __sub__(self, other: BlockMatrix) -> BlockMatrix:
        return self._combine(other, -1.0)

    def _combine(self, other: BlockMatrix, factor: float) -> BlockMatrix:
        if self.spinor != other.spinor or not np.array_equal(self.orbitals, other.orbitals):
            raise HarmoseError("Two matrices of different structures, bases or spin layouts cannot be added.")
        same = np.array_equal(self.pairs, other.pairs) and np.array_equal(self.shifts, other.shifts)
        a, b = (self, other) if same else self.united_with(other)
        return a.with_values(a.values + factor * b.values)

    def to_sisl(self, structure: Structure, overlap: BlockMatrix | None = None) -> sisl.Hamiltonian:
        """A ``sisl.Hamiltonian`` (eV, Angstrom) with this matrix as H and, where given, ``overlap`` as S.

        Raises:
            StructureError: The structure has no cell.
            HarmoseError: The matrix is a spinor matrix, which is not supported here.
        """
        from .sisl_export import to_sisl

        if not structure.periodic:
            raise StructureError("sisl needs a cell; this structure has none. Give the molecule a box first.")
        return to_sisl(self, structure, overlap)


def _atom_indices(orbitals: NDArray[np.int64], spinor: bool) -> list[NDArray[np.int64]]:
    """Dense indices of each atom's orbitals; for spinors spin up of the whole structure comes first."""
    offsets = np.concatenate([[0], np.cumsum(orbitals)])
    plain = [np.arange(a, b) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    return [np.concatenate([p, p + offsets[-1]]) for p in plain] if spinor else plain
