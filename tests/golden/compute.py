"""Golden results of the tree on PYTHONPATH: ``compute.py OUT`` writes OUT.npz and OUT.json.

Only the outside of the package is used: its command line, the files it reads and writes, and the public names
``load_model``, ``seed`` and ``HarmoseCalculator``. An item is a name with an array or a JSON value. Commands run in
forks of this process, which has imported the libraries (never the package) once; those that start processes of their
own run as ``python -m harmose_dft``.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MPLBACKEND"] = "Agg"
os.environ["COLUMNS"] = "120"
for _name in ("HARMOSE_SHARED", "PYTHONWARNINGS", "WORLD_SIZE", "LOCAL_RANK"):
    os.environ.pop(_name, None)

import numpy as np  # noqa: E402

HERE = Path(__file__).resolve().parent
INPUTS = HERE / "inputs"

LIBRARIES = (
    "torch", "e3nn.o3", "scipy.linalg", "scipy.sparse.linalg", "scipy.special", "h5py", "ase.io", "ase.build",
    "pyscf.dft", "pyscf.gto", "pydantic", "rich.table", "yaml", "safetensors.torch", "torch_geometric.utils", "click",
    "sisl",
)  # fmt: skip
"""Imported once, before commands are forked; those that are not installed are left out."""

VOLATILE = {
    "seconds", "created", "version", "harmose_dft", "torch", "machine", "structures_per_second", "pyscf", "python",
    "code_version",
}  # fmt: skip
"""Keys of JSON and attributes of files that hold times, dates, versions and machines."""

VOLATILE_LINES = re.compile(
    r"^\s*time \(s\)|structures/s|^\s*(created|version|code version)\s|^\s*installed|harmose-dft, version"
)
"""Lines of text that hold them."""

NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eED][-+]?\d+)?(?![\w.]*[A-Za-z_])")


@dataclass
class Golden:
    """Items by name.

    Args:
        arrays: Numbers.
        values: JSON values.
    """

    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def put(self, name: str, value: Any) -> None:
        """Keep a value; dictionaries and lists of them are taken apart."""
        if name in self.arrays or name in self.values:
            raise KeyError(f"{name} is there already")
        if isinstance(value, np.ndarray | np.generic) and np.asarray(value).dtype.kind in "biufc":
            self.arrays[name] = np.asarray(value)
        elif isinstance(value, np.ndarray):
            self.values[name] = [x.decode() if isinstance(x, bytes) else str(x) for x in value.ravel().tolist()]
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if key not in VOLATILE:
                    self.put(f"{name}/{key}", inner)
        elif isinstance(value, list | tuple) and value:
            self._put_list(name, value)
        else:
            self.values[name] = value

    def _put_list(self, name: str, value: Sequence[Any]) -> None:
        try:
            array = np.array(value)
        except ValueError:
            array = np.array(["ragged"])
        if array.dtype.kind in "iuf":
            self.arrays[name] = array
        elif any(isinstance(inner, Mapping | list | tuple) for inner in value):
            for n, inner in enumerate(value):
                self.put(f"{name}/{n}", inner)
        else:
            self.values[name] = list(value)

    def text(self, name: str, text: str) -> None:
        """Keep a text: what stands between its numbers, and the numbers without their signs."""
        lines = [" ".join(line.split()) for line in text.splitlines() if not VOLATILE_LINES.search(line)]
        hashes = r"[0-9a-f]{64}|\([0-9a-f]{8}\)|\b[0-9a-f]{8}\)|(?<=weights )[0-9a-f]{8}\b"
        kept = re.sub(hashes, "HASH", "\n".join(lines))
        numbers = [abs(float(n.replace("D", "E"))) for n in NUMBER.findall(kept)]
        skeleton = re.sub(r"[─-]{3,}", "---", NUMBER.sub("#", kept))
        if len(skeleton) > 4000:
            skeleton = hashlib.sha256(skeleton.encode()).hexdigest()
        self.put(f"{name}/words", skeleton)
        if numbers:
            self.put(f"{name}/numbers", np.array(numbers))

    def merge(self, other: Golden) -> None:
        """Take over another's items."""
        for name, value in (*other.arrays.items(), *other.values.items()):
            if name in self.arrays or name in self.values:
                raise KeyError(f"{name} is there already")
            (self.arrays if isinstance(value, np.ndarray) else self.values)[name] = value

    def save(self, stem: Path) -> None:
        """Write both files."""
        np.savez_compressed(f"{stem}.npz", **{name.replace("/", "|"): a for name, a in sorted(self.arrays.items())})
        text = json.dumps(dict(sorted(self.values.items())), indent=0, ensure_ascii=False)
        Path(f"{stem}.json").write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, stem: Path) -> Golden:
        """Read both files."""
        with np.load(f"{stem}.npz") as file:
            arrays = {name.replace("|", "/"): file[name] for name in file.files}
        return cls(arrays, json.loads(Path(f"{stem}.json").read_text(encoding="utf-8")))


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def forked(action: Callable[[], Any], folder: Path) -> Done:
    """Run an action in a fork of this process, in a folder."""
    streams = [tempfile.TemporaryFile() for _ in range(2)]  # noqa: SIM115
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        code: Any = 99
        try:
            os.chdir(folder)
            for stream, number in zip(streams, (1, 2), strict=True):
                os.dup2(stream.fileno(), number)
            code = action() or 0
        except SystemExit as end:
            code = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if isinstance(code, int) else 98)
    _, status = os.waitpid(pid, 0)
    texts = []
    for stream in streams:
        stream.seek(0)
        texts.append(stream.read().decode())
        stream.close()
    return Done(os.waitstatus_to_exitcode(status), *texts)


