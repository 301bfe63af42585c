"""A very small training on molecules of water, without files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from harmose_dft.model.featurize import Featurizer
from harmose_dft.testing.models import tiny_config, water_record, write_waters
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.loop import Trainer
from harmose_dft.training.prepare import RawSample, SampleBuilder
from harmose_dft.training.samples import Sample
from harmose_dft.training.start import build_network

LAB = {"kind": "lab", "layers": 1, "width": 16, "heads": 2, "l_max": 2, "pair_channels": 2}
FIRST = {"layers": 1, "channels": 4, "l_max": 2, "pair_channels": 8, "hidden_channels": 8, "radial": 6}
STAGED = {"mode": "staged", "first_fraction": 0.5}


@cache
def builder() -> SampleBuilder:
    """Makes samples of LDA/STO-3G waters on top of SAP."""
    from harmose_dft.physics.gaussian import GaussianPhysics
    from harmose_dft.physics.h0.sap import SapH0

    config, basis = tiny_config(), water_record(0).basis
    return SampleBuilder(
        Featurizer(basis, config.inputs, config.model.first.cutoff, damped=True, lattice=False),
        GaussianPhysics(basis, SapH0(basis)),
        config.model.first.l_max,
    )


@cache
def raw_waters() -> tuple[RawSample, ...]:
    """Five calculations."""
    return tuple(builder().make_raw(water_record(k)) for k in range(5))


@cache
def waters() -> tuple[Sample, ...]:
    """Four training samples and one for validation."""
    raws = raw_waters()
    return tuple(builder().make_samples(list(raws), builder().fit_normalizer(raws[:4])))


def trainer(config: TrainConfig | None = None) -> Trainer:
    """An untrained model with its trainer."""
    config = config or tiny_config()
    network = build_network(water_record(0).basis, builder().fit_normalizer(raw_waters()[:4]), config)
    return Trainer(network, waters()[:4], waters()[4:], config)


def run(subject: Trainer, steps: int) -> list[float]:
    """Updates; the error of each batch."""
    return [subject.update()[0] for _ in range(steps)]


def write_config(folder: Path, **changes: object) -> Path:
    """A configuration file beside a data set of six waters."""
    import yaml

    if not (folder / "waters.h5").exists():
        write_waters(folder / "waters.h5", range(6))
    settings = {
        "name": "tiny",
        "data": {"files": ["waters.h5"], "split": "ordered", "sizes": [4, 2]},
        "baseline": {"kind": "sap"},
        "model": {"first": FIRST, "second": {"kind": "circle", "layers": 1, "width": 8, "heads": 2, "points": 8}},
        "optimizer": {"steps": 4, "batch_size": 2},
        "output": str(folder / "model"),
        "validate_every": 2,
        "threads": 1,
        **changes,
    }
    path = folder / "train.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path
