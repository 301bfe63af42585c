"""Start files: a structure in, a file from which a DFT code starts its self-consistent field out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..adapters.code import Options, StartingPoint
from ..adapters.registry import start_writers
from ..adapters.structures import read_structures
from ..core.errors import HarmoseError
from ..core.files import require_no_input, require_place
from ..core.structure import Structure
from ..model import loading
from .inputs import give_charge


@dataclass(frozen=True)
class StartFile:
    """A written start file.

    Args:
        code: Name of the code on the command line.
        files: All files written.
        formula: Of the structure.
        use: What the user has to do, in one line.
        figures: What was measured: name with its unit -> value.
    """

    code: str
    files: tuple[Path, ...]
    formula: str
    use: str
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        """The file; the first one where several are written."""
        return self.files[0]


def write_start(
    structure_file: Path,
    code: str,
    model: str | Path = "organic",
    out: Path | None = None,
    *,
    charge: int | None = None,
    device: str = "cpu",
    force: bool = False,
    options: Options | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> StartFile:
    """Predict a structure and write the start file of a code.

    Args:
        structure_file: A file with one structure.
        code: One of :func:`harmose_dft.adapters.registry.start_writers`.
        model: Name of a bundled model, or a model's folder.
        out: The file to write; by default the code's own name for it.
        charge: Total charge of the structure; by default as its file says.
        device: Where the model runs.
        force: Whether an existing file may be replaced.
        options: What the code's writer is told: :func:`harmose_dft.adapters.registry.start_options`.
        tell: Receives what takes time before it is done.

    Raises:
        OutputExistsError: The file exists and ``force`` is false, or it is the structure's.
        BasisMismatchError: The code does not have the model's orbitals.
        DomainError: The structure lies outside the model's domain, or the code does not calculate it.
        StructureError: The file cannot be read, or gives another charge.
        HarmoseError: The code cannot start from a prediction, or this one is no good start.
    """
    writer = start_writers()[code]
    default = writer.default_path(structure_file)
    target = out or default
    require_no_input(target, [structure_file])
    structure = give_charge(require_one(read_structures(structure_file), structure_file), charge, structure_file.name)
    predictor = loading.load_model(model, device=device)
    writer.require_model(predictor.info.name, predictor.model.code, predictor.model.basis)
    writer.require_structure(structure, structure_file)
    setup = writer.read_setup(structure, options or {})
    predictor.check(structure)
    require_place(target, force)
    prediction = predictor.predict(structure, trust=False)
    start = StartingPoint(
        prediction.structure, prediction.basis, prediction.hamiltonians, prediction.overlap, prediction.spectrum,
        prediction.functional, setup,
    )  # fmt: skip
    if writer.test:
        tell(writer.test)
    report = writer.write(start, target, force=force)
    return StartFile(code, report.files or (target,), structure.formula, report.use, report.figures)


def require_one(frames: list[Structure], path: Path) -> Structure:
    """The only structure of a file.

    Raises:
        HarmoseError: There are several.
    """
    if len(frames) != 1:
        raise HarmoseError(f"{path} holds {len(frames)} structures; a start file belongs to one. Split the file.")
    return frames[0]
