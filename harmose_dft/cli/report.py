"""What ``predict`` shows of a prediction: the JSON object, and tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..core.spectrum import OCCUPIED
from ..core.units import HARTREE_IN_EV
from . import console

if TYPE_CHECKING:
    from ..core.spectrum import Spectrum
    from ..model.predictor import Prediction

Floats = NDArray[np.float64]

MANY_ORBITALS = 16
"""With more occupied orbitals than this, the lower ones are shown as one line."""

EMPTY_SHOWN = 3
"""Unoccupied orbitals shown in the table."""

MANY_STRUCTURES = 3
"""More structures than this share one table with a row each."""


def summary(prediction: Prediction, source: str, dipole: Sequence[float] | None) -> dict[str, Any]:
    """The JSON object of one structure.

    Args:
        prediction: What the model said.
        source: Where the structure came from.
        dipole: Dipole moment in Debye, (xyz,); None for a crystal.
    """
    structure, spectrum = prediction.structure, prediction.spectrum
    levels = crystal_levels(spectrum) if structure.periodic else {
        "homo_ev": spectrum.homo * HARTREE_IN_EV,
        "lumo_ev": spectrum.lumo * HARTREE_IN_EV,
        "gap_ev": spectrum.gap * HARTREE_IN_EV,
    }
    return {
        "source": source,
        "formula": structure.formula,
        "n_atoms": len(structure),
        "n_electrons": round(spectrum.n_electrons),
        "model": {"name": prediction.model.name, "sha256": prediction.model.sha256},
        "functional": prediction.functional,
        "basis": prediction.basis.name,
        "orbital_energies_ev": spectrum.energies * HARTREE_IN_EV,
        "occupations": spectrum.occupations,
        **levels,
        "dipole_debye": None if dipole is None else float(np.linalg.norm(dipole)),
        "dipole_vector_debye": dipole,
        "seconds": prediction.seconds,
        "trust": dict(prediction.trust),
        "files": [],
    }


def crystal_levels(spectrum: Spectrum) -> dict[str, Any]:
    """Fermi level and gaps of a crystal on its mesh of k-points, eV; gaps of zero for a metal."""
    from ..solver import band_gap

    assert spectrum.fermi is not None
    indirect, direct = band_gap(spectrum)
    return {
        "fermi_ev": spectrum.fermi * HARTREE_IN_EV,
        "gap_ev": indirect * HARTREE_IN_EV,
        "direct_gap_ev": direct * HARTREE_IN_EV,
        "homo_ev": None,
        "lumo_ev": None,
    }


def print_summaries(summaries: Sequence[Mapping[str, Any]]) -> None:
    """Tables for people: in full for a few structures, a row each for many."""
    if len(summaries) > MANY_STRUCTURES:
        rows = [
            (s["source"], s["formula"], *(number(s[k], 3) for k in ("homo_ev", "lumo_ev", "gap_ev", "dipole_debye")))
            for s in summaries
        ]
        columns = ("structure", "formula", "HOMO (eV)", "LUMO (eV)", "gap (eV)", "dipole (D)")
        console.print_table(heading(summaries[0]), columns, rows, left=2)
        console.say(f"written: {', '.join(dict.fromkeys(f for s in summaries for f in s['files']))}")
        return
    for entry in summaries:
        title = f"{entry['source']}: {entry['formula']}, {entry['n_electrons']} electrons, {heading(entry)}"
        energies, occupations = entry["orbital_energies_ev"], entry["occupations"]
        if energies.ndim == 1:
            console.print_table(title, ("orbital", "energy (eV)", "occupation"), orbital_rows(energies, occupations))
        else:
            console.say(f"{title}, {energies.shape[-2]} k-points\n")
        if "fermi_ev" in entry:
            names = (("Fermi level", "fermi_ev"), ("gap", "gap_ev"), ("direct gap", "direct_gap_ev"))
            figures = [(name, key, "eV") for name, key in names]
        else:
            figures = [("HOMO", "homo_ev", "eV"), ("LUMO", "lumo_ev", "eV"), ("gap", "gap_ev", "eV")]
            figures += [("dipole", "dipole_debye", "D")]
        console.say("   ".join(f"{name} {number(entry[key], 3)} {unit}" for name, key, unit in figures))
        for name, value in entry["trust"].items():
            if name != "warnings":  # on stderr, however many structures there are
                console.say(f"  {labelled(name, value, ':')}")
        if "compare" in entry:
            print_comparison(entry["compare"])
        console.say(f"written: {', '.join(entry['files'])}")


def heading(entry: Mapping[str, Any]) -> str:
    """Level of theory and model, in one line."""
    model = entry["model"]
    return f"{entry['functional']}/{entry['basis']} by {model['name']} ({model['sha256'][:8]})"


def orbital_rows(energies: Floats, occupations: Floats) -> list[tuple[str, str, str]]:
    """Name, energy in eV and occupation of a molecule's orbitals around the gap, lowest first."""
    filled = int((occupations > OCCUPIED).sum())
    first = 0 if filled <= MANY_ORBITALS else filled - MANY_ORBITALS + 1
    rows: list[tuple[str, str, str]] = []
    if first:
        rows.append((f"1 to {first}", f"{energies[0]:.2f} to {energies[first - 1]:.2f}", "2 each"))
    for n in range(first, min(filled + EMPTY_SHOWN, len(energies))):
        below, above = n - filled + 1, n - filled
        name = f"HOMO{below or '':}" if n < filled else f"LUMO{f'+{above}' if above else ''}"
        rows.append((f"{n + 1:>3} {name}", f"{energies[n]:.3f}", f"{occupations[n]:g}"))
    return rows


