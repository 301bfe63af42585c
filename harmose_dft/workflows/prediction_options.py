"""What ``predict_files`` may be asked for besides levels, and its refusals before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..core.errors import ArgumentError, HarmoseError
from ..model.predictor import Predictor
from .drawing import BandDrawing, Drawing, LevelDrawing, require_drawable
from .inputs import Input
from .prediction_files import Job, Outputs, orbital_index


@dataclass(frozen=True, kw_only=True)
class Extras:
    """What is worked out of each prediction besides its levels.

    Args:
        compare: Whether to run the PySCF calculation too.
        verify: Whether to build one Fock matrix at the predicted density.
        charges: Whether to work out the charges of the atoms.
        dos: Whether to work out the density of states; ``Outputs.dos`` writes it.
        list_levels: Whether orbitals around the gap are to be listed by name, which crystals do not have.
    """

    compare: bool = False
    verify: bool = False
    charges: bool = False
    dos: bool = False
    list_levels: bool = False


LEVELS_ONLY = Extras()
"""No more than the levels."""


def require_inside(
    predictor: Predictor, jobs: Sequence[Job], orbitals: Sequence[str], drawing: Drawing | None = None
) -> None:
    """Before any computing: refuse all files if one structure is outside the domain, lacks an orbital or a picture.

    Raises:
        HarmoseError: With the name of the structure.
    """
    for name, structure in (pair for job in jobs for pair in job.iterate()):
        try:
            predictor.check(structure)
            for orbital in orbitals:
                orbital_index(orbital, *predictor.orbital_counts(structure))
        except HarmoseError as error:
            raise type(error)(f"{name}: {error}") from error
    if drawing is not None:
        drawing.check(predictor)


def choose_drawing(
    jobs: Sequence[Job], outputs: Outputs, kpath: str | None, extras: Extras, refine: bool | None
) -> Drawing | None:
    """What will be drawn of molecules or crystals, if anything; refuses options that do not apply to them.

    Raises:
        HarmoseError: Crystals and molecules are mixed, or an option is for the other kind.
        ArgumentError: An option needs another one.
    """
    if outputs.plot is not None:
        require_drawable(outputs.plot)
    inputs = [source for job in jobs for source in job.inputs]
    count, crystals = (sum(getattr(source, name) for source in inputs) for name in ("count", "periodic"))
    columns = count * (2 if extras.compare else 1)
    if outputs.plot is not None and columns > LevelDrawing.MAX_COLUMNS:
        raise HarmoseError(
            f"A level diagram shows up to {LevelDrawing.MAX_COLUMNS} columns; these structures need {columns}."
        )
    if not crystals:
        if kpath is not None:
            raise HarmoseError("--kpath is for crystals; these structures have no cell.")
        return None if outputs.plot is None else LevelDrawing()
    if crystals < count:
        molecule, crystal = (_name_first(inputs, periodic) for periodic in (False, True))
        raise HarmoseError(
            f"These files hold molecules and crystals: {molecule} is a molecule, {crystal} a crystal. Predict them "
            "separately, each with its model."
        )
    _require_for_crystals(outputs, extras, refine)
    if outputs.plot is None:
        if kpath is not None:
            raise ArgumentError(
                "--kpath is the path of the bands that --plot draws. Add --plot PICTURE, or use harmose-dft bands."
            )
        return None
    if count > 1:
        raise HarmoseError(f"--plot draws the bands of one crystal; these files hold {count}.")
    return BandDrawing(next(inputs[0].read()), kpath)


def _name_first(inputs: Sequence[Input], periodic: bool) -> str:
    """The first structure that is a crystal, or that is a molecule: "md.xyz#2"."""
    return next(name for source in inputs for name, s in source.iterate() if s.periodic == periodic)


def _require_for_crystals(outputs: Outputs, extras: Extras, refine: bool | None) -> None:
    """Refuse options that crystals do not have.

    Raises:
        HarmoseError: With those that were given.
    """
    options = {
        "--compare": extras.compare, "--verify": extras.verify, "--refine": refine,
        "--levels": extras.list_levels, "--cube": outputs.cube, "--molden": outputs.molden,
    }
    if given := [name for name, value in options.items() if value]:
        verb = "are" if len(given) > 1 else "is"
        raise HarmoseError(
            f"{', '.join(given)} {verb} for molecules; these structures are crystals. Leave {', '.join(given)} out, or "
            "compare a crystal's bands with a calculation by: harmose-dft bands STRUCTURE --model MODEL --compare "
            "CALCULATION"
        )