@dataclass
class Work:
    """A temporary folder, and the items found in it."""

    folder: Path
    golden: Golden = field(default_factory=Golden)
    log: list[str] = field(default_factory=list)

    def run(self, *arguments: str, fresh: bool = False, code: int = 0) -> Done:
        """Run ``harmose-dft ARGUMENTS``; ``fresh``: in a new Python process."""
        start = time.monotonic()
        if fresh:
            command = [sys.executable, "-m", "harmose_dft", *arguments]
            found = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False)
            done = Done(found.returncode, found.stdout, found.stderr)
        else:
            def action() -> None:
                sys.argv = ["harmose_dft", *arguments]
                runpy.run_module("harmose_dft", run_name="__main__", alter_sys=True)

            done = forked(action, self.folder)
        self.log.append(f"{time.monotonic() - start:6.2f} s  {' '.join(arguments)}")
        done.out, done.err = (t.replace(str(self.folder), "FOLDER") for t in (done.out, done.err))
        if done.code != code:
            said = f"{done.out}\n{done.err}".strip()[-1000:]
            self.failed(f"harmose-dft {' '.join(arguments)}", f"ended with {done.code}, not {code}: {said}")
        return done

    def failed(self, name: str, why: str) -> None:
        """Note that an item could not be had; the comparison shows it, and the others go on."""
        self.golden.values[f"FAILED {name}"] = why
        print(f"FAILED {name}: {why}", file=sys.stderr)

    def json(self, name: str, *arguments: str, **more: Any) -> None:
        """Keep what a command prints with ``--json``."""
        done = self.run(*arguments, "--json", **more)
        self.golden.text(f"{name}/stderr", done.err)
        try:
            self.golden.put(name, json.loads(done.out))
        except ValueError as error:
            self.failed(name, str(error))

    def text(self, name: str, *arguments: str, code: int = 0, **more: Any) -> None:
        """Keep what a command prints, and its exit code."""
        done = self.run(*arguments, code=code, **more)
        self.golden.put(f"{name}/code", done.code)
        self.golden.text(f"{name}/stdout", done.out)
        self.golden.text(f"{name}/stderr", done.err)

    def hdf5(self, name: str, path: str) -> None:
        """Keep all data sets and attributes of an HDF5 file."""
        import h5py

        def visit(where: str, thing: Any) -> None:
            label = f"{name}/{where}" if where else name
            for key, value in thing.attrs.items():
                if key not in VOLATILE:
                    self.golden.put(f"{label}@{key}", as_json(value))
            if isinstance(thing, h5py.Dataset) and where.rpartition("/")[2] != "coefficients":
                self.golden.put(label, of_dataset(thing))

        if not (self.folder / path).is_file():
            self.failed(name, f"{path} was not written")
            return
        with h5py.File(self.folder / path, "r") as file:
            visit("", file)
            file.visititems(visit)
            for key, group in file.items():
                if isinstance(group, h5py.Group) and "coefficients" in group:
                    self.golden.put(f"{name}/{key}/density", density(group))

    def model(self, name: str, path: str) -> None:
        """Keep a model: every tensor, the description, the log."""
        from safetensors.numpy import load_file

        if not (self.folder / path / "model.json").is_file():
            self.failed(name, f"{path} was not written")
            return
        tensors = load_file(self.folder / path / "model.safetensors")
        for key, tensor in tensors.items():
            self.golden.put(f"{name}/weights/{key}", tensor)
        contents = sorted(hashlib.sha256(str(t.shape).encode() + t.tobytes()).hexdigest() for t in tensors.values())
        self.golden.put(f"{name}/weights_content", hashlib.sha256("".join(contents).encode()).hexdigest())
        self.golden.put(f"{name}/model.json", json.loads((self.folder / path / "model.json").read_text()))
        log = self.folder / path / "log.jsonl"
        if log.is_file():
            self.golden.put(f"{name}/log", [json.loads(line) for line in log.read_text().splitlines()])


