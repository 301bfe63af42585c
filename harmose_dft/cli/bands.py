"""``harmose-dft bands``: bands of a predicted crystal, a result file or a DFT code's calculation along a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..workflows.bands import WINDOW
from . import console

if TYPE_CHECKING:
    from ..solver.kpaths import KPath
    from ..workflows.bands import Crystal, Floats


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--model", help="Model that predicts the structure in SOURCE.  [default: SOURCE holds a Hamiltonian]")
@click.option("--kpath", metavar="GMKG", help="Special points; 'seekpath' for its path.  [default: ASE's path]")
@click.option("--points", default=100, show_default=True, type=click.IntRange(min=2), help="k-points along the path.")
@click.option("--states", type=click.IntRange(min=1), help="Only so many states around the Fermi level, by "
              "shift-invert in large cells.  [default: all up to 1000 orbitals, 60 beyond]")
@click.option("--compare", type=click.Path(path_type=Path), metavar="CALCULATION",
              help="Reference calculation of the same crystal (OpenMX, ABACUS, DeepH or a result file).")
@click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE", help="Draw the bands (png, pdf, svg).")
@click.option("--window", default=WINDOW, show_default=True, type=click.FloatRange(min=0.01),
              help="eV around the Fermi level that are compared and drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, energies included, instead of a table.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")
@click.option("--force", is_flag=True, help="Overwrite an existing picture.")
def bands(
    source: Path, model: str | None, kpath: str | None, points: int, states: int | None, compare: Path | None,
    plot: Path | None, window: float, as_json: bool, device: str, force: bool,
) -> None:
    """Bands of the crystal in SOURCE: a structure file (with --model), a result of predict, or a calculation."""
    from ..workflows.bands import compared, draw, read_crystal, require_same_cell

    if compare is not None and states is not None:
        raise click.UsageError("--compare pairs bands one by one, which needs all of them; leave --states out.")
    if plot is not None:
        refuse_picture(plot, force)
    crystal = read_crystal(source) if model is None else predicted(source, model, device)
    reference = None if compare is None else read_crystal(compare)
    if reference is not None:
        require_same_cell(crystal.structure, reference.structure)
    path = crystal.path(kpath, points)
    curves = [(crystal, crystal.bands(path, states, every=reference is not None))]
    entry = report(str(source), path, *curves[0])
    if reference is not None:
        curves.append((reference, reference.bands(path, every=True)))
        entry["compare"] = compared(curves[0][1], crystal, curves[1][1], reference, window)
    if plot is not None:
        draw(path, curves, plot, window, force)
        entry["files"] = [str(plot)]
    if as_json:
        console.print_json(entry)
    else:
        show(entry)


def refuse_picture(plot: Path, force: bool) -> None:
    """Before any computing: refuse an unknown format, and to overwrite.

    Raises:
        HarmoseError: The picture cannot be written.
    """
    from ..core.files import require_absent
    from ..plots.figure import require_format

    require_format(plot)
    require_absent(plot, force)


def predicted(source: Path, model: str, device: str) -> Crystal:
    """The crystal that a model predicts for a structure."""
    from ..core.memory import keep_freed_memory
    from ..model.loading import load_model
    from ..workflows.bands import Crystal, read_one_structure

    structure = read_one_structure(source)
    keep_freed_memory()
    return Crystal.of_prediction(load_model(model, device=device).predict(structure, trust=False))


def report(source: str, path: KPath, crystal: Crystal, energies: Floats) -> dict[str, Any]:
    """The JSON object of a band structure; energies in eV."""
    from ..core.units import HARTREE_IN_EV

    indirect, direct = crystal.gaps
    return {
        "source": source,
        "label": crystal.label,
        "formula": crystal.structure.formula,
        "n_atoms": len(crystal.structure),
        "n_orbitals": crystal.hamiltonian[0].size,
        "n_electrons": crystal.n_electrons,
        "fermi_ev": crystal.fermi * HARTREE_IN_EV,
        "gap_ev": indirect * HARTREE_IN_EV,
        "direct_gap_ev": direct * HARTREE_IN_EV,
        "path": "-".join(name for _, name in path.ticks),
        "kpoints": path.kpoints,
        "distances": path.distances,
        "energies_ev": energies * HARTREE_IN_EV,
        "files": [],
    }


def show(entry: dict[str, Any]) -> None:
    """A band structure as a table."""
    spins, kpoints, count = entry["energies_ev"].shape
    gap = f"{entry['gap_ev']:.4f} (direct {entry['direct_gap_ev']:.4f})" if entry["gap_ev"] else "none (metal)"
    rows = [
        ("path", f"{entry['path']}, {kpoints} k-points, {count} bands" + (", 2 spins" if spins == 2 else "")),
        ("electrons", f"{entry['n_electrons']:g}"),
        ("Fermi level (eV)", f"{entry['fermi_ev']:.4f}"),
        ("gap on the mesh (eV)", gap),
    ]
    if "compare" in entry:
        found = entry["compare"]
        rows += [
            ("reference", found["reference"]),
            (f"band_mae within {found['window_ev']:g} eV (meV)", f"{found['band_mae_mev']:.3f}"),
            ("largest band error (meV)", f"{found['band_max_mev']:.3f}"),
        ]
    if entry["files"]:
        rows.append(("written", ", ".join(entry["files"])))
    console.print_table(f"{entry['source']}: {entry['formula']} by {entry['label']}", ("", ""), rows, left=2)
