"""Write the tables of the documentation that follow from the program and from ``benchmarks/results/*.json``.

    python docs/generate.py            # write
    python docs/generate.py --check    # compare, and end with exit code 1 if a page is not up to date

A generated part lies between ``<!-- generated: NAME -->`` and ``<!-- end -->``; all else on a page is written by hand.
What writes each part is a function in the folder ``parts``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from parts import benchmarks, codes, configuration, h0, materials, readme, trust
from parts.sources import ROOT

PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "docs/reference/configuration.md": {"configuration": configuration.configuration},
    "docs/reference/codes.md": {
        "codes": codes.code_table,
        "units": codes.unit_table,
        "recognition": codes.recognition_table,
        "options": codes.option_table,
        "starts": codes.start_table,
    },
    "docs/benchmarks.md": {
        "benchmarks": benchmarks.benchmarks,
        "materials": materials.materials,
        "second stage": materials.second_stage,
        "learning curve": materials.learning_curve,
    },
    "docs/explanation/physics.md": {"h0": h0.h0_table},
    "docs/explanation/trust.md": {
        "trust": trust.trust_table,
        "bands": trust.band_trust_table,
        "kinds": trust.kinds_table,
        "wrong": trust.wrong_table,
    },
    "harmose_dft/weights/organic/README.md": {"trust": trust.card},
    "README.md": {"numbers": readme.numbers},
}
"""Page -> name of a generated part -> what writes it."""


def fill(text: str, parts: dict[str, Callable[[], str]]) -> str:
    """A page with its generated parts.

    Args:
        text: The page as it is.
        parts: What writes each part.
    """
    for name, write in parts.items():
        begin, end = f"<!-- generated: {name} -->\n", "\n<!-- end -->"
        before, marker, rest = text.partition(begin)
        assert marker, f"no part {name!r}"
        text = before + begin + write() + end + rest.partition(end)[2]
    return text


def main(arguments: Sequence[str]) -> int:
    """Write or check all pages."""
    stale = []
    for page, parts in PAGES.items():
        path = ROOT / page
        before = path.read_text(encoding="utf-8")
        after = fill(before, parts)
        if after != before:
            stale.append(page)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    if stale:
        print("not up to date:" if "--check" in arguments else "written:", ", ".join(stale))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
