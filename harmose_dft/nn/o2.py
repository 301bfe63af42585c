"""Features and linear maps of the symmetry group O(2) of a bond.

A feature set has scalars (0+), pseudoscalars (0-, odd under reflection) and, for every m >= 1, pairs (cosine, sine).
Linear maps that commute with O(2) mix channels of equal m, with the same real matrix for cosine and sine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..core.arrays import running_sum
from .axis import SCALAR, MatrixAxis
from .layout import OrbitalLayout


@dataclass(frozen=True)
class O2Dims:
    """Channel counts of a feature set.

    Args:
        even: Scalars.
        odd: Pseudoscalars.
        pairs: Channels for m = 1, 2, ....
    """

    even: int
    odd: int
    pairs: tuple[int, ...]

    @property
    def m_max(self) -> int:
        """Highest angular frequency."""
        return len(self.pairs)

    @property
    def size(self) -> int:
        """Number of real components."""
        return self.even + self.odd + 2 * sum(self.pairs)

    def __add__(self, other: O2Dims) -> O2Dims:
        longest = max(self.m_max, other.m_max)
        a, b = (d.pairs + (0,) * (longest - d.m_max) for d in (self, other))
        return O2Dims(self.even + other.even, self.odd + other.odd, tuple(x + y for x, y in zip(a, b, strict=True)))


@dataclass
class O2Features:
    """Components of a feature set.

    Args:
        even: (edge, channel).
        odd: (edge, channel).
        pairs: For m = 1, 2, ...: (edge, 2, channel), cosine first.
    """

    even: Tensor
    odd: Tensor
    pairs: list[Tensor]

    @classmethod
    def split(cls, flat: Tensor, dims: O2Dims) -> O2Features:
        """From components laid out as even, odd, then cosine and sine of each m; (edge, dims.size)."""
        even, odd, *pair_parts = flat.split([dims.even, dims.odd, *(2 * c for c in dims.pairs)], dim=-1)
        return cls(even, odd, [x.reshape(len(x), 2, c) for x, c in zip(pair_parts, dims.pairs, strict=True)])

    def flat(self) -> Tensor:
        """Inverse of :meth:`split`."""
        return torch.cat([self.even, self.odd, *(p.flatten(1) for p in self.pairs)], dim=-1)

    @staticmethod
    def cat(features: Sequence[O2Features]) -> O2Features:
        """Channels of several feature sets side by side."""
        m_max = max(len(p.pairs) for p in features)
        pairs = [torch.cat([p.pairs[m] for p in features if m < len(p.pairs)], dim=-1) for m in range(m_max)]
        return O2Features(torch.cat([p.even for p in features], -1), torch.cat([p.odd for p in features], -1), pairs)

    @staticmethod
    def stack(features: Sequence[O2Features]) -> O2Features:
        """Edges of several feature sets with the same channels, one after the other."""
        pairs = [torch.cat(of_m) for of_m in zip(*(p.pairs for p in features), strict=True)]
        return O2Features(torch.cat([p.even for p in features]), torch.cat([p.odd for p in features]), pairs)

    def __add__(self, other: O2Features) -> O2Features:
        pairs = [a + b for a, b in zip(self.pairs, other.pairs, strict=True)]
        return O2Features(self.even + other.even, self.odd + other.odd, pairs)


@dataclass(frozen=True)
class O2Labels:
    """What each channel of a feature set is, to find it again in another set: see :data:`ParameterLabels`.

    Args:
        even: Of the scalars.
        odd: Of the pseudoscalars.
        pairs: Of the channels for m = 1, 2, ...
    """

    even: Sequence[object]
    odd: Sequence[object]
    pairs: Sequence[Sequence[object]]

    def repeat(self, count: int) -> O2Labels:
        """Channels of several sets of the same kind side by side."""
        def number(labels: Sequence[object]) -> list[object]:
            return [(k, label) for k in range(count) for label in labels]

        return O2Labels(number(self.even), number(self.odd), [number(of_m) for of_m in self.pairs])

    def of_inputs(self, name: str, layer: O2Linear) -> dict[str, Mapping[int, Sequence[object]]]:
        """Labels of the parameters of a linear map of these channels.

        Args:
            name: What the map is called in the layer that lists its labels.
            layer: The map.
        """
        pairs = {f"{name}.pairs.{m}": {0: labels} for m, labels in enumerate(self.pairs) if m < len(layer.pairs)}
        return {f"{name}.even.weight": {1: self.even}, f"{name}.odd": {0: self.odd}, **pairs}

    def of_outputs(self, name: str, layer: O2Linear) -> dict[str, Mapping[int, Sequence[object]]]:
        """Labels of the parameters of a linear map onto these channels; arguments as :meth:`of_inputs`."""
        pairs = {f"{name}.pairs.{m}": {1: labels} for m, labels in enumerate(self.pairs) if m < len(layer.pairs)}
        even = {f"{name}.even.weight": {0: self.even}, f"{name}.even.bias": {0: self.even}}
        return {**even, f"{name}.odd": {1: self.odd}, **pairs}


class O2Linear(nn.Module):
    """The general linear map between two feature sets that commutes with O(2).

    Args:
        inputs: Channels in.
        outputs: Channels out; a frequency that the input lacks gives zeros.
        gain: Standard deviation of the output for inputs of unit variance.
    """

    def __init__(self, inputs: O2Dims, outputs: O2Dims, *, gain: float = 1.0) -> None:
        super().__init__()
        self.inputs, self.outputs = inputs, outputs
        self.even = nn.Linear(inputs.even, outputs.even)
        nn.init.normal_(self.even.weight, std=gain / math.sqrt(max(inputs.even, 1)))
        nn.init.zeros_(self.even.bias)
        self.odd = _matrix(inputs.odd, outputs.odd, gain)
        m_shared = min(inputs.m_max, outputs.m_max)
        self.pairs = nn.ParameterList([_matrix(inputs.pairs[m], outputs.pairs[m], gain) for m in range(m_shared)])

    def forward(self, x: O2Features) -> O2Features:
        """Map a feature set."""
        pairs = [p @ w for p, w in zip(x.pairs, self.pairs, strict=False)]
        for channels in self.outputs.pairs[len(pairs) :]:
            pairs.append(x.even.new_zeros(len(x.even), 2, channels))
        return O2Features(self.even(x.even), x.odd @ self.odd, pairs)


def _matrix(rows: int, columns: int, gain: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) * gain / math.sqrt(max(rows, 1)))


class BlockComponents:
    """The orthogonal change between a padded block in the bond frame and its O(2) components.

    A pair of shells with |m1|, |m2| > 0 couples to frequencies |m1 - m2| and m1 + m2:
    cos/cos +- sin/sin and sin/cos +- cos/sin, each divided by sqrt(2); |m1| = |m2| gives one scalar and one
    pseudoscalar. Every row and column of the change holds at most two numbers, so it is applied as two gathers.

    Args:
        layout: Orbital slots.
    """

    axis = MatrixAxis((SCALAR,))

    def __init__(self, layout: OrbitalLayout) -> None:
        rows, even, odd, pairs = _component_rows(layout)
        self.dims = O2Dims(even, odd, pairs)
        self.analysis, self.synthesis = two_gathers(rows)
        self.width, self._rows, self._layout = layout.size, rows, layout

    def split(self, blocks: Tensor) -> O2Features:
        """O(2) components of blocks (edge, 1, n, n) given in the bond frame."""
        flat = apply_gathers(blocks.flatten(1), self.analysis, self.synthesis)
        return O2Features.split(flat, self.dims)

    def labels(self) -> O2Labels:
        """The elements of a block that each component is made of."""
        n, orbitals = self.width, self._layout.labels()
        labels = [tuple((orbitals[p // n], orbitals[p % n], round(w, 6)) for p, w in row) for row in self._rows]
        even, odd, pairs = self.dims.even, self.dims.odd, []
        start = even + odd
        for count in self.dims.pairs:
            pairs.append(labels[start : start + count])
            start += 2 * count
        return O2Labels(labels[:even], labels[even : even + odd], pairs)

    def assemble(self, features: O2Features) -> Tensor:
        """Blocks (edge, 1, n, n) in the bond frame from their components."""
        flat = features.flat()
        return apply_gathers(flat, self.synthesis, self.analysis).reshape(len(flat), 1, self.width, self.width)


Gathers = tuple[Tensor, Tensor, Tensor, Tensor]


class TwoGathers(torch.autograd.Function):
    """x -> a * x[index_a] + b * x[index_b], whose gradient is the same form with the transposed tables."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, table: Gathers, backward_table: Gathers) -> Tensor:
        ctx.back = backward_table  # type: ignore[attr-defined]
        return _gather(x, table)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _gather(gradient, ctx.back), None, None  # type: ignore[attr-defined]


