"""Tables of the documentation are those of the program and of the result files today."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "docs"))

import draw_coverage  # noqa: E402
import draw_stages  # noqa: E402
import generate  # noqa: E402
from parts.benchmarks import TABLES  # noqa: E402
from parts.sources import RESULTS, read_result  # noqa: E402


@pytest.mark.parametrize("page", generate.PAGES)
def test_page_is_up_to_date(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert generate.fill(text, generate.PAGES[page]) == text, "run: python docs/generate.py"


@pytest.mark.parametrize("figure", [draw_stages, draw_coverage], ids=["stages", "coverage"])
def test_figure_is_up_to_date(figure: ModuleType) -> None:
    path = Path(figure.__file__ or "")
    assert figure.TARGET.read_text(encoding="utf-8") == figure.figure(), f"run: python docs/{path.name}"


@pytest.mark.parametrize("name", TABLES)
def test_every_figure_has_a_command_and_a_date(name: str) -> None:
    result = read_result(name)
    for row in result["rows"]:
        measurement = result["measurements"][row["measurement"]]
        assert measurement["command"]
        assert measurement["machine"]
        assert measurement["date"] or "not part of this repository" in measurement["command"]
    keys = {column["key"] for column in result["columns"]} | {"measurement"}
    assert [row for row in result["rows"] if set(row) != keys] == []


@pytest.mark.parametrize("name", TABLES)
def test_commands_run_scripts_that_exist_and_have_their_options(name: str) -> None:
    for measurement in read_result(name)["measurements"].values():
        words = measurement["command"].split()
        if words[0] == "python":
            script = (ROOT / words[1]).read_text(encoding="utf-8")
            options = {word for word in words if word.startswith("--")}
            if not measurement["version"].startswith("script of commit"):
                assert {option for option in options if f'"{option}' not in script} == set()


def test_result_files_are_all_shown() -> None:
    others = {"materials", "trust", "trust_bilayer", "trust_graphene"}
    assert {path.stem for path in RESULTS.glob("*.json")} == {*TABLES, *others}
    for name in TABLES:
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
