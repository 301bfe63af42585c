"""Second stages as an extension point: one class in one file is trained, saved, loaded and predicts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from extensions import run_extended

from harmose_dft.model.stage2.base import TrainingMoment
from harmose_dft.model.stage2.circle import CIRCLE_POINTS, CircleTransformer
from harmose_dft.model.two_stage import SECOND_STAGES
from harmose_dft.testing.models import random_graph, random_structure, tiny_model

DUMMY = """
from typing import Literal

import torch

from harmose_dft.model.stage2.base import SecondStage, SecondStageConfig


class Scaling(SecondStage):
    '''Stage 1's Hamiltonian times a number.'''

    class Config(SecondStageConfig):
        kind: Literal["scaling"] = "scaling"
        start: float = 0.0

    def __init__(self, config, setting):
        super().__init__(config, setting)
        self.factor = torch.nn.Parameter(torch.tensor(config.start))
        self.prepared = []

    def forward(self, stage1, graph, geometry):
        return [(stage1.blocks.map(lambda b: self.factor * b.detach()), None)]

    def prepare_training(self, dropout):
        self.prepared.append("training")

    def training_view(self, graph, frames, moment):
        self.prepared.append(moment.step)
        return graph

    def prepare_prediction(self):
        self.prepared.append("prediction")
"""

SCRIPT = """
import numpy as np
import torch
from harmose_dft.testing.models import tiny_config, water, write_waters
from tiny_training import FIRST, STAGED

from harmose_dft.core.progress import silent
from harmose_dft.model.loading import load_model
from harmose_dft.training.config import TrainConfig
from harmose_dft.training.run import Fit

data = {"files": (write_waters(folder / "waters.h5", range(6)),), "split": "ordered", "sizes": (4, 2)}
out = {}
for mode, stages in (("joint", {}), ("staged", STAGED)):
    model = {"first": FIRST, "second": {"kind": "scaling", "start": 0.25}}
    fit = Fit(tiny_config(data=data, model=model, stages=stages, output=folder / mode), silent, lambda entry: None)
    trained = fit.run()
    predictor = load_model(folder / mode)
    second = predictor.network.second
    prediction = predictor.predict(water(9))
    moved = np.abs(prediction.hamiltonian.values - prediction.stage1[0].values).max()
    out[mode] = {
        "kind": predictor.network.config.second.kind, "factor": float(second.factor), "moved": float(moved),
        "training": trained.network.second.prepared, "loaded": second.prepared,
    }
try:
    TrainConfig.model_validate({"model": {"second": {"kind": "square"}}})
except ValueError as error:
    out["unknown"] = str(error)
print(json.dumps(out))
"""


def test_a_second_stage_of_one_class_in_one_file_trains_and_predicts(tmp_path: Path) -> None:
    out = run_extended(tmp_path, "harmose_dft.model.stage2", DUMMY, SCRIPT)
    for mode in ("joint", "staged"):
        assert out[mode]["kind"] == "scaling"
        assert out[mode]["factor"] != 0.25
        assert out[mode]["moved"] > 1e-6
        assert out[mode]["training"] == ["training", *range(10)]
        assert out[mode]["loaded"] == ["prediction"]
    for kind in ("'circle'", "'lab'", "'scaling'"):
        assert kind in out["unknown"]


def test_every_kind_has_its_own_name_and_configuration() -> None:
    kinds = [stage.Config.model_fields["kind"].default for stage in SECOND_STAGES]
    assert kinds == ["circle", "lab"]


@pytest.mark.parametrize("spin", ["collinear", "spin-orbit"])
def test_a_kind_without_spin_names_those_that_have_it(spin: str) -> None:
    with pytest.raises(ValueError, match=rf"'lab' has no spin \({spin}\); choose model.second.kind: circle\."):
        tiny_model("lab", spin=spin)  # type: ignore[arg-type]


def test_circle_starts_elsewhere_at_every_step_and_is_finer_at_prediction() -> None:
    model = tiny_model("circle", points=24)
    second = model.second
    assert isinstance(second, CircleTransformer)
    graph = model.prepare(random_graph(random_structure(), model))
    grids = []
    for step in (0, 1, 1):
        assert second.training_view(graph, model.frames, TrainingMoment(seed=3, step=step)) is graph
        grids.append((second.points, next(b for n, b in second.named_buffers() if n.endswith("synthesis")).clone()))
    assert [points for points, _ in grids] == [24, 24, 24]
    assert not torch.equal(grids[0][1], grids[1][1])
    assert torch.equal(grids[1][1], grids[2][1])
    second.prepare_prediction()
    assert second.points == CIRCLE_POINTS


def test_dropout_differs_between_processes_that_see_the_same_circle() -> None:
    model = tiny_model("circle", points=24)
    assert model.second is not None
    graph = model.prepare(random_graph(random_structure(), model))
    draws = []
    for rank in (0, 1):
        model.second.training_view(graph, model.frames, TrainingMoment(seed=3, step=5, rank=rank))
        draws.append(torch.rand(4))
    assert not torch.equal(*draws)


def test_lab_stage_leaves_graphs_alone_until_rotations_are_asked_for() -> None:
    model = tiny_model("lab")
    assert model.second is not None
    graph = model.prepare(random_graph(random_structure(), model))
    same = model.second.training_view(graph, model.frames, TrainingMoment(seed=3, step=5))
    assert same is graph
    other = model.second.training_view(graph, model.frames, TrainingMoment(3, 5, largest_rotation=0.1))
    assert not torch.equal(other.vectors, graph.vectors)
    torch.testing.assert_close(other.vectors.norm(dim=1), graph.vectors.norm(dim=1))