def apply_gathers(x: Tensor, table: Gathers, backward_table: Gathers) -> Tensor:
    """Sums of two scaled columns of x for every column of the result; see :class:`TwoGathers`."""
    gathered: Tensor = TwoGathers.apply(x, table, backward_table)  # type: ignore[no-untyped-call]
    return gathered


def _gather(x: Tensor, table: Gathers) -> Tensor:
    index_a, index_b, a, b = (t.to(x.device) for t in table)
    first = x.index_select(1, index_a).mul_(a.to(x.dtype))
    return first.addcmul_(x.index_select(1, index_b), b.to(x.dtype))


def two_gathers(rows: Sequence[Entries]) -> tuple[Gathers, Gathers]:
    """Tables of a square matrix, given by the entries of its rows, and of its transpose."""
    matrix = np.zeros((len(rows), len(rows)))
    for k, entries in enumerate(rows):
        for position, value in entries:
            matrix[k, position] = value
    return _gathers(matrix), _gathers(matrix.T)


def _gathers(matrix: np.ndarray) -> Gathers:
    """Tables of a matrix with at most two numbers in a row."""
    n = len(matrix)
    index, weight = np.zeros((2, n), dtype=np.int64), np.zeros((2, n))
    for k in range(n):
        nonzero = np.flatnonzero(matrix[k])
        index[: len(nonzero), k], weight[: len(nonzero), k] = nonzero, matrix[k, nonzero]
    return (
        torch.from_numpy(index[0]),
        torch.from_numpy(index[1]),
        torch.from_numpy(weight[0]),
        torch.from_numpy(weight[1]),
    )


