"""Makes the files beside this one, with the package and the test helpers of commit 272d323 only.

``git worktree add ../old 272d323; PYTHONPATH=../old:../old/tests python tests/golden/inputs/make.py``. Later
releases read what lies here; it is never made anew, or nothing would be frozen. ``models.tar.xz`` comes from the
commits that introduced each format version (fd21fba 2, 7fea3c6 3, 8d19780 4, 017a711 5: ``make.py models N`` with the
tree of that commit on PYTHONPATH, then ``packed``).
"""

from __future__ import annotations

import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
DECIMALS = 6
"""Digits of H in the crystals' files; they are many."""


def molecules() -> None:
    """Ten molecules of ASE's collections, slightly bent, with all elements of the bundled model."""
    from ase.build import molecule
    from ase.io import write

    names = ["H2O", "CH3CH2OH", "NH3", "CH3Cl", "C2F4", "CH3SH", "C5H5N", "C4H4S", "CH3CONH2", "trans-butane"]
    for n, name in enumerate(names):
        atoms = molecule(name)
        atoms.rattle(0.03, seed=n)
        write(HERE / f"molecules/{name}.xyz", atoms, columns=["symbols", "positions"], comment=name)


def small() -> None:
    """Tiny molecules for a training in def2-SVP and for labelling."""
    from ase.build import molecule
    from ase.io import write

    frames = []
    for n, name in enumerate(["H2O", "NH3", "H2O", "HF", "H2O", "NH3", "H2O", "H2O", "NH3"]):
        atoms = molecule(name)
        atoms.rattle(0.05, seed=20 + n)
        frames.append(atoms)
    write(HERE / "small.xyz", frames, columns=["symbols", "positions"])


def crystals(folder: Path) -> None:
    """ABACUS runs of boron nitride layers: closed-shell, collinear, with spin-orbit coupling."""
    import synthetic_crystals as made

    made.CUTOFF = 3.0
    made.BASIS = type(made.BASIS)(made.BASIS.name, {
        5: (made.Shell(0, made.orbital(0, 1.5)), made.Shell(1, made.orbital(1, 1.7))),
        7: (made.Shell(0, made.orbital(0, 1.3)), made.Shell(1, made.orbital(1, 1.5))),
    })
    made.calculation.__defaults__ = (0.0, made.BASIS)
    from harmose_dft.adapters.abacus.writer import Layout, write_hr, write_sr
    from harmose_dft.testing.abacus import write_record

    kinds = {"none": made.calculation, "collinear": made.with_collinear_spin, "spin-orbit": made.with_spin_orbit}
    for number, (kind, make) in enumerate(kinds.items()):
        for seed in range(3):
            structure = made.layer(10 * number + seed, stretch=1.0 + 0.01 * seed)
            record = make(structure, 0.1 if seed == 1 else 0.0)
            where = write_record(folder / kind / f"{seed}", made.calculation(structure)) / "OUT.ABACUS"
            nspin = {"none": 1, "collinear": 2, "spin-orbit": 4}[kind]
            log = where / "running_scf.log"
            log.write_text(log.read_text().replace("nspin = 1", f"nspin = {nspin}"))
            write_hr(record, where, layout=Layout.SPARSE, decimals=DECIMALS, force=True)
            write_sr(record, where, layout=Layout.SPARSE, force=True)


def codes(folder: Path) -> None:
    """The made-up runs of ABACUS and OpenMX that the readers' tests use."""
    import synthetic_openmx as openmx

    from harmose_dft.testing.abacus import Case, write_case

    for nspin, layout in ((1, "2.x"), (2, "sparse"), (4, "nao")):
        write_case(folder / f"abacus-{nspin}", Case(nspin), layout)
    unread, pao = openmx.scfout_bytes, openmx.write_pao

    class Zeros:
        """What the reader skips compresses well."""

        def normal(self, *, size: int) -> np.ndarray:
            return np.zeros(size)

    openmx.scfout_bytes = lambda demo, spin, version, rng: unread(demo, spin, version, Zeros())
    openmx.write_pao = lambda path, cutoff, functions, seed=0: pao(path, 0.55 * cutoff, functions, seed=seed)
    for spin, version in ((0, 0), (1, 3), (3, 3)):
        openmx.make_demo(folder / f"openmx-{spin}", spin=spin, version=version)


def packed(folder: Path, target: Path) -> None:
    """A tar.xz with fixed dates and owners."""
    with tarfile.open(target, "w:xz", preset=9) as file:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(str(path.relative_to(folder)))
            info.size = path.stat().st_size
            with path.open("rb") as content:
                file.addfile(info, content)


def old_model(version: str) -> None:
    """A tiny model of the format version of the tree that PYTHONPATH names."""
    from harmose_dft.fitting import Fit

    from harmose_dft.testing.models import silent, tiny_config, write_waters

    with tempfile.TemporaryDirectory() as folder:
        data = write_waters(Path(folder) / "waters.h5", range(6))
        config = tiny_config(
            data={"files": (data,), "split": "ordered", "sizes": (4, 2)}, baseline={"kind": "fitted"},
            output=Path(folder) / f"model_v{version}", name=f"v{version}",
            optimizer={"steps": 30, "batch_size": 2, "warmup_steps": 2, "learning_rate": 1e-2},
        )
        Fit(config, silent, print).run()
        target = HERE / f"models/v{version}"
        target.mkdir(parents=True, exist_ok=True)
        for name in ("model.safetensors", "model.json"):
            (target / name).write_bytes((config.output / name).read_bytes())


def main() -> None:
    """All but the old models."""
    for name in ("molecules", "models"):
        (HERE / name).mkdir(exist_ok=True)
    molecules()
    small()
    for make in (crystals, codes):
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder))
            packed(Path(folder), HERE / f"{make.__name__}.tar.xz")


if __name__ == "__main__":
    old_model(sys.argv[2]) if sys.argv[1:2] == ["models"] else main()
