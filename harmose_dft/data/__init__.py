"""Data sets of reference calculations: the package's own HDF5 format, the common interface, and splits."""

from __future__ import annotations

from .columns import Failure
from .dataset import Dataset, HDF5Dataset, open_dataset
from .identity import structure_id
from .splits import SPLITS, ordered_split, random_split, smiles_split, split_dataset, split_of_smiles
from .writer import DatasetWriter, merge

__all__ = [
    "SPLITS",
    "Dataset",
    "DatasetWriter",
    "Failure",
    "HDF5Dataset",
    "merge",
    "open_dataset",
    "ordered_split",
    "random_split",
    "smiles_split",
    "split_dataset",
    "split_of_smiles",
    "structure_id",
]
