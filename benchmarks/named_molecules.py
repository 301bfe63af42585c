"""The organic model on molecules it has never seen, up to twice the size of the training ones.

    python benchmarks/named_molecules.py [NAME...] [--model organic] [--cached] [--test-split 200] [--json named.json]

The molecules are the xyz files in benchmarks/molecules; their B3LYP/def2-SVP references are calculated once (half an
hour on one core) and kept in a cache, one by one, so that the benchmark can be interrupted. Where the labelled set of
small molecules is present, its test part (crc32 rule) is evaluated as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from common import CACHE, ORGANIC, environment, held_out, save
from references import SETTINGS

from harmose_dft import Predictor, load_model
from harmose_dft.adapters.datasets import open_dataset
from harmose_dft.cli import console
from harmose_dft.cli.render import format_number as number
from harmose_dft.core.errors import DomainError
from harmose_dft.core.record import Record
from harmose_dft.core.structure import Structure
from harmose_dft.data import HDF5Dataset, smiles_split, structure_id
from harmose_dft.workflows.evaluate import evaluate
from harmose_dft.workflows.label import label

INTRUDER = 1e4
"""uHa; a HOMO or LUMO farther off means that a state has come into or left the gap."""

COLUMNS = ("mae_all", "eps_mae", "homo_mae", "lumo_mae", "gap_mae", "psi_cos", "psi_subspace")


def references(molecules: Sequence[Structure], cache: Path, cached: bool) -> Iterator[Record]:
    """References from the cache, calculated first where they are missing unless only cached ones are wanted."""
    cache.parent.mkdir(parents=True, exist_ok=True)
    for molecule in molecules:
        if not cached:
            console.note(f"reference of {molecule.name}, {len(molecule)} atoms")
            label([molecule], cache, SETTINGS)
        if not cache.exists():
            continue
        with HDF5Dataset(cache) as dataset:
            ids = list(dataset.ids)
            if structure_id(molecule) in ids:
                yield dataset[ids.index(structure_id(molecule))]
            else:
                console.note(f"no reference of {molecule.name}")


def one(predictor: Predictor, record: Record, name: str) -> dict[str, Any]:
    """Figures of one molecule, of the network's H and refined: energies in uHa, the network's time in seconds."""
    start = time.perf_counter()
    predictor.predict(record.structure, trust=False)
    seconds = time.perf_counter() - start
    metrics = evaluate(predictor, [record], refine=True, covariance_samples=0).to_dict()
    figures = {column: metrics["model"][column] for column in COLUMNS}
    refined = {column: metrics["refined"][column] for column in COLUMNS}
    intruder = max(figures["homo_mae"], figures["lumo_mae"]) > INTRUDER
    return {"name": name, "atoms": len(record.structure), "seconds": seconds, **figures, "intruder": intruder,
            "refined": refined}


def rows_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """Cells of the table: the network's H, and refined."""
    for name, figures, intruder in ((entry["name"], entry, entry["intruder"]), ("  refined", entry["refined"], False)):
        cells = [number(figures[c], 5 if c.startswith("psi") else 1) for c in COLUMNS]
        yield (name, str(entry["atoms"]), *cells, "yes" if intruder else "")


def test_split(predictor: Predictor, limit: int) -> dict[str, Any] | None:
    """Figures on the test part of the small labelled molecules; None where they are absent."""
    if not ORGANIC.is_file() or limit == 0:
        return None
    dataset = open_dataset(ORGANIC)
    chosen = smiles_split(dataset)["test"].tolist()[:limit]
    return evaluate(predictor, [dataset[i] for i in chosen], progress=console.progress).to_dict()


@click.command()
@click.argument("names", nargs=-1)
@click.option("--model", default="organic", show_default=True, help="Bundled model or a model's folder.")
@click.option("--cache", default=CACHE, type=click.Path(path_type=Path), help="Data set of the references.")
@click.option("--cached", is_flag=True, help="Leave out molecules whose reference is not in the cache.")
@click.option("--test-split", "limit", default=200, show_default=True, help="Small test molecules at most; 0: none.")
@click.option("--json", "output", type=click.Path(path_type=Path), help="Write the figures.")
def main(names: tuple[str, ...], model: str, cache: Path, cached: bool, limit: int, output: Path | None) -> None:
    """Evaluate the model on the held-out molecules NAMES (all by default)."""
    predictor = load_model(model)
    titles = {structure_id(m): m.name for m in held_out(names)}
    entries = []
    for record in references(held_out(names), cache, cached):
        try:
            entries.append(one(predictor, record, titles[structure_id(record.structure)]))
        except DomainError as error:
            console.note(f"refused: {error}")
            continue
        console.note(f"{entries[-1]['name']}: mae_all {entries[-1]['mae_all']:.1f} uHa")
    if entries:
        title = f"{predictor.info.name} ({predictor.info.sha256[:8]}) on unseen molecules, energies in uHa"
        rows = [row for entry in entries for row in rows_of(entry)]
        console.print_table(title, ("molecule", "atoms", *COLUMNS, "intruder"), rows)
    small = test_split(predictor, limit)
    if small is not None:
        cells = [(stage, *(number(small[stage][c], 5 if c.startswith("psi") else 1) for c in (*COLUMNS, "cov_err")))
                 for stage in ("model", "stage1") if small[stage]]
        title = f"test split, {small['samples']} molecules of the training size"
        console.print_table(title, ("", *COLUMNS, "cov_err"), cells)
    if output is not None:
        info = {"name": predictor.info.name, "sha256": predictor.info.sha256}
        save(output, {"model": info, "unit": "uHa", "molecules": entries, "test_split": small, **environment()})


if __name__ == "__main__":
    main()