Entries = list[tuple[int, float]]


def _component_rows(layout: OrbitalLayout) -> tuple[list[Entries], int, int, tuple[int, ...]]:
    """Rows of the analysis matrix in the order even, odd, cosine and sine of m = 1, 2, ..."""
    n, half = layout.size, math.sqrt(0.5)
    starts = running_sum([2 * l + 1 for l in layout.slots])
    even: list[Entries] = []
    odd: list[Entries] = []
    cosine: dict[int, list[Entries]] = {m: [] for m in range(1, 2 * layout.l_max + 1)}
    sine: dict[int, list[Entries]] = {m: [] for m in range(1, 2 * layout.l_max + 1)}
    for a, l1 in enumerate(layout.slots):
        for b, l2 in enumerate(layout.slots):
            def at(m1: int, m2: int, row: int = int(starts[a]) + l1, column: int = int(starts[b]) + l2) -> int:
                return (row + m1) * n + column + m2

            even.append([(at(0, 0), 1.0)])
            for m in range(1, l2 + 1):
                cosine[m].append([(at(0, m), 1.0)])
                sine[m].append([(at(0, -m), 1.0)])
            for m in range(1, l1 + 1):
                cosine[m].append([(at(m, 0), 1.0)])
                sine[m].append([(at(-m, 0), 1.0)])
            for m1 in range(1, l1 + 1):
                for m2 in range(1, l2 + 1):
                    cc, ss, cs, sc = at(m1, m2), at(-m1, -m2), at(m1, -m2), at(-m1, m2)
                    cosine[m1 + m2].append([(cc, half), (ss, -half)])
                    sine[m1 + m2].append([(cs, half), (sc, half)])
                    turn = half if m1 >= m2 else -half
                    if m1 == m2:
                        even.append([(cc, half), (ss, half)])
                        odd.append([(sc, half), (cs, -half)])
                    else:
                        cosine[abs(m1 - m2)].append([(cc, half), (ss, half)])
                        sine[abs(m1 - m2)].append([(sc, turn), (cs, -turn)])
    rows = even + odd
    counts = []
    for m in sorted(cosine):
        rows += cosine[m] + sine[m]
        counts.append(len(cosine[m]))
    while counts and counts[-1] == 0:
        counts.pop()
    return rows, len(even), len(odd), tuple(counts)
