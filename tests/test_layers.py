"""Rules of the source as a whole: layers, units in one place, no pickle, no machine's own paths."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from house import (
    FACE,
    LAYERS,
    PACKAGE,
    ROOT,
    arrows,
    circles,
    figures,
    imports,
    level,
    module_circles,
    room_imports,
    room_of,
    sources,
    unused_dependencies,
)

UNSEEN = ("solver", "metrics", "data", "output", "plots")
"""Rooms that networks never import: they see tensors only."""

FOREIGN = {"pyscf", "ase", "sisl", "seekpath", "tblite", "rdkit", "dask", "distributed", "dask_jobqueue"}
"""Codes and their file formats."""

HOSTS = {"adapters", "plugins", "physics", "testing"}
"""Rooms that may import them."""

FOREIGN_ELSEWHERE = {"solver/kpaths.py", "workflows/cluster.py", "plots/picture.py"}
"""Modules outside these rooms that may: special points of a lattice by ASE or seekpath, workers by Dask, radii and
colours of elements by ASE."""

HEAVY = {"torch", "scipy", "pyscf", "ase", "h5py", "matplotlib", "e3nn", "torch_geometric", "sisl", "rich", "pydantic"}
"""Not imported when a command module is imported."""

MODULES = [p for p in sources() if room_of(p) not in FACE]
"""All but the package's front page, which names what users import."""


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)
    for imported, line in room_imports(path, types=True):
        where = f"{path.relative_to(PACKAGE)}:{line}: {room} imports {imported}"
        assert imported == room or level(imported) < level(room), where
        assert room != "nn" or imported not in UNSEEN, where


def test_every_module_has_a_layer() -> None:
    assert {room_of(p) for p in sources()} - set().union(*LAYERS) - FACE == set()


def test_no_modules_reach_each_other_in_circles() -> None:
    assert module_circles() == []
    assert circles(arrows()) == []


def test_hard_dependencies_are_imported() -> None:
    assert unused_dependencies() == []


def test_package_front_page_imports_lazily() -> None:
    assert not {name.split(".")[0] for name, _ in imports(PACKAGE / "__init__.py", functions=False)} & HEAVY
    ours = [name for name, _ in imports(PACKAGE / "__init__.py", functions=False) if name.startswith("harmose_dft")]
    assert ours == ["harmose_dft.core.version.__version__"]


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_adapters_know_other_codes(path: Path) -> None:
    if room_of(path) not in HOSTS and str(path.relative_to(PACKAGE)) not in FOREIGN_ELSEWHERE:
        assert [(n, line) for n, line in imports(path) if n.split(".")[0] in FOREIGN] == []


@pytest.mark.parametrize("path", sources(PACKAGE / "cli"), ids=lambda p: p.name)
def test_commands_import_nothing_heavy_when_they_are_loaded(path: Path) -> None:
    heavy = [(n, line) for n, line in imports(path, functions=False) if n.split(".")[0] in HEAVY]
    assert heavy == []


UNIT_CONSTANTS = re.compile(r"0\.52917\d*|27\.211\d*|13\.605\d*|2\.5417\d*|1\.8897\d*|627\.50\d*|219474\.\d*")
"""Beginnings of Bohr, Hartree, Rydberg, Debye and their inverses."""


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_unit_constants_stand_in_one_place(path: Path) -> None:
    """Numbers in code; adapters and made-up runs may state the constants that a code was compiled with, as names."""
    if path == PACKAGE / "core" / "units.py":
        return
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [s for s in tree.body if isinstance(s, ast.Assign | ast.AnnAssign)]
    allowed = names if room_of(path) in {"adapters", "testing"} else []
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


def test_the_floor_plan_is_as_simple_as_wanted() -> None:
    assert {name: m for name, m in figures().items() if int(str(m[0])) > int(str(m[1]))} == {}


def tracked_text() -> list[Path]:
    """Text files of the repository that were written for it."""
    folders = ("harmose_dft", "tests", "docs", "examples", "benchmarks", "interfaces", ".ci")
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".cff", ".sh", ".txt", ""}
    found = [p for p in ROOT.iterdir() if p.is_file() and p.suffix in suffixes and p.name != ".git"]
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
    assert level("cli") > level("model") > level("solver") > level("core")
