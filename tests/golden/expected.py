"""What tests/test_golden.py expects: ``expected.py RESULT`` turns a result of compute.py into expected.json.

Bits differ from machine to machine, so an array is kept as its shape, mean, root mean square, largest value and a
projection that sees the order, weights of a model all together, and texts of other programs and figures that are
nothing but rounding not at all.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from compare import excluded
from compute import Golden

HERE = Path(__file__).resolve().parent

LEFT_OUT = (
    # said in full, or once, elsewhere
    "*/basis/*", "*@basis/*", "*/bases/*", "*/training/*", "*/file/*@provenance/*", "*/numbers", "*/orbitals",
    "*/metrics/*/mae_block/*", "*/metrics/*/mae_element/*", "*/units/*", "*/domain/*", "*/stderr/words",
    "train/long/*", "train/*/train/*", "crystal/*/train/*", "organic/many/*", "*/baseline/*", "*/model.json/model/*",
    # rounding, or numbers of cycles that hang on it
    "*covariance*", "*cov_err*", "*electron_count*", "*/max_deviation_mev", "*/overlap_deviation", "*cycles*",
    "*fock_builds*", "*/codes*/numbers", "*/scf/next energy", "*/skipped",
    "train/*/evaluate*/*_mae", "train/*/evaluate*/psi_*", "train/*/evaluate*/mae_cha*", "train/*/valid_orbital_mae",
    "crystal/*/evaluate/*_mae", "crystal/*/evaluate/psi_*", "train/joint/info/metrics/*", "*text/stdout/words",
    # what a second stage of ten steps changes: without AVX-512 something else
    "train/*/predict/trust/correction/*",
    # words of click and pydantic, and their versions'
    "help*", "refused/train *", "refused/*/stdout/*",
)  # fmt: skip

HASH = re.compile(r"[0-9a-f]{64}")

DIGITS = 10
"""Significant digits that are kept."""

TOLERANCE = 2e-6
TOLERANCES = {
    "organic/*/compare/*": 1e-4,  # differences of nearly equal numbers
    "organic/cube *": 1e-4,  # printed with six digits
    "organic/molden*": 1e-4,
    "train/*": 3e-2,  # ten steps of training make much of rounding, the trained weights as a whole little
    "crystal/*/log/*": 3e-2,
    "crystal/*/evaluate/*": 3e-2,
    "crystal/*/predict/*": 1e-2,
    "crystal/*/file/*": 1e-2,
    "crystal/*/bands/*": 1e-2,
    "crystal/bands of a model/*": 3e-2,
    "crystal/info of a result/*": 1e-2,
    "*gradient_norm": 1e-1,
    "*member_spread_uha": 3e-1,
    "crystal/*/correction_size_uha": 1e-1,
    "*commutator*": 1e-4,
    "*/certificate/*": 1e-3,  # differences of nearly equal levels, of a network in single precision
    "*/forces": 1e-4,
    "*/weights": 1e-3,
}
"""Relative to an array's root mean square; the last pattern that matches counts."""

FLOOR = 1e-6
"""Smaller differences are none, whatever the unit."""


def summary(golden: Golden) -> dict[str, Any]:
    """Name -> a JSON value, or [shape, mean, rms, largest, projection] of an array."""
    found: dict[str, Any] = {}
    weights: dict[str, list[np.ndarray]] = {}
    for name, array in golden.arrays.items():
        model, inside, _ = name.partition("/weights/")
        if inside and array.dtype.kind == "f":
            weights.setdefault(f"{model}/weights", []).append(array.ravel())
        elif not left_out(name):
            found[name] = of_array(array)
    for name in (n for n in weights if not left_out(n)):
        whole = np.concatenate([p.astype(float) for p in weights[name]])
        found[name] = of_array(np.array([len(whole), np.sqrt(np.mean(whole**2)), np.abs(whole).mean()]))
    for name, value in golden.values.items():
        hashed = isinstance(value, str) and HASH.fullmatch(value)
        if not hashed and not left_out(name):
            found[name] = rounded(value) if isinstance(value, float) else value
    return dict(sorted(found.items()))


def left_out(name: str) -> bool:
    """Whether an item is not in expected.json."""
    return excluded(name) or any(fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def of_array(array: np.ndarray) -> Any:
    """Shape and four numbers; the number itself, of one."""
    if array.shape == ():
        return rounded(float(array)) if array.dtype.kind == "f" else array.item()
    x = np.nan_to_num(array.ravel())
    if x.dtype.kind == "c":
        x = np.stack([x.real, x.imag], -1).ravel()
    x = x.astype(float)
    if not x.size:
        return [list(array.shape), 0.0, 0.0, 0.0, 0.0]
    numbers = (x.mean(), np.sqrt(np.mean(x**2)), np.abs(x).max(), np.mean(x * np.cos(1.7 * np.arange(x.size))))
    return [list(array.shape), *(rounded(float(n)) for n in numbers)]


def rounded(number: float) -> float:
    """A number with fewer digits."""
    return float(f"{number:.{DIGITS - 1}e}")


def tolerance(name: str) -> float:
    """Allowed relative deviation of an item."""
    return [TOLERANCE, *(t for pattern, t in TOLERANCES.items() if fnmatchcase(name, pattern))][-1]


def deviation(name: str, expected: Any, found: Any) -> str | None:
    """What is wrong with an item; None if nothing is."""
    if is_array(expected) and is_array(found):
        scale = expected[2]
        apart = max(abs(a - b) for a, b in zip(expected[1:], found[1:], strict=True))
        peak = max(abs(expected[3]) - scale, 0.0)
        fits = expected[0] == found[0] and apart <= tolerance(name) * (scale + 0.1 * peak) + FLOOR
    elif isinstance(expected, float) and isinstance(found, float):
        fits = abs(expected - found) <= tolerance(name) * abs(expected) + FLOOR
    else:
        fits = expected == found
    return None if fits else f"{name}: expected {expected}, found {found}"


def is_array(value: Any) -> bool:
    """Whether a summary is of an array."""
    return isinstance(value, list) and len(value) == 5 and isinstance(value[0], list)


def deviations(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """A line for each item that does not fit."""
    lines = []
    for name in sorted({*expected, *found}):
        if name not in expected or name not in found:
            lines.append(f"{name}: {'missing' if name in expected else 'not expected'}")
        elif (line := deviation(name, expected[name], found[name])) is not None:
            lines.append(line)
    return lines


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="OUT of compute.py")
    parser.add_argument("--check", action="store_true", help="only compare with expected.json")
    arguments = parser.parse_args()
    found, target = summary(Golden.load(arguments.result)), HERE / "expected.json"
    if arguments.check:
        lines = deviations(json.loads(target.read_text(encoding="utf-8")), found)
        print("\n".join([*lines, f"{len(lines)} items do not fit"]))
        sys.exit(bool(lines))
    lines = [f"{json.dumps(k, ensure_ascii=False)}: {json.dumps(v, ensure_ascii=False)}" for k, v in found.items()]
    target.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{len(found)} items, {target.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
