"""The systems of the materials benchmark: where their calculations are, and which of them test."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from common import ROOT

from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.adapters.registry import read_calculations
from harmose_dft.core.record import Record
from harmose_dft.data import DatasetWriter

SHARED = ROOT.parent / "shared"

TESTS = 3
"""A snapshot tests where its index modulo five is 3. The indices of a system number independent random structures, so
that it is a random fifth, and further snapshots never leave the part that they are in. Fixed before anything was
trained."""

FIFTH = 5


@dataclass(frozen=True)
class System:
    """One set of snapshots.

    Args:
        title: For tables.
        paper: Abbreviation in the paper of the method.
        folder: Its folder below ``root``.
        root: Folder below ``--shared``.
        tests: Names of its test snapshots; by index where there are none.
        twisted: Folder of twisted cells, which only test.
    """

    title: str
    paper: str
    folder: str
    root: str = "sets/openmx"
    tests: tuple[str, ...] = ()
    twisted: str | None = None

    def is_test(self, name: str) -> bool:
        """Whether the snapshot of a name, such as snap_03, tests."""
        return name in self.tests if self.tests else int(name.rpartition("_")[2]) % FIFTH == TESTS


SYSTEMS = {
    "MG": System("graphene, 3 x 3", "MG", "graphene_3x3", "samples/openmx",
                 tests=("snap01", "snap08", "snap15")),
    "MM": System("MoS2, 3 x 3", "MM", "MoS2_3x3"),
    "BG": System("bilayer graphene, 2 x 2", "BG", "graphene_bilayer_2x2", twisted="graphene_bilayer_twist"),
    "BB": System("bilayer bismuthene", "BB", "bismuthene_bilayer", twisted="bismuthene_bilayer_twist"),
    "BT": System("bilayer Bi2Te3", "BT", "Bi2Te3_bilayer"),
    "BS": System("bilayer Bi2Se3", "BS", "Bi2Se3_bilayer"),
    "MG-abacus": System("graphene, 3 x 3, ABACUS", "MG-abacus", "graphene_3x3", "samples/abacus",
                        tests=("snap01", "snap08", "snap15")),
    "MM-abacus": System("MoS2, 3 x 3, ABACUS", "MM-abacus", "MoS2_3x3_abacus"),
}
"""The six systems of the paper, and two of them by another code."""

SIX = ("MG", "MM", "BG", "BB", "BT", "BS")


@dataclass(frozen=True)
class Snapshots:
    """Snapshots of a system as data sets.

    Args:
        train: Path of those that train.
        test: Path of those that test.
        train_names: Names in the order of the file.
        test_names: Names in the order of the file.
    """

    train: Path
    test: Path
    train_names: tuple[str, ...]
    test_names: tuple[str, ...]

    def records(self, part: str) -> list[Record]:
        """Calculations of "train" or "test"."""
        dataset = open_dataset(getattr(self, part))
        return [dataset[i] for i in range(len(dataset))]


def folders_of(folder: str, roots: Sequence[Path]) -> list[Path]:
    """Folders of finished snapshots, those of the first root first."""
    paths = [path for root in roots for path in sorted((root / folder).glob("snap*"), key=lambda p: (len(p.name), p))]
    # A labeller writes done.json last; sets without such files are complete.
    labelled = {path.parent for path in paths if (path / "done.json").exists()}
    return [p for p in paths if (p / "done.json").exists() or p.parent not in labelled]


def collect(system: System, shared: Path, more: Path, work: Path, most: int | None = None) -> Snapshots:
    """Convert the snapshots of a system that are not converted yet.

    Args:
        system: The system.
        shared: Folder that holds ``sets`` and ``samples``.
        more: Folder of further calculations, one folder a system.
        work: Where data sets go.
        most: Train on this many snapshots only, the first ones.
    """
    paths = folders_of(system.folder, (shared / system.root, more))
    train = [p for p in paths if not system.is_test(p.name)][:most]
    test = [p for p in paths if system.is_test(p.name)]
    if not train or not test:
        raise click.UsageError(f"There are {len(paths)} snapshots of {system.title}; some must train, some test.")
    return Snapshots(
        _data_set(work, f"{system.paper}-train", train), _data_set(work, f"{system.paper}-test", test),
        tuple(p.name for p in train), tuple(p.name for p in test),
    )


def twisted(system: System, shared: Path, more: Path, work: Path) -> Path | None:
    """The data set of a system's twisted cells, where there are any."""
    paths = [] if system.twisted is None else folders_of(system.twisted, (shared / system.root, more))
    return _data_set(work, f"{system.paper}-twisted", paths) if paths else None


def _data_set(work: Path, name: str, folders: Sequence[Path]) -> Path:
    """The calculations of some folders as one data set, made once for each choice of folders."""
    chosen = hashlib.sha256(" ".join(p.name for p in folders).encode()).hexdigest()[:8]
    path = work / "data" / f"{name}-{len(folders)}-{chosen}.h5"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with DatasetWriter(path) as writer:
            for folder in folders:
                for record in read_calculations(folder):
                    writer.add(record)
    return path
