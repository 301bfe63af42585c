"""The benchmark of few-shot transfer: valid configurations, rows that fit the table, parts that do not overlap."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harmose_dft.data.splits import split_of_smiles
from harmose_dft.metrics.results import StageMetrics
from harmose_dft.model.loading import load_model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import few_shot  # noqa: E402


@pytest.mark.parametrize("count", list(few_shot.TRAINING))
@pytest.mark.parametrize("functional", list(few_shot.FUNCTIONALS))
def test_both_trainings_have_the_same_data_time_and_sizes(functional: str, count: int) -> None:
    transfer, scratch = (few_shot.configuration(functional, count, m, 1e-3, 1.0) for m in few_shot.METHODS)
    assert (transfer.start_from, scratch.start_from) == ("organic", None)
    assert transfer.data == scratch.data
    assert transfer.optimizer == scratch.optimizer
    assert scratch.model.second == load_model("organic").model.network.config.second
    assert transfer.output != scratch.output


def test_rows_have_the_columns_of_the_table() -> None:
    metrics = StageMetrics(
        mae_all=1e-4, mae_all_raw=1e-4, mae_block={}, mae_element={}, mae_cha_b=0.0, mae_median=0.0, mae_cha_s=0.0,
        mae_cha_s_5=0.0, eps_mae=2e-3, homo_mae=1e-3, lumo_mae=1e-3, gap_mae=1e-3,
    )
    row = few_shot.row("pbe0", 20, "m", metrics)
    assert set(row) == {c["key"] for c in few_shot.head({})["columns"]} | {"measurement"}
    assert (row["mae_all"], row["eps_mae"]) == (100.0, 2.0)


@pytest.mark.skipif(not few_shot.ORGANIC.is_file(), reason="needs the labelled set")
def test_data_sets_do_not_overlap_and_test_molecules_are_of_the_test_part() -> None:
    smiles = {name: [s.smiles for s in few_shot.select(name)] for name in few_shot.PARTS}
    assert {name: len(of) for name, of in smiles.items()} == {"few": 20, "more": 180, "validation": 20, "test": 30}
    together = [s for of in smiles.values() for s in of]
    assert len(set(together)) == len(together)
    for name, of in smiles.items():
        assert {split_of_smiles(s) for s in of} == {few_shot.PARTS[name][0]}
