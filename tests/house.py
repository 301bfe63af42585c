"""Measures the floor plan of the package: rooms, layers, arrows, circles. ``python tests/house.py`` prints it."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "harmose_dft"

LAYERS = (
    {"core"},
    {"nn", "solver"},
    {"data", "metrics", "output", "plots"},
    {"adapters"},
    {"physics"},
    {"model"},
    {"training", "plugins"},
    {"workflows"},
    {"cli"},
)
"""Rooms from bottom to top; a room imports rooms of lower layers only, inside functions too."""

FACE = {"__init__", "__main__", "testing", "calculator"}
"""Modules at the root: the public names, the entry point, the public testing kit, and a name of 0.1."""


def sources(folder: Path = PACKAGE) -> list[Path]:
    """Python files of the package."""
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def room_of(path: Path) -> str:
    """First part of a module's name below the package: "solver" for harmose_dft/solver/dos.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def level(room: str) -> int:
    """Layer of a room, from the bottom."""
    return next(n for n, layer in enumerate(LAYERS) if room in layer)


def is_type_checking(node: ast.AST) -> bool:
    """Whether a statement is for type checkers only."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running_nodes(node: ast.AST, *, functions: bool = True) -> Iterator[ast.AST]:
    """All nodes that run, without those for type checkers only and, on request, without function bodies."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child) or (not functions and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            continue
        yield child
        yield from running_nodes(child, functions=functions)


def imports(path: Path, *, functions: bool = True, types: bool = False) -> Iterator[tuple[str, int]]:
    """Absolute names of imported modules (one per imported name where it may be a module), with the line.

    Args:
        path: A source file.
        functions: Whether imports inside functions count.
        types: Whether imports for type checkers count.
    """
    package = ["harmose_dft", *path.relative_to(PACKAGE).parts[:-1]] if path.is_relative_to(PACKAGE) else []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if types else running_nodes(tree, functions=functions):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{stem}.{alias.name}", node.lineno) for alias in node.names)


def room_imports(path: Path, **options: bool) -> Iterator[tuple[str, int]]:
    """Rooms of this package that a module imports, its own among them, with the line."""
    rooms = set().union(*LAYERS)
    for name, line in imports(path, **options):
        parts = name.split(".")
        if parts[0] == "harmose_dft" and len(parts) > 1 and parts[1] in rooms:
            yield parts[1], line


def arrows() -> set[tuple[str, str]]:
    """(room, imported room) of all imports, those in functions and for type checkers included."""
    found = set()
    for path in sources():
        room = room_of(path)
        if room not in {"__init__", "__main__"}:
            found |= {(room, other) for other, _ in room_imports(path, types=True) if other != room}
    return found


def longest_chain(edges: set[tuple[str, str]]) -> list[str]:
    """The longest chain of rooms that import each other, from top to bottom; no circles may be left."""
    below: dict[str, set[str]] = {}
    for room, other in edges:
        below.setdefault(room, set()).add(other)

    def chain(room: str) -> list[str]:
        return [room, *max((chain(other) for other in below.get(room, ())), key=len, default=[])]

    return max((chain(room) for room in below), key=len, default=[])


def circles(edges: set[tuple[str, str]]) -> list[set[str]]:
    """Groups of rooms that reach each other."""
    rooms = {room for edge in edges for room in edge}
    reach = {room: {other for start, other in edges if start == room} for room in rooms}
    for _ in rooms:
        reach = {room: others.union(*(reach[o] for o in others)) for room, others in reach.items()}
    groups = {frozenset(o for o in reach[room] if room in reach[o]) for room in rooms if room in reach[room]}
    return [set(group) for group in groups]


def module_circles() -> list[tuple[str, str]]:
    """Pairs of modules that reach each other through imports, those inside functions included."""
    names = {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in sources()}
    below: dict[str, set[str]] = {}
    for name, path in names.items():
        targets = set()
        for imported, _ in imports(path):
            module = imported if imported in names else imported.rpartition(".")[0]
            if module in names and module != name:
                targets.add(module)
        below[name] = targets
    reach = {name: set(targets) for name, targets in below.items()}
    changed = True
    while changed:
        changed = False
        for targets in reach.values():
            more = set().union(targets, *(reach[t] for t in targets))
            changed |= more != targets
            targets |= more
    return sorted((a, b) for a in reach for b in reach[a] if a < b and a in reach[b])


def unused_dependencies() -> list[str]:
    """Hard dependencies that no module imports."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [re.split(r"[<>=\[ ]", d)[0] for d in project["dependencies"]]
    used = {name.split(".")[0] for path in sources() for name, _ in imports(path, types=True)}
    module = {"pyyaml": "yaml"}
    return [d for d in declared if module.get(d, d.replace("-", "_")) not in used]


def bare_any() -> int:
    """Signatures in which a parameter or the result is just ``Any``."""
    count = 0
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                notes = [a.annotation for a in every] + [node.returns]
                count += any(isinstance(n, ast.Name) and n.id == "Any" for n in notes)
    return count


def occurrences(pattern: str) -> int:
    """Lines of the package that a regular expression matches."""
    return sum(len(re.findall(pattern, path.read_text(encoding="utf-8"))) for path in sources())


def figures() -> dict[str, tuple[object, object]]:
    """Name -> (measured, wanted)."""
    edges = arrows()
    root = {p.name.removesuffix(".py") for p in PACKAGE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    loops = circles(edges)
    functions = [
        (node.end_lineno or 0) - node.lineno + 1
        for path in sources() for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    ]
    return {
        "modules and packages at the root": (len(root - {"__init__", "__main__"}), 20),
        "layers of rooms": (0 if loops else len(longest_chain(edges)), 10),
        "arrows between rooms": (len(edges), 99),
        "circles of rooms": (len(loops), 0),
        "circles of modules": (len(module_circles()), 0),
        "dependencies imported nowhere": (len(unused_dependencies()), 0),
        "signatures with a bare Any": (bare_any(), 20),
        "running sums by concatenate and cumsum": (occurrences(r"concatenate\(\[\[0\], np\.cumsum"), 1),
        "longest function (lines)": (max(functions), 60),
        "longest file (lines)": (max(len(p.read_text(encoding="utf-8").splitlines()) for p in sources()), 400),
    }


def main() -> int:
    """Print the figures; 1 where one falls short."""
    rows = figures()
    for name, (measured, wanted) in rows.items():
        print(f"{name:45} {measured!s:>6}   wanted at most {wanted}")
    print("longest chain:", " > ".join(longest_chain(arrows())))
    return int(any(int(str(measured)) > int(str(wanted)) for measured, wanted in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
