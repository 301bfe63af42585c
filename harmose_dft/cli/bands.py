"""``harmose-dft bands``: bands of a predicted crystal, a result file or a DFT code's calculation along a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import console
from .verdict import force_domain_option, require_usable

BROADENING = 0.3
"""eV; resolution of the density of states unless told."""

if TYPE_CHECKING:
    from ..core.structure import Structure


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--model", help="Model that predicts the structure in SOURCE.  [default: SOURCE holds a Hamiltonian]")
@click.option("--kpath", metavar="GMKG", help="Special points; 'seekpath' for its path.  [default: ASE's path]")
@click.option("--points", type=click.IntRange(min=2), help="k-points along the path.  [default: 400 in a small cell, "
              "100 in a large one]")
@click.option("--states", type=click.IntRange(min=1), help="Only so many states around the Fermi level, by "
              "shift-invert in large cells.  [default: all up to 1000 orbitals, 60 beyond]")
@click.option("--near-fermi", type=click.IntRange(min=8), metavar="N",
              help="For cells of any size: N states around the Fermi level at the k-points of the cell's own mesh "
              "(Gamma in a large cell) instead of a path.")
@click.option("--dos", is_flag=True, help="Density of states around the Fermi level; in large cells by a stochastic "
              "method, with its statistical error.")
@click.option("--broadening", type=click.FloatRange(min=0.001),
              help="eV; resolution of --dos, whose cost is inverse to it.  [default: 0.3]")
@click.option("--solver", metavar="NAME", help="Direct solver of --near-fermi, --dos and --states: pardiso (extra "
              "'large') or superlu.  [default: pardiso where it is installed]")
@click.option("--compare", type=click.Path(path_type=Path), metavar="CALCULATION",
              help="Reference calculation of the same crystal (OpenMX, ABACUS, DeepH or a result file).")
@click.option("--plot", type=click.Path(path_type=Path), metavar="PICTURE", help="Draw the bands (png, pdf, svg).")
@click.option("--window", default=5.0, show_default=True, type=click.FloatRange(min=0.01),
              help="eV around the Fermi level that are compared and drawn.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, energies included, instead of a table.")
@click.option("--device", default="cpu", show_default=True, help="Where the model runs: cpu, cuda, ...")
@force_domain_option
@click.option("--force", is_flag=True, help="Overwrite an existing picture.")
def bands(
    source: Path, model: str | None, kpath: str | None, points: int | None, states: int | None, near_fermi: int | None,
    dos: bool, broadening: float | None, solver: str | None, compare: Path | None, plot: Path | None, window: float,
    as_json: bool, device: str, force_domain: bool, force: bool,
) -> None:
    """Bands of the crystal in SOURCE: a structure file (with --model), a result of predict, or a calculation."""
    from ..adapters.structures import is_structure_file
    from ..core.files import require_place
    from ..core.memory import keep_freed_memory
    from ..model.loading import load_model
    from ..plots import plot_bands
    from ..plots.figure import require_format
    from ..workflows.bands import bands as run
    from ..workflows.bands import compare_bands
    from ..workflows.crystals import find_structure, open_crystal, require_same_crystal
    from ..workflows.parts import is_trained_on
    from ..workflows.sources import require_sources
    from .render import print_bands

    window_only = near_fermi is not None or dos
    require_agreement(compare, states, kpath, points, broadening, dos=dos, window_only=window_only)
    keep_freed_memory()
    require_sources(source)
    crystal_source = find_structure(source) if model is not None and is_structure_file(source) else source
    require_sources(source, model)
    if compare is not None:
        require_sources(compare)
    if plot is not None:
        require_format(plot)
        require_place(plot, force)
    if window_only:
        show_window(
            str(source), crystal_source, model, near_fermi, dos, broadening or BROADENING, solver, plot, window,
            as_json, device, force, force_domain,
        )
        return
    predictor = None if model is None else load_model(model, device=device)
    crystal = open_crystal(crystal_source, predictor)
    other = None if compare is None else open_crystal(compare)
    if other is not None:
        require_same_crystal(crystal.structure, other.structure)
    curves = run(crystal, kpath=kpath, points=points, states=states, every=other is not None, solver=solver)
    reference = None if other is None else run(other, kpath=curves.path, every=True)
    comparison = None
    if other is not None and reference is not None:
        in_training = None if predictor is None else is_trained_on(predictor.model.training, other.structure)
        comparison = compare_bands(curves, reference, window, in_training=in_training)
    if plot is not None:
        title = crystal.structure.formula
        plot_bands(curves, plot, reference=reference, window=(-window, window), title=title, force=force)
    files = [] if plot is None else [str(plot)]
    if as_json:
        compared = {} if comparison is None else {"compare": comparison.to_dict()}
        trust = {} if crystal.trust is None else {"trust": crystal.trust.to_dict()}
        console.print_json({"source": str(source), **curves.to_dict(), "files": files, **compared, **trust})
    else:
        print_bands(str(source), curves, comparison, crystal.trust, files)
    if crystal.trust is not None and crystal.trust.refused and not force_domain:
        require_usable([str(source)], crystal.trust.verdict_in_words)


def require_agreement(
    compare: Path | None, states: int | None, kpath: str | None, points: int | None, broadening: float | None, *,
    dos: bool, window_only: bool,
) -> None:
    """Refuse options that contradict each other.

    Raises:
        click.UsageError: With what to leave out.
    """
    if compare is not None and states is not None:
        raise click.UsageError("--compare pairs bands one by one, which needs all of them; leave --states out.")
    if broadening is not None and not dos:
        raise click.UsageError("--broadening is the resolution of --dos; add --dos, or leave it out.")
    if window_only and any(option is not None for option in (compare, states, kpath, points)):
        raise click.UsageError(
            "--near-fermi and --dos take no path; leave --kpath, --points, --states and --compare out."
        )


def show_window(
    name: str, source: Structure | Path, model: str | None, count: int | None, dos: bool, broadening: float,
    solver: str | None, plot: Path | None, window: float, as_json: bool, device: str, force: bool, force_domain: bool,
) -> None:
    """Print what is around the Fermi level of a cell of any size."""
    from ..model.trust.judging import describe_unusual
    from ..plots.density import plot_density
    from ..workflows.large import near_fermi
    from .render import print_window

    result = near_fermi(
        source, model, states=count, with_dos=dos, window=window, broadening=broadening, solver=solver, device=device,
        progress=console.progress, tell=console.detail,
    )
    if plot is not None:
        energies = None if result.states is None else result.states.energies
        plot_density(
            result.density, energies, plot, fermi=result.fermi, window=window, title=result.structure.formula,
            force=force,
        )
    files = [] if plot is None else [str(plot)]
    if as_json:
        console.print_json({"source": name, **result.to_dict(), "files": files})
    else:
        print_window(name, result, files)
    if result.domain is not None and result.domain.far_atoms and not force_domain:
        require_usable([name], f"do not use: {describe_unusual(result.domain)}")
