"""The records that a model is trained on, of one data set or of several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import overload

from ..adapters.datasets import open_dataset
from ..core.basis import OrbitalBasis
from ..core.errors import DataError
from ..core.record import Record
from ..core.structure import SYMBOLS
from ..data import SPLITS, Dataset, split_dataset
from ..model.checkpoint import ModelFile
from .config import DataConfig, TrainConfig


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Records of each part, read when asked for.

    Args:
        datasets: Where they are.
        indices: Part -> (data set, index) of its records, in turn from each data set.
        basis: Of all of them.
        functional: Of all of them, as their code names it.
    """

    datasets: tuple[Dataset, ...]
    indices: dict[str, list[tuple[int, int]]]
    basis: OrbitalBasis
    functional: str

    def records(self, part: str) -> list[tuple[int, int]]:
        """(data set, index) of the records of a part."""
        return self.indices[part]

    def has_ions(self, part: str) -> bool:
        """Whether a molecule of a part has a net charge."""
        return any(self.datasets[d].structure(i).charge != 0 for d, i in self.indices[part])

    def elements(self, records: Iterable[tuple[int, int]]) -> set[int]:
        """Atomic numbers in some records."""
        return {int(z) for d, i in records for z in self.datasets[d].structure(i).numbers}

    def record(self, index: tuple[int, int]) -> Record:
        """One record."""
        return self.datasets[index[0]][index[1]]

    def part(self, name: str) -> StoredRecords:
        """The records of a part, read when asked for."""
        return StoredRecords(self.datasets, self.indices[name])

    def for_model(self, model: ModelFile) -> TrainingData:
        """The same data for training a model further, in the model's basis and that of elements that are new to it.

        The functional may be another one, which the new model then has.

        Raises:
            BasisMismatchError: The data is in another basis.
        """
        shared = set(self.basis.elements) & set(model.basis.elements)
        model.basis.require_same(self.basis, shared)
        return replace(self, basis=OrbitalBasis.union([model.basis, self.basis]))


class StoredRecords(Sequence[Record]):
    """Records of several data sets in a given order, each read when asked for.

    Args:
        datasets: Where they are.
        places: (data set, index) of each.
    """

    def __init__(self, datasets: Sequence[Dataset], places: Sequence[tuple[int, int]]) -> None:
        self.datasets, self.places = datasets, places

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> StoredRecords: ...

    def __getitem__(self, index: int | slice) -> Record | StoredRecords:
        if isinstance(index, slice):
            return StoredRecords(self.datasets, self.places[index])
        dataset, place = self.places[index]
        return self.datasets[dataset][place]


def open_training_data(config: TrainConfig) -> TrainingData:
    """Open and split the data sets of a configuration.

    Raises:
        DataError: There are no files, their calculations are of different functionals, or none is left to learn from
            or, where the sizes of the parts are not given, to validate on.
        BasisMismatchError: They are in different bases.
    """
    settings = config.data
    if not settings.files:
        raise DataError("The configuration names no data: set data.files to one or more data sets.")
    datasets = tuple(open_dataset(path) for path in settings.files)
    basis = OrbitalBasis.union([dataset.basis for dataset in datasets])
    require_radial_functions(basis)
    splits = [split_dataset(d, settings.split, settings.sizes, settings.seed) for d in datasets]
    indices = {part: _in_turn([split[part].tolist() for split in splits]) for part in SPLITS}
    require_parts(indices, settings)
    if settings.max_training is not None:
        indices["train"] = indices["train"][: settings.max_training]
    return TrainingData(datasets, indices, basis, common_functional(datasets))


def require_parts(indices: Mapping[str, Sequence[object]], settings: DataConfig) -> None:
    """Refuse a split that leaves nothing to learn from, or, unless its sizes ask for that, nothing to validate on.

    Raises:
        DataError: With the numbers of records.
    """
    counts = {part: len(indices[part]) for part in SPLITS}
    if counts["train"] and (counts["validation"] or settings.sizes):
        return
    advice = (
        "Split at random instead (data.split: random), or add molecules." if settings.split == "smiles"
        else "Training needs at least two records in one data set, one of them to validate on; ten or more tell "
        "whether a model has improved. Label more structures, or join data sets: harmose-dft convert DATA... -o FILE."
    )
    raise DataError(
        f"Of the {sum(counts.values())} records of the data {counts['train']} would be learned from and "
        f"{counts['validation']} validated on; expected at least one each. {advice}"
    )


def require_radial_functions(basis: OrbitalBasis) -> None:
    """Refuse a basis from which no overlap can be computed, so that its model could predict nothing.

    Raises:
        DataError: A shell has no radial function, as those of DeepH's folders.
    """
    missing = [SYMBOLS[z] for z in basis.elements if not basis.has_radial([z])]
    if missing:
        raise DataError(
            f"The orbitals of {', '.join(missing)} have no radial functions, which DeepH's folders do not hold, and a "
            "model needs them to compute S and H0: convert the OpenMX or ABACUS calculations themselves, with their "
            ".pao or .orb files."
        )


def _in_turn(indices: Sequence[Sequence[int]]) -> list[tuple[int, int]]:
    """(data set, index), one of each data set after the other, so that a part of the list is of all of them."""
    located = [[(d, int(i)) for i in of_dataset] for d, of_dataset in enumerate(indices)]
    return [location for row in zip_longest(*located) for location in row if location is not None]


def common_functional(datasets: Sequence[Dataset]) -> str:
    """Exchange-correlation functional of all calculations that name one, as their code does; "unknown" if none does.

    Raises:
        DataError: There are several.
    """
    names = (str(d.metadata(i).get("functional", "unknown")) for d in datasets for i in range(len(d)))
    labels = {name.lower(): name for name in names if name != "unknown"}
    if len(labels) > 1:
        raise DataError(
            f"These data sets hold calculations of several functionals ({', '.join(sorted(labels.values()))}); a model "
            "learns one. Train on those of one functional."
        )
    return next(iter(labels.values()), "unknown")
