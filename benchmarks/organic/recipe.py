"""How the bundled model "organic" was trained: ten runs of ``harmose-dft train``, each going on from the one before.

    python benchmarks/organic/recipe.py DATA --out FOLDER [--part 1 --part 2 ...]

DATA is a folder with the data sets named below: B3LYP/def2-SVP (PySCF's ``b3lyp``, grid level 3) of closed shells.
``organic_b3lyp.h5`` (neutral molecules of H, C, N, O, F, S and Cl) and ``organic2_b3lyp.h5`` (small molecules, ions,
and molecules with B, Si, P and Br) are the common labelled sets; ``labels_*.h5`` hold the molecules of
``added_molecules.smi``, ``labels_ions.h5`` those of ``labelled.txt``, one geometry each (several of the smallest),
relaxed or displaced at 150 to 700 K with GFN2-xTB (``geometries.py``) and labelled by ``harmose-dft label``. Parts 7 to
10 had the common sets and ``labels_ions.h5`` (part 7: 230 of its first 390 molecules, part 8: these, part 9: all but
those listed for part 10, part 10: all) at hand; of the molecules of ``added_molecules.smi`` part 10 had 409 again.
Molecules are split by SMILES (crc32 rule), so that no test molecule is in any part.
The configuration of each part is written into FOLDER beside its model. Parts last for a time, not for a number of
steps: on another machine the models differ from the bundled one (weights 5b56de0c). Of that the scales of matrix
elements that hardly varied in training, 1 until part 10, were set to 1e-6 afterwards, as training does it now.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
import yaml

COMMON = {
    "name": "organic",
    "loss": {"orbital_energies": 0.15, "occupied": 0.1, "mixing": 0.1, "stage1": 0.1},
    "threads": 1,
    "validate_every": 1000,
    "checkpoint_minutes": 3,
}
"""Keys that are the same in all parts."""

WITHOUT_CLIP_RATIO = 1e6
"""Parts 1 and 2 were trained before gradients were clipped relative to their usual norm."""


@dataclass(frozen=True)
class Part:
    """One run.

    Args:
        labels: Number of data sets ``labels_*.h5``, from 0 on, beside ``organic_b3lyp.h5``; None: those with ions.
        molecules: Training molecules in them.
        method: How weight matrices move.
        learning_rate: Highest learning rate.
        weight_decay: Decoupled decay.
        minutes: CPU minutes of one thread.
        steps: Updates of 4 molecules that they were enough for.
        commit: Version of the program.
        seed: Seed of the order of the molecules.
    """

    labels: int | None
    molecules: int
    method: str
    learning_rate: float
    weight_decay: float
    minutes: float
    steps: int
    commit: str
    seed: int = 0


PARTS = (
    Part(2, 949, "adamw", 1.4e-3, 1e-3, 98, 25909, "9795e9a"),
    Part(4, 1185, "adamw", 1.2e-3, 1e-3, 105, 24989, "d43c4ab"),
    Part(4, 1185, "muon", 1e-3, 2e-2, 68, 12612, "163c3eb"),
    Part(5, 1263, "soap", 1e-3, 2e-2, 90, 15277, "8d19780"),
    Part(6, 1480, "soap", 1e-3, 2e-2, 45, 9171, "017a711"),
    Part(7, 1679, "soap", 1e-3, 2e-2, 55, 9101, "61ce76a"),
    Part(None, 1057, "soap", 1.2e-3, 2e-2, 36, 6116, "c4d632f"),
    Part(None, 1185, "soap", 8e-4, 2e-2, 26, 4282, "c4d632f", seed=1),
    Part(None, 1631, "soap", 1e-3, 2e-2, 42, 7003, "729908b", seed=2),
    Part(None, 2190, "soap", 1e-3, 2e-2, 50, 7489, "ae61af2", seed=4),
)


def configuration(number: int, data: Path, out: Path) -> dict[str, object]:
    """Configuration of one part.

    Args:
        number: 1 to 10.
        data: Folder of the data sets.
        out: Folder of the models.
    """
    part = PARTS[number - 1]
    if part.labels is None:
        files = ["organic_b3lyp.h5", "organic2_b3lyp.h5", "labels_ions.h5"]
    else:
        files = ["organic_b3lyp.h5", *(f"labels_{n}.h5" for n in range(part.labels))]
    optimizer: dict[str, object] = {
        "method": part.method,
        "learning_rate": part.learning_rate,
        "weight_decay": part.weight_decay,
        "batch_size": 4,
        "minutes": part.minutes,
        "clock": "cpu",
        "seed": part.seed,
    }
    if part.labels is not None:
        optimizer["steps"] = None
    if part.method == "adamw":
        optimizer["clip_ratio"] = WITHOUT_CLIP_RATIO
    start = {"start_from": str(out / f"part-{number - 1}")} if number > 1 else {}
    return {
        **COMMON,
        **start,
        "data": {"files": [str(data / name) for name in files], "split": "smiles"},
        "optimizer": optimizer,
        "output": str(out / f"part-{number}"),
    }


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the models.")
@click.option("--part", "parts", type=click.IntRange(1, len(PARTS)), multiple=True, help="Only this part.")
def main(data: Path, out: Path, parts: tuple[int, ...]) -> None:
    """Train the bundled model from the data sets in DATA, about ten hours of one CPU core."""
    from harmose_dft.cli import main as harmose_dft

    out.mkdir(parents=True, exist_ok=True)
    for number in parts or range(1, len(PARTS) + 1):
        path = out / f"part-{number}.yaml"
        path.write_text(yaml.safe_dump(configuration(number, data.resolve(), out.resolve()), sort_keys=False))
        if (code := harmose_dft(["train", str(path)])) != 0:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
