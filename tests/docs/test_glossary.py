"""The words that the glossary in CONTRIBUTING.md replaces are not used as names in the package."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PARTICIPLE = re.compile(r"\w*(ed|turned|found)$")
"""How functions that are named like their results end."""

VERB_FIRST = re.compile(r"_*(require|refuse|undo|write|converge|is|has)_")
"""Functions whose name begins with a verb may end in a participle."""

VERBS = {"seed", "embed"}
"""Verbs that end like participles."""


def banned_words() -> set[str]:
    """The last column of the glossary."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Glossary")[2]
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("| ")][1:]
    return {word for row in rows if len(row) == 3 for word in re.findall(r"`(\w+)`", row[2])}


def is_property(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    names = {getattr(d, "id", getattr(d, "attr", "")) for d in node.decorator_list}
    return bool(names & {"property", "cached_property"})


def names_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of functions, of arguments, and of local variables."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node.lineno, node.name
        yield from ((a.lineno, a.arg) for a in ast.walk(node) if isinstance(a, ast.arg))
        for local in ast.walk(node):
            if isinstance(local, ast.Name) and isinstance(local.ctx, ast.Store):
                yield local.lineno, local.id


def participles_in(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and name of functions that are named like results."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_property(node):
            verb = VERB_FIRST.match(node.name) or node.name.strip("_").partition("_")[0] in VERBS
            if PARTICIPLE.match(node.name) and not verb:
                yield node.lineno, node.name


def violations() -> list[str]:
    """Every use of a banned word, with file and line."""
    banned = banned_words()
    out = set()
    for path in sorted((ROOT / "harmose_dft").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        uses = [(line, name) for line, name in names_in(tree) if name in banned] + list(participles_in(tree))
        out |= {f"{path.relative_to(ROOT)}:{line} {name}" for line, name in uses}
    return sorted(out)


def test_glossary_replaces_words() -> None:
    assert {"found", "known", "own", "what", "where", "baseline", "metric"} <= banned_words()


def test_package_uses_the_words_of_the_glossary() -> None:
    uses = violations()
    assert uses == [], f"{len(uses)} names that the glossary in CONTRIBUTING.md replaces:\n" + "\n".join(uses)


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("def solved(a): ...", 1),
        ("class A:\n    @property\n    def occupied(self): ...", 0),
        ("def embed(a): ...", 0),
        ("def _require_closed(a): ...", 0),
    ],
)
def test_participles_are_recognised(code: str, count: int) -> None:
    assert len(list(participles_in(ast.parse(code)))) == count