def print_comparison(compare: Mapping[str, Any]) -> None:
    """Model and reference side by side, and the metrics of the difference."""
    rows = []
    for name, key, digits in (
        ("HOMO (eV)", "homo_ev", 3), ("LUMO (eV)", "lumo_ev", 3), ("gap (eV)", "gap_ev", 3),
        ("dipole (D)", "dipole_debye", 3), ("time (s)", "seconds", 2),
    ):
        model, reference = compare["model"][key], compare["reference"][key]
        difference = number(model - reference, digits, sign=True) if key != "seconds" else ""
        rows.append((name, number(model, digits), number(reference, digits), difference))
    console.print_table("against PySCF", ("", "model", "PySCF", "difference"), rows)
    metrics = compare["metrics"]
    stages = [("full model", metrics["model"])] + ([("stage 1", metrics["stage1"])] if metrics["stage1"] else [])
    names = [n for n, v in metrics["model"].items() if isinstance(v, float) and n not in HIDDEN]
    table = []
    for name in names:
        digits, label = (5, name) if name in PURE else (1, f"{name} ({metrics['unit']})")
        table.append((label, *(number(stage[name], digits) for _, stage in stages)))
    console.print_table("metrics", ("", *(label for label, _ in stages)), table)


HIDDEN = ("mae_all_raw", "mae_median", "mae_cha_s", "mae_cha_s_5", "mae_cha_b")
"""Metrics that mean something for a data set only."""

PURE = ("psi_cos", "psi_subspace")
"""Metrics without a unit."""


def number(value: float | None, digits: int, *, sign: bool = False) -> str:
    """A number for a table; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:{'+' if sign else ''}.{digits}f}"


def labelled(key: str, value: Any, colon: str = "") -> str:
    """Name, value and unit of an entry whose key ends in its unit, such as "mean_change_uha"."""
    words = key.split("_")
    unit = UNITS.get(words[-1], "") if len(words) > 1 else ""
    name = " ".join(words[:-1] if unit else words)
    return f"{name}{colon} {readable(value)} {unit}".rstrip()


def readable(value: Any) -> str:
    """A value of the trust report in a few words."""
    if isinstance(value, Mapping):
        return ", ".join(labelled(str(k), v) for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(readable(v) for v in value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


UNITS = {"uha": "uHa", "mha": "mHa", "hartree": "Hartree", "ev": "eV", "mev": "meV", "bohr": "Bohr", "angstrom": "Å"}
"""Last word of a key -> the unit as it is written."""
