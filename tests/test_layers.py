"""Rules of the source as a whole: layers, units in one place, no pickle, no machine's own paths."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "harmose_dft"

LAYERS = (
    {"units", "conventions", "errors"},
    {"structure", "basis", "matrix", "spin", "spectrum", "record", "rotations", "files", "memory",
     "devices"},
    {"graph", "data", "solver", "metrics", "integrals", "orbitals", "output", "plots", "checks"},
    {"nn", "models"},
    {"inputs", "featurize", "densities", "domain", "predictor", "training", "checkpoint"},
    {"adapters", "calculator", "labelling", "loading", "training_data", "fitting", "evaluation"},
    {"cli", "__main__"},
)
"""From bottom to top. A module imports its own layer and those below it; the lowest imports ``errors`` only."""

UNSEEN = ("solver", "metrics", "units", "files", "data", "output", "plots")
APART = {(network, other) for network in ("nn", "models") for other in UNSEEN}
"""(importer, imported) that the layers would allow: networks never see files, units or solvers."""

CONVENIENCE = {("matrix", "adapters")}
"""Methods that hand their object to an exporter above, imported when called: ``BlockMatrix.to_sisl``."""

FOREIGN = {"pyscf", "ase", "sisl", "tblite", "rdkit", "dask", "dask_jobqueue"}
"""Codes and their file formats: imported in adapters and the calculator only."""

HOSTS = {"adapters", "calculator", "labelling"}

HEAVY = {"torch", "scipy", "pyscf", "ase", "h5py", "matplotlib", "e3nn", "torch_geometric", "sisl", "rich", "pydantic"}
"""Not imported when a command module is imported."""


def sources(folder: Path = PACKAGE) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def unit_of(path: Path) -> str:
    """First part of a module's name below the package: "solver" for harmose_dft/solver/dos.py."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0].removesuffix(".py")


def level(unit: str) -> int:
    return next(n for n, layer in enumerate(LAYERS) if unit in layer)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running_nodes(node: ast.AST, *, functions: bool = True) -> Iterator[ast.AST]:
    """All nodes that run, without those for type checkers only and, on request, without function bodies."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child) or (not functions and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            continue
        yield child
        yield from running_nodes(child, functions=functions)


def imports(path: Path, *, functions: bool = True) -> Iterator[tuple[str, int]]:
    """Absolute names of imported modules (one per imported name where it may be a module), with the line."""
    package = ["harmose_dft", *path.relative_to(PACKAGE).parts[:-1]] if path.is_relative_to(PACKAGE) else []
    for node in running_nodes(ast.parse(path.read_text(encoding="utf-8")), functions=functions):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{stem}.{alias.name}", node.lineno) for alias in node.names)


def own_imports(path: Path, **options: bool) -> Iterator[tuple[str, int]]:
    """Units of this package that a module imports."""
    for name, line in imports(path, **options):
        parts = name.split(".")
        if parts[0] == "harmose_dft" and len(parts) > 1 and any(parts[1] in layer for layer in LAYERS):
            yield parts[1], line


MODULES = [p for p in sources() if p != PACKAGE / "__init__.py"]
"""All but the package's front page, which names what users import."""


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    unit = unit_of(path)
    for imported, line in own_imports(path):
        where = f"{path.name}:{line}: {unit} imports {imported}"
        assert level(imported) <= level(unit) or (unit, imported) in CONVENIENCE, where
        assert (unit, imported) not in APART, where
        if level(unit) == 0:
            assert imported == "errors" or imported == unit, where


def test_every_module_has_a_layer() -> None:
    known = set().union(*LAYERS)
    assert {unit_of(p) for p in sources()} - known - {"__init__"} == set()


def test_package_front_page_imports_lazily() -> None:
    assert not {name.split(".")[0] for name, _ in imports(PACKAGE / "__init__.py", functions=False)} & HEAVY
    assert list(own_imports(PACKAGE / "__init__.py", functions=False)) == []


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_adapters_know_other_codes(path: Path) -> None:
    if unit_of(path) not in HOSTS:
        assert [(n, line) for n, line in imports(path) if n.split(".")[0] in FOREIGN] == []


@pytest.mark.parametrize("path", sources(PACKAGE / "cli"), ids=lambda p: p.name)
def test_commands_import_nothing_heavy_when_they_are_loaded(path: Path) -> None:
    heavy = [(n, line) for n, line in imports(path, functions=False) if n.split(".")[0] in HEAVY]
    assert heavy == []


UNIT_CONSTANTS = re.compile(r"0\.52917\d*|27\.211\d*|13\.605\d*|2\.5417\d*|1\.8897\d*|627\.50\d*|219474\.\d*")
"""Beginnings of Bohr, Hartree, Rydberg, Debye and their inverses."""


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_unit_constants_stand_in_one_place(path: Path) -> None:
    """Numbers in code; an adapter may state the constants that its code was compiled with, as module-level names."""
    if path.name == "units.py" and path.parent == PACKAGE:
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    allowed = [s for s in tree.body if isinstance(s, ast.Assign | ast.AnnAssign)] if unit_of(path) == "adapters" else []
    exempt = {id(n) for statement in allowed for n in ast.walk(statement)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and id(node) not in exempt:
            assert not UNIT_CONSTANTS.match(repr(node.value)), f"{path.name}:{node.lineno}: {node.value}"


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_unpickles(path: Path) -> None:
    assert [n for n, _ in imports(path) if n.split(".")[0] in {"pickle", "dill", "cloudpickle", "joblib"}] == []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        keywords = {k.arg: k.value for k in node.keywords}
        where = f"{path.name}:{node.lineno}: {name}"
        assert name != "torch.load", where
        pickle = keywords.get("allow_pickle")
        assert pickle is None or (isinstance(pickle, ast.Constant) and pickle.value is False), where


def tracked_text() -> list[Path]:
    """Text files of the repository that were written for it."""
    folders = ("harmose_dft", "tests", "docs", "examples", "benchmarks", "interfaces", ".ci")
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".cff", ".sh", ".txt", ""}
    found = [p for p in ROOT.iterdir() if p.is_file() and p.suffix in suffixes]
    for folder in folders:
        found += [p for p in (ROOT / folder).rglob("*") if p.is_file() and p.suffix in suffixes]
    hidden = {"venv", "__pycache__", "fixtures", "_build"}
    return sorted(p for p in found if not hidden & set(p.relative_to(ROOT).parts))


ABSOLUTE = re.compile(r"""(?<![\w.~:/)}\]-])/(work|tmp|root|home|Users|mnt|opt|scratch)/""")


def test_no_path_of_one_machine_is_in_the_repository() -> None:
    for path in tracked_text():
        if path == Path(__file__).resolve():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), start=1):
            assert not ABSOLUTE.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()}"


def test_rules_find_violations(tmp_path: Path) -> None:
    """The checks above can fail: each pattern catches an example."""
    bad = tmp_path / "bad.py"
    bad.write_text("if TYPE_CHECKING:\n    import ase\ndef f():\n    import torch\n    import pyscf.gto\n")
    assert ("pyscf.gto", 5) in list(imports(bad))
    assert not any(n == "ase" for n, _ in imports(bad))
    assert not any(n.startswith("pyscf") for n, _ in imports(bad, functions=False))
    assert UNIT_CONSTANTS.match(repr(27.2114))
    assert ABSOLUTE.search('open("/home/me/x")')
    assert not ABSOLUTE.search("https://x.org/home/page and ../tmp/x")
    assert level("nn") > level("solver") > level("matrix") > level("units")
