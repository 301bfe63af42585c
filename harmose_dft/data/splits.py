"""Training, validation and test sets: by molecule, at random, or in the order of a trajectory."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from .dataset import Dataset

SPLITS = ("train", "validation", "test")
"""Names of the parts, in the order in which sizes are given."""

Split = dict[str, NDArray[np.int64]]


def split_of_smiles(smiles: str) -> str:
    """Part that a molecule belongs to, for good: crc32(smiles) modulo ten is 0 for test, 1 for validation.

    The rule depends on nothing but the SMILES, so a molecule stays where it is when others are added.
    """
    return {0: "test", 1: "validation"}.get(zlib.crc32(smiles.encode()) % 10, "train")


def smiles_split(dataset: Dataset) -> Split:
    """Records of each part, by the SMILES in their metadata.

    Raises:
        DataError: A record has no SMILES.
    """
    indices: dict[str, list[int]] = {name: [] for name in SPLITS}
    for i in range(len(dataset)):
        smiles = dataset.metadata(i).get("smiles")
        if not smiles:
            raise DataError(
                f"Record {i} has no SMILES, so it cannot be split by molecule. Split at random or in order instead."
            )
        indices[split_of_smiles(smiles)].append(i)
    return {name: np.array(rows, dtype=np.int64) for name, rows in indices.items()}


def random_split(count: int, sizes: Sequence[int], seed: int = 0) -> Split:
    """Disjoint random parts: consecutive slices of numpy's default generator's permutation.

    Args:
        count: Number of records.
        sizes: Sizes of the training and validation sets and, optionally, the test set (the rest if absent).
        seed: Seed of the permutation.

    Raises:
        DataError: The parts need more records than there are.
    """
    return _slice_parts(np.random.default_rng(seed).permutation(count), sizes)


def ordered_split(count: int, sizes: Sequence[int]) -> Split:
    """Consecutive parts in the order of the file: extrapolation along a trajectory.

    Args:
        count: Number of records.
        sizes: As for :func:`random_split`.

    Raises:
        DataError: The parts need more records than there are.
    """
    return _slice_parts(np.arange(count), sizes)


def split_dataset(dataset: Dataset, kind: str, sizes: Sequence[int] = (), seed: int = 0) -> Split:
    """Records of a data set that train, validate and test.

    Args:
        dataset: The data set.
        kind: "smiles", "random" or "ordered".
        sizes: As for :func:`random_split`; 80, 10 and 10 % if empty, at least one record of several for validation.
        seed: As for :func:`random_split`.

    Raises:
        DataError: A record has no SMILES, or the parts need more records than there are.
    """
    if kind == "smiles":
        return smiles_split(dataset)
    count = len(dataset)
    tenth = count // 10
    validation = max(tenth, min(count - 1, 1))
    sizes = sizes or (count - validation - tenth, validation)
    return ordered_split(count, sizes) if kind == "ordered" else random_split(count, sizes, seed)


def _slice_parts(order: NDArray[np.int64], sizes: Sequence[int]) -> Split:
    if len(sizes) not in (2, 3) or min(sizes) < 0:
        raise DataError(f"A split needs two or three sizes that are not negative; got {list(sizes)}.")
    if sum(sizes) > len(order):
        raise DataError(f"A split into {list(sizes)} needs {sum(sizes)} records; the data set has {len(order)}.")
    train, validation = sizes[0], sizes[0] + sizes[1]
    test = validation + sizes[2] if len(sizes) == 3 else len(order)
    return {"train": order[:train], "validation": order[train:validation], "test": order[validation:test]}