def as_json(value: Any) -> Any:
    """An attribute; one that holds JSON is parsed."""
    if isinstance(value, str) and value[:1] == "{":
        return json.loads(value)
    return value.item() if isinstance(value, np.generic) else value


def of_dataset(dataset: Any) -> Any:
    """Content of a data set; JSON, as text or as bytes, is parsed."""
    name = dataset.name.rpartition("/")[2]
    if dataset.dtype.kind == "O":
        texts = [dataset.asstr()[()]] if dataset.shape == () else dataset.asstr()[()].tolist()
        parsed = [json.loads(t) if t[:1] in "{[" and t else t for t in texts]
        return parsed[0] if dataset.shape == () else parsed
    if name == "bases":
        return json.loads(bytes(dataset[()]))
    return dataset[()]


def density(group: Any) -> np.ndarray:
    """Density matrix of the orbitals, (..., ao, ao); it does not depend on their signs."""
    c, n = group["coefficients"][()], group["occupations"][()]
    return np.einsum("...im,...m,...jm->...ij", c, n, c.conj())


# Sections ------------------------------------------------------------------------------------------------------------


def organic(work: Work) -> None:
    """The bundled model on ten molecules: JSON, files, tables."""
    names = sorted(p.name for p in (INPUTS / "molecules").iterdir())
    for name in names:
        shutil.copy(INPUTS / "molecules" / name, work.folder)
    done = work.run("predict", *names, "--json", fresh=True)
    for entry in json.loads(done.out):
        stem = entry["source"].removesuffix(".xyz")
        work.golden.put(f"organic/{stem}/json", entry)
        work.hdf5(f"organic/{stem}/file", f"{stem}.harmose.h5")
    work.text("organic/table of one", "predict", "C5H5N.xyz", "--force")
    work.text("organic/table of many", "predict", *names[:5], "-o", "many.h5")
    work.hdf5("organic/many", "many.h5")
    work.json(
        "organic/all options", "predict", "H2O.xyz", "--force", "--compare", "--verify", "--molden", "--cube",
        "HOMO,LUMO+1", "--plot", "levels.svg",
    )  # fmt: skip
    work.golden.text("organic/molden", (work.folder / "H2O.molden").read_text())
    for orbital in ("homo", "lumo+1"):
        lines = (work.folder / f"H2O.{orbital}.cube").read_text().splitlines()
        work.golden.put(f"organic/cube {orbital}/title", lines[:2])
        work.golden.put(f"organic/cube {orbital}", np.abs(np.array(" ".join(lines[2:]).split(), dtype=float)))
    work.text("organic/compare", "predict", "NH3.xyz", "--force", "--compare", "--verify")
    work.json("organic/seed", "seed", "NH3.xyz", "--code", "pyscf", "-o", "start.chk")
    work.text("organic/seed text", "seed", "NH3.xyz", "--code", "pyscf", "-o", "again.chk")
    import h5py

    with h5py.File(work.folder / "start.chk") as file:
        c, n = file["scf/mo_coeff"][()], file["scf/mo_occ"][()]
        work.golden.put("organic/seed/file density", np.einsum("im,m,jm->ij", c, n, c))
        work.golden.put("organic/seed/file energies", file["scf/mo_energy"][()])
        work.golden.put("organic/seed/file names", sorted(file["scf"]))
    work.json("info/organic", "info", "organic")
    work.text("info/organic text", "info", "organic")
    work.json("info/result", "info", "many.h5")
    work.text("info/result text", "info", "many.h5")
    work.golden.put("info/installation", sorted(json.loads(work.run("info", "--json").out)))
    work.text("info/bands of a molecule", "bands", "many.h5", code=1)


