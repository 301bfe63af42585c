"""Peak memory of ``harmose-dft predict`` on files of few and of many structures, which are predicted one by one.

    python benchmarks/streaming.py [--few 100] [--many 1000] [--model organic] [--json streaming.json]

The structures are ethane molecules, each displaced at random. Every run is a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from ase.build import molecule
from ase.io import write

DISPLACEMENT = 0.02
"""Angstrom; standard deviation of each coordinate."""

CODE = """
import resource, sys
from harmose_dft.cli import main
code = main(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
sys.exit(code)
"""
"""Runs the command and prints the peak of its memory in MiB as the last line of stderr."""


def measure(count: int, model: str, folder: Path) -> float:
    """Peak memory in MiB of the prediction of so many structures."""
    rng = np.random.default_rng(0)
    frames = []
    for _ in range(count):
        atoms = molecule("C2H6")
        atoms.positions += rng.normal(scale=DISPLACEMENT, size=atoms.positions.shape)
        frames.append(atoms)
    write(folder / f"{count}.xyz", frames)
    arguments = ["predict", f"{count}.xyz", "--model", model, "--out", f"{count}.h5", "--quiet"]
    command = [sys.executable, "-c", CODE, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return float(done.stderr.split()[-1])


@click.command()
@click.option("--few", default=100, show_default=True)
@click.option("--many", default=1000, show_default=True)
@click.option("--model", default="organic", show_default=True)
@click.option("--json", "out", type=click.Path(path_type=Path), help="Write the figures here.")
def main(few: int, many: int, model: str, out: Path | None) -> None:
    """Measure both and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = [measure(count, model, Path(folder)) for count in (few, many)]
    figures = {
        "structures": [few, many],
        "peak_mib": [round(peak, 1) for peak in peaks],
        "growth_kib_per_structure": round(1024 * (peaks[1] - peaks[0]) / (many - few), 1),
    }
    text = json.dumps(figures, indent=2)
    print(text)
    if out is not None:
        out.write_text(text + "\n")


if __name__ == "__main__":
    main()
