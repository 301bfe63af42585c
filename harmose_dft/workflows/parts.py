"""Which records of a data set a model was trained on, and which are left to measure it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..core.errors import DataError
from ..core.files import sha256
from ..core.structure import Structure
from ..data import Dataset, split_dataset, structure_id
from ..training.provenance import ID_DIGITS, STRUCTURE_IDS

Part = Literal["train", "validation", "test"]
"""Part of a data set that was split for training."""


@dataclass(frozen=True, eq=False)
class TrainedRecords:
    """What the training of a model had of a data set, whose file is hashed once.

    Args:
        training: What the model's file says of its training.
        dataset: The data set.
        is_own_file: Whether the last training had this very file, by its hash.
        is_used: Whether training or its validation used each record, (record,), see :meth:`find`.
    """

    training: Mapping[str, Any]
    dataset: Dataset
    is_own_file: bool
    is_used: NDArray[np.bool_]

    @classmethod
    def find(cls, training: Mapping[str, Any], dataset: Dataset) -> TrainedRecords:
        """Look up the file and its structures.

        A record counts as used if the file is one that the model was trained on and its split says so, or if its
        structure is one of those that the model's file lists, whatever file it came from; the trainings that a
        training went on from count. Models of earlier releases list no structures: of them a copy of a file that was
        written anew is not recognised.
        """
        digest = sha256(dataset.path)
        is_used = np.zeros(len(dataset), dtype=np.bool_)
        for each in _trainings(training):
            if _has_file(each, digest):
                split = _split(each, dataset)
                is_used[np.concatenate([split["train"], split["validation"]])] = True
        if listed := _structure_keys(training):
            is_used |= np.array([key[:ID_DIGITS] in listed for key in dataset.ids], dtype=np.bool_)
        return cls(training, dataset, _has_file(training, digest), is_used)

    def select(self, part: Part | None) -> list[int]:
        """Indices of a part of the data set.

        Of a file that the model was trained on: of the split it was trained with. Of another file that holds structures
        of its training: what training did not see is the part "test". Of others: of the split by SMILES. No record of
        the part "test" was trained on.

        Args:
            part: None for all.

        Raises:
            DataError: The split does not fit the data set, a record has no SMILES to split by, or there is no such
                part.
        """
        dataset, is_used = self.dataset, self.is_used
        if part is None:
            return list(range(len(dataset)))
        if is_used.any() and not self.is_own_file:
            if part != "test":
                raise DataError(
                    f"The model was trained on {is_used.sum()} of the {len(dataset)} structures of "
                    f"{dataset.path.name}, but not on this file, so that it has no part {part!r}. Give --part test for "
                    "the others, or no part for all."
                )
            return np.flatnonzero(~is_used).tolist()
        if not self.is_own_file:
            _require_smiles(dataset, part, self.training)
        split = _split(self.training if self.is_own_file else {}, dataset)
        return [int(i) for i in split[part] if part != "test" or not is_used[i]]

    def describe(self, indices: Sequence[int]) -> str | None:
        """A note on records that the model was trained on, or may have been; None where there are none.

        Args:
            indices: The records that it is measured on.
        """
        name = self.dataset.path.name
        count = int(self.is_used[list(indices)].sum())
        if count:
            return (
                f"{name}: the model was trained on {count} of these {len(indices)} records; --part test leaves them "
                "out."
            )
        if not self.is_own_file and not _lists_all(self.training):
            return (
                f"{name}: the model was not trained on this file. Its structures may have been in training all the "
                "same: the model's file does not list those of its training, so that copies of them are not recognised."
            )
        return None


def is_trained_on(training: Mapping[str, Any], structure: Structure) -> bool | None:
    """Whether a structure is one of those that a model's file lists of its training, and of those it went on from.

    None where the file lists none.

    Args:
        training: What the model's file says of its training.
        structure: The structure, as its calculation's files have it.
    """
    return structure_id(structure)[:ID_DIGITS] in _structure_keys(training) if _lists_all(training) else None


def _require_smiles(dataset: Dataset, part: Part, training: Mapping[str, Any]) -> None:
    """Refuse a part of a file that cannot be split by SMILES, which is how files are split that training did not have.

    Raises:
        DataError: A record has no SMILES.
    """
    missing = next((i for i in range(len(dataset)) if not dataset.metadata(i).get("smiles")), None)
    if missing is None:
        return
    advice = ", or use a model whose file lists the structures of its training, which --part test leaves out"
    if any(each.get(STRUCTURE_IDS) for each in _trainings(training)):
        advice = "; training used none of its structures"
    raise DataError(
        f"{dataset.path.name} has no part {part!r}: the model was not trained on this file, and record {missing + 1} "
        f"has no SMILES to split it by. Measure the whole file, without --part{advice}."
    )


def _has_file(training: Mapping[str, Any], digest: str) -> bool:
    """Whether a file of this hash was among the data sets of a training."""
    return digest in training.get("data_sha256", {}).values()


def _structure_keys(training: Mapping[str, Any]) -> set[str]:
    """Beginnings of the identities of the structures that a training, and those that it went on from, list."""
    return {key for each in _trainings(training) for key in each.get(STRUCTURE_IDS, "").split()}


def _lists_all(training: Mapping[str, Any]) -> bool:
    """Whether a training, and those that it went on from, list their structures."""
    return all(each.get(STRUCTURE_IDS) for each in _trainings(training))


def _trainings(training: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A training and those that it went on from, the last one first."""
    yield training
    start = training.get("started_from")
    if start is not None:
        yield from _trainings(start.get("training", {}))


def _split(training: Mapping[str, Any], dataset: Dataset) -> dict[str, NDArray[np.int64]]:
    """Records of each part of a data set, by the split of a training, or by SMILES."""
    return split_dataset(dataset, **training.get("split", {"kind": "smiles"}))