def python(work: Work) -> None:
    """The public Python names."""
    target = work.folder / "python"

    def action() -> None:
        golden = Golden()
        public(golden)
        golden.save(target)

    shutil.copy(INPUTS / "molecules/CH3CH2OH.xyz", work.folder)
    done = forked(action, work.folder)
    if done.code:
        raise RuntimeError(done.err)
    work.golden.merge(Golden.load(target))


def public(golden: Golden) -> None:
    """What README.md shows."""
    import ase.io
    from ase.build import molecule
    from pyscf import dft, gto

    import harmose_dft

    golden.put("python/names", sorted(harmose_dft.__all__))
    model = harmose_dft.load_model("organic")
    found = model.predict(ase.io.read("CH3CH2OH.xyz"))
    golden.put("python/homo", found.spectrum.homo)
    golden.put("python/gap", found.spectrum.gap)
    golden.put("python/energies", found.spectrum.energies)
    trust = found.trust if isinstance(found.trust, dict) else found.trust.to_dict()
    golden.put("python/trust", trust)
    golden.put("python/many", [p.spectrum.homo for p in model.predict([molecule("CH4"), molecule("H2O")])])
    calculators = (harmose_dft.HarmoseCalculator("organic", grid_level=1),)
    calculators += (harmose_dft.HarmoseCalculator("organic", "scf", grid_level=1),)
    for name, calculator in zip(("oneshot", "scf"), calculators, strict=True):
        atoms = molecule("H2O")
        atoms.calc = calculator
        golden.put(f"python/{name}/energy", atoms.get_potential_energy())
        if name == "scf":
            golden.put("python/scf/forces", atoms.get_forces())
            atoms.rattle(0.02, seed=1)
            golden.put("python/scf/next energy", atoms.get_potential_energy())
        for key, value in sorted(calculator.results.items()):
            if key not in ("energy", "forces"):
                golden.put(f"python/{name}/results/{key}", value)
    mf = dft.RKS(gto.M(atom="O 0 0 0.1173; H 0 0.7572 -0.4692; H 0 -0.7572 -0.4692", basis="def2-svp", verbose=0))
    mf.xc = "b3lyp"
    mf.grids.level = 1
    mf = harmose_dft.seed(mf)
    golden.put("python/seeded energy", mf.kernel())
    golden.put("python/seeded cycles", mf.cycles)


SMALL = {"layers": 1, "channels": 8, "l_max": 2, "pair_channels": 8, "hidden_channels": 8, "radial": 6}
CIRCLE = {"kind": "circle", "layers": 1, "width": 8, "heads": 2, "points": 12}
LAB = {"kind": "lab", "layers": 1, "width": 16, "heads": 2, "l_max": 2, "pair_channels": 2}
STAGED = {"stages": {"mode": "staged", "first_fraction": 0.5}}


