"""One section for each result file of a benchmark: description, table, and how each row was measured."""

from __future__ import annotations

from .sources import read_result, table

TABLES = (
    "organic", "refinement", "few_shot", "water", "crystals", "abacus", "large", "speed", "streaming", "seeding",
    "relaxation",
)
"""Result files, in the order of the page."""


def format_cell(value: object) -> str:
    """A value in a table."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def benchmark(name: str) -> str:
    """One result file as a section: title, description, table, and how each row was measured."""
    result = read_result(name)
    columns = result["columns"]
    letters = dict(zip(result["measurements"], "abcdefgh", strict=False))
    titles = [c["title"] + (f" ({c['unit']})" if "unit" in c else "") for c in columns] + ["measured by"]
    rows = [[format_cell(row[c["key"]]) for c in columns] + [letters[row["measurement"]]] for row in result["rows"]]
    lines = [f"## {result['title']}", "", result["about"], "", table(titles, rows), ""]
    for key, letter in letters.items():
        m = result["measurements"][key]
        command = f"`{m['command']}`" if m["date"] else m["command"]
        facts = ", ".join(fact for fact in (m["date"], m["version"], m["machine"]) if fact)
        lines.append(f"* {letter}: {command} ({facts})")
    return "\n".join(lines)


def benchmarks() -> str:
    """All tables."""
    return "\n\n".join(benchmark(name) for name in TABLES)