def configuration(data: str, sizes: Sequence[int], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A training of ten steps; ``changes`` replace entries of its sections."""
    found: dict[str, Any] = {
        "name": "golden", "data": {"files": [data], "split": "ordered", "sizes": list(sizes)},
        "model": {"first": SMALL, "second": CIRCLE},
        "optimizer": {"steps": 10, "batch_size": 2, "warmup_steps": 2, "learning_rate": 0.001, "ema": 0.8},
        "validate_every": 5, "threads": 1,
    }  # fmt: skip
    for key, value in changes.items():
        found[key] = {**found.get(key, {}), **value} if isinstance(value, Mapping) else value
        if value is None:
            del found[key]
    return found


TRAININGS: dict[str, dict[str, Any]] = {
    "joint": {},
    "staged": {**STAGED, "baseline": {"kind": "sap"}},
    "density": {**STAGED, "model": {"second": {**CIRCLE, "density": True}}, "baseline": {"kind": "fitted"}},
    "members": {"model": {"second": {**CIRCLE, "members": 2}}, "optimizer": {"dropout": 0.2}},
    "members staged": {
        **STAGED, "model": {"second": {**CIRCLE, "members": 2, "density": True}}, "optimizer": {"dropout": 0.2},
    },
    "lab": {
        "model": {"second": LAB, "potential": False}, "augmentation": {"start": 0.2, "full": 0.6},
        "optimizer": {"method": "adamw", "weight_decay": 0.01},
    },
    "lab staged": {**STAGED, "model": {"second": LAB}, "baseline": {"kind": "minao"}},
    "one stage": {
        "model": {"second": None}, "baseline": {"kind": "none"}, "inputs": ["overlap"],
        "optimizer": {"method": "muon", "seed": 3}, "data": {"split": "random", "seed": 2},
    },
    "separate": {"stages": {"separate": True}, "loss": {"stage1": 1.0, "mixing": 0.0, "orbital_energies": 0.0}},
    "further": {"start_from": "joint", "model": None},
    "further with a density": {"start_from": "density", "model": None},
}  # fmt: skip
"""Name of a training -> what differs from the plain one."""


def train(work: Work, name: str, config: Mapping[str, Any], folder: str) -> None:
    """Train, and keep the model and what the command said."""
    import yaml

    (work.folder / f"{folder}.yaml").write_text(yaml.safe_dump(dict(config)))
    work.text(f"{name}/train", "train", f"{folder}.yaml", "-o", folder)
    work.model(name, folder)


def molecules(work: Work) -> None:
    """Labelling and training on molecules, in every mode."""
    for name in ("small.xyz", "molecules/H2O.xyz"):
        shutil.copy(INPUTS / name, work.folder)
    label = ("label", "small.xyz", "--xc", "pbe", "--basis", "def2-svp", "--grid-level", "0", "--jobs", "1")
    work.text("label/first", *label, "-o", "small.h5", fresh=True)
    work.hdf5("label/file", "small.h5")
    work.text("label/again", *label, "-o", "small.h5")
    work.text("label/other settings", *label, "--recipe", "staged", "-o", "small.h5", code=1)
    work.json("info/data", "info", "small.h5")
    work.text("info/data text", "info", "small.h5")
    for name, changes in TRAININGS.items():
        folder = name.replace(" ", "-")
        train(work, f"train/{name}", configuration("small.h5", (5, 2, 2), changes), folder)
        work.json(f"train/{name}/evaluate", "evaluate", folder, "small.h5", "--part", "test")
        work.json(f"train/{name}/predict", "predict", "H2O.xyz", "--model", folder, "-o", f"{folder}.h5")
        work.hdf5(f"train/{name}/file", f"{folder}.h5")
    work.text("train/joint/evaluate text", "evaluate", "joint", "small.h5", "--limit", "2", "--record")
    work.json("train/joint/info", "info", "joint")
    work.text("train/joint/table", "predict", "H2O.xyz", "--model", "members", "-o", "table.h5")
    work.text("train/joint/again", "train", "joint.yaml", "-o", "joint")
    work.text("train/joint/forced", "train", "joint.yaml", "-o", "joint", "--force")
    long = {"optimizer": {"steps": 120, "learning_rate": 0.004}, "validate_every": 40}
    train(work, "train/long", configuration("small.h5", (5, 2, 2), long), "long")  # averages of many steps count
    resumed(work, "joint", {})
    resumed(work, "density", TRAININGS["density"])
    for recipe in ("staged", "corrected"):
        out = f"labelled-{recipe}.h5"
        work.text(
            f"label/{recipe}", "label", "H2O.xyz", "--xc", "pbe", "--basis", "sto-3g", "--grid-level", "2", "--jobs",
            "1", "--recipe", recipe, "-o", out, fresh=True,
        )  # fmt: skip
        work.hdf5(f"label/{recipe}/file", out)


def resumed(work: Work, name: str, changes: Mapping[str, Any]) -> None:
    """Kill a training after about five of its ten steps and go on: the same weights as without."""
    import yaml
    from safetensors.numpy import load_file

    config = configuration("small.h5", (5, 2, 2), changes) | {"checkpoint_minutes": 1e-9, "validate_every": 1}
    target = f"{name}-killed"
    (work.folder / f"{target}.yaml").write_text(yaml.safe_dump(config))
    arguments = [sys.executable, "-m", "harmose_dft", "train", f"{target}.yaml", "-o", target]
    with subprocess.Popen(arguments, cwd=work.folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b"step 5:"):
                process.kill()
                break
    if (work.folder / target / "model.json").exists():
        raise RuntimeError("The training was not killed in time; try again on a machine that does less.")
    work.run("train", f"{target}.yaml", "-o", target)
    whole, parts = (load_file(work.folder / f / "model.safetensors") for f in (name, target))
    equal = whole.keys() == parts.keys() and all(whole[k].tobytes() == parts[k].tobytes() for k in whole)
    work.golden.put(f"train/{name}/resumed equals whole", equal)
    steps = [json.loads(line)["step"] for line in (work.folder / target / "log.jsonl").read_text().splitlines()]
    work.golden.put(f"train/{name}/resumed went on", sorted(set(steps)) == list(range(1, 11)) and len(steps) <= 12)


def unpack(name: str, folder: Path) -> None:
    """Unpack one of the archives of inputs."""
    with tarfile.open(INPUTS / f"{name}.tar.xz") as file:
        file.extractall(folder / name, filter="data")


CRYSTALS: dict[str, dict[str, Any]] = {
    "none": {},
    "collinear": {},
    "spin-orbit": {},
    "none density": {**STAGED, "model": {"second": {**CIRCLE, "density": True}}, "filling": {"width": 0.005}},
    "none lab": {"model": {"second": LAB}, "loss": {"gauge": 0.003}, "baseline": {"kind": "none"}},
    "spin-orbit staged": {**STAGED, "model": {"second": {**CIRCLE, "members": 2}}},
}
"""Spin, and the training's name -> what differs from the plain one."""


def crystals(work: Work) -> None:
    """Crystals of each spin from a code's files to bands."""
    unpack("crystals", work.folder)
    for spin in ("none", "collinear", "spin-orbit"):
        where = f"crystal/{spin}"
        work.json(f"{where}/convert", "convert", f"crystals/{spin}", "--check", "-o", f"{spin}.h5")
        work.hdf5(f"{where}/data", f"{spin}.h5")
    work.text("crystal/none/convert text", "convert", "crystals/none", "--check")
    shutil.copy(INPUTS / "bn.vasp", work.folder)
    for name, changes in CRYSTALS.items():
        spin, folder, where = name.split()[0], name.replace(" ", "-"), f"crystal/{name}"
        changed = {"optimizer": {"batch_size": 1}, **changes}
        train(work, where, configuration(f"{spin}.h5", (2, 1), changed), folder)
        work.json(f"{where}/evaluate", "evaluate", folder, f"{spin}.h5")
        work.json(f"{where}/predict", "predict", "bn.vasp", "--model", folder, "-o", f"{folder}.harmose.h5")
        work.hdf5(f"{where}/file", f"{folder}.harmose.h5")
        path = ("--kpath", "GMKG", "--points", "12")
        work.json(f"{where}/bands", "bands", f"{folder}.harmose.h5", *path)
    path = ("--kpath", "GMKG", "--points", "8")
    calculation = "crystals/none/0"
    work.json("crystal/bands of a calculation", "bands", calculation, *path)
    work.json("crystal/bands of a model", "bands", calculation, "--model", "none", *path, "--compare", calculation)
    work.json("crystal/bands near the Fermi level", "bands", calculation, *path, "--states", "4")
    work.text("crystal/bands text", "bands", "crystals/collinear/1", "--points", "10", "--plot", "bands.svg")
    work.text("crystal/predict text", "predict", "bn.vasp", "--model", "spin-orbit", "-o", "text.h5")
    work.text("crystal/evaluate text", "evaluate", "collinear", "collinear.h5", "--part", "validation")
    work.json("crystal/info", "info", "none-density")
    work.json("crystal/info of a result", "info", "none.harmose.h5")
    work.text("crystal/info of data", "info", "spin-orbit.h5")
    work.json("crystal/seed", "seed", "bn.vasp", "--code", "abacus", "--model", "none", "-o", "hr.csr")
    work.golden.text("crystal/seed/file", (work.folder / "hr.csr").read_text())
    for kind in ("deeph", "deeph-legacy"):
        for spin in ("none", "spin-orbit") if kind == "deeph" else ("none",):
            target = f"{kind}-{spin}"
            work.text(f"crystal/{target}", "convert", f"{spin}.h5", "--format", kind, "-o", target)
            work.json(f"crystal/{target}/back", "convert", target, "-o", f"{target}.h5")
            work.hdf5(f"crystal/{target}/data", f"{target}.h5")


def codes(work: Work) -> None:
    """Made-up output of each code, read and checked."""
    unpack("codes", work.folder)
    for name in sorted(p.name for p in (work.folder / "codes").iterdir()):
        code = 1 if name.startswith("abacus") else 0
        work.json(f"codes/{name}/check", "convert", f"codes/{name}", "--check", code=code)
        work.json(f"codes/{name}/convert", "convert", f"codes/{name}", "-o", f"{name}.h5")
        work.hdf5(f"codes/{name}/data", f"{name}.h5")
    work.text("codes/check text", "convert", "codes", "--check", code=1)


def old_models(work: Work) -> None:
    """Models of every earlier format version."""
    unpack("models", work.folder)
    shutil.copytree(HERE.parent / "fixtures/model_v1", work.folder / "models/v1")
    shutil.copy(INPUTS / "molecules/H2O.xyz", work.folder)
    for name in sorted(p.name for p in (work.folder / "models").iterdir()):
        model = f"models/{name}"
        work.json(f"old/{name}/predict", "predict", "H2O.xyz", "--model", model, "-o", f"{name}.h5")
        work.hdf5(f"old/{name}/file", f"{name}.h5")
        work.json(f"old/{name}/info", "info", model)
    shutil.copytree(work.folder / "models/v5", work.folder / "models/new")
    path = work.folder / "models/new/model.json"
    path.write_text(path.read_text().replace('"format_version": 5', '"format_version": 1000'))
    work.text("old/newer", "predict", "H2O.xyz", "--model", "models/new", "-o", "new.h5", code=1)
    weights = work.folder / "models/v4/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    work.text("old/damaged", "predict", "H2O.xyz", "--model", "models/v4", "-o", "new.h5", code=1)


STRUCTURES = {
    "water.xyz": "3\n\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n",
    "iron.xyz": "2\n\nFe 0 0 0\nO 0 0 1.7\n",
    "odd.xyz": "2\n\nO 0 0 0\nH 0 0 0.97\n",
    "close.xyz": "3\n\nO 0 0 0\nH 0 0 0.45\nH 0 0.9 0.2\n",
    "overlapping.xyz": "3\n\nO 0 0 0\nH 0 0 0.1\nH 0 0.9 0.2\n",
    "cell.xyz": '1\nLattice="3 0 0 0 3 0 0 0 3" pbc="T T T"\nC 0 0 0\n',
    "broken.xyz": "3\n\nO 0 0 zero\nH 0 0\n",
    "nan.xyz": "1\n\nO 0 0 nan\n",
    "empty.xyz": "",
}
CONFIGURATIONS = {
    "unknown.yaml": "optimiser:\n  steps: 10\n",
    "value.yaml": "model:\n  second:\n    kind: circle\n    width: 2\n",
    "nested.yaml": "model:\n  second:\n    kind: lab\n    points: 8\n",
    "density.yaml": "model:\n  second:\n    density: true\n",
    "start.yaml": "start_from: organic\nmodel:\n  potential: false\n",
    "list.yaml": "- 1\n",
    "syntax.yaml": "a: [1\n",
    "files.yaml": "data:\n  files: nothing.h5\n",
    "nothing.yaml": "data:\n  files: [nothing.h5]\noutput: out\n",
}
REFUSED: dict[str, tuple[int, str]] = {
    "no command": (2, ""),
    "misspelt command": (2, "predcit"),
    "strange command": (2, "xyzzy"),
    "misspelt option": (2, "predict --modle x water.xyz"),
    "missing argument": (2, "predict"),
    "convert to nothing": (2, "convert water.xyz"),
    "bad orbital": (2, "predict water.xyz --cube SOMO"),
    "bad points": (2, "bands water.xyz --points 1"),
    "bad code": (2, "seed water.xyz --code vasp"),
    "compare with states": (2, "bands water.xyz --compare water.xyz --states 3"),
    "same output": (2, "predict water.xyz water.xyz"),
    "element": (3, "predict iron.xyz"),
    "odd electrons": (3, "predict odd.xyz"),
    "close atoms": (3, "predict close.xyz"),
    "overlapping atoms": (1, "predict overlapping.xyz"),
    "cell": (3, "predict cell.xyz"),
    "one bad of two": (3, "predict water.xyz iron.xyz -o both.h5"),
    "seed of a cell": (3, "seed cell.xyz --code pyscf"),
    "broken structure": (1, "predict broken.xyz"),
    "not a number": (1, "predict nan.xyz"),
    "empty structure": (1, "predict empty.xyz"),
    "missing structure": (1, "predict nowhere.xyz"),
    "missing model": (1, "predict water.xyz --model nowhere"),
    "missing device": (1, "predict water.xyz --device cuda:77"),
    "missing folder": (1, "predict water.xyz -o nowhere/out.h5"),
    "picture format": (1, "predict water.xyz --plot out.doc"),
    "k-path of a molecule": (1, "predict water.xyz --kpath GX"),
    "missing orbital": (1, "predict water.xyz --cube LUMO+99"),
    "mixed": (1, "predict water.xyz cell.xyz -o mixed.h5"),
    "overwritten": (1, "predict water.xyz -o water.xyz"),
    "bands without a model": (1, "bands cell.xyz"),
    "bands of a molecule": (1, "bands water.xyz --model organic"),
    "seed for OpenMX": (1, "seed water.xyz --code openmx"),
    "seed for ABACUS": (1, "seed water.xyz --code abacus"),
    "info of nothing": (1, "info nowhere.h5"),
    "info of a structure": (1, "info water.xyz"),
    "evaluate on nothing": (1, "evaluate organic nowhere.h5"),
    "convert nothing": (1, "convert nowhere -o x.h5"),
    "convert a structure": (1, "convert water.xyz -o x.h5"),
    "label with a bad basis": (1, "label water.xyz --basis nonsense -o x.h5"),
    "label with a bad functional": (1, "label water.xyz --xc nonsense -o x.h5"),
    "train on nothing": (1, "train nowhere.yaml"),
} | {f"train {name}": (1, f"train {name}") for name in CONFIGURATIONS}
"""Name -> (exit code, command)."""


def refused(work: Work) -> None:
    """Typical errors: exit codes and sentences; and the help of every command."""
    for name, text in (*STRUCTURES.items(), *CONFIGURATIONS.items()):
        (work.folder / name).write_text(text)
    for name, (code, command) in REFUSED.items():
        work.text(f"refused/{name}", *command.split(), code=code)
    work.golden.put("refused/files left", sorted(p.name for p in work.folder.iterdir()))
    work.text("help", "--help")
    for command in ("predict", "evaluate", "label", "convert", "train", "bands", "seed", "info"):
        work.text(f"help/{command}", command, "--help")


SECTIONS: dict[str, Callable[[Work], None]] = {
    "organic": organic, "python": python, "molecules": molecules, "crystals": crystals, "codes": codes,
    "old_models": old_models, "refused": refused,
}  # fmt: skip


def compute(sections: Iterable[str] = SECTIONS, *, verbose: bool = False) -> Golden:
    """All items of the sections, of the package that is found on sys.path and PYTHONPATH."""
    golden = Golden()
    for section in sections:
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="golden-") as folder:
            work = Work(Path(folder).resolve())
            try:
                SECTIONS[section](work)
            except Exception as error:
                work.failed(section, f"{type(error).__name__}: {error}\n{traceback.format_exc()}")
            golden.merge(work.golden)
        if verbose:
            print("\n".join(work.log), file=sys.stderr)
        print(f"{section}: {time.monotonic() - start:.1f} s", file=sys.stderr)
    return golden


def preload() -> None:
    """Import libraries, so that forks need not."""
    for name in LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    import torch

    torch.set_num_threads(1)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="OUT.npz and OUT.json are written")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("-v", "--verbose", action="store_true", help="time of every command")
    arguments = parser.parse_args()
    found = importlib.util.find_spec("harmose_dft")
    if found is None:
        sys.exit("harmose_dft is not on PYTHONPATH")
    print(f"package: {found.origin}", file=sys.stderr)
    preload()
    start = time.monotonic()
    golden = compute(arguments.only, verbose=arguments.verbose)
    golden.save(arguments.out)
    count = len(golden.arrays) + len(golden.values)
    print(f"{count} items in {time.monotonic() - start:.0f} s", file=sys.stderr)
    if any(name.startswith("FAILED ") for name in golden.values):
        sys.exit(1)


if __name__ == "__main__":
    main()
