"""``trust.json`` beside a model's other files: its calibrations, what they were made from, and measured figures."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import hexdigits
from typing import Any

from ...core.errors import CheckpointError
from ...core.files import atomic_path
from ..description import SEAL, seal, seal_of
from .bands import BandCalibration
from .calibration import Calibration

FILE = "trust.json"
"""Name of the file in a model's folder."""

FORMAT = "harmose_dft calibration 1"


@dataclass(frozen=True, eq=False)
class TrustFile:
    """Calibrations of one model.

    Args:
        model_sha256: Hash of the weights that they belong to.
        refined: For molecules refined by cheap Fock builds; None for a model of crystals.
        free: For molecules as the network predicts them; None for a model of crystals.
        made_from: Data, numbers of structures, seed.
        figures: Measured on structures that no calibration has seen; JSON-serialisable.
        bands: For crystals; None for a model of molecules.
    """

    model_sha256: str
    refined: Calibration | None = None
    free: Calibration | None = None
    made_from: Mapping[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    bands: BandCalibration | None = None

    def choose(self, refined: bool) -> Calibration | None:
        """The calibration for molecules that were refined or not; None for a model of crystals."""
        return self.refined if refined else self.free

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write ``trust.json`` into a model's folder.

        Raises:
            OutputExistsError: The file exists and ``force`` is false.
        """
        path = Path(folder) / FILE
        parts = {"refined": self.refined, "free": self.free, "bands": self.bands}
        content = {
            "format": FORMAT,
            "model_sha256": self.model_sha256,
            **{name: part.to_dict() for name, part in parts.items() if part is not None},
            "made_from": dict(self.made_from),
            "figures": dict(self.figures),
        }
        with atomic_path(path, force) as part:
            part.write_text(seal(content) + "\n", encoding="utf-8")
        return path

    @classmethod
    def load(cls, folder: str | Path, model_sha256: str) -> TrustFile | None:
        """Read the calibrations of a model; None where it has none.

        Args:
            folder: The model's folder.
            model_sha256: Hash of its weights.

        Raises:
            CheckpointError: The file is damaged, was edited, or belongs to other weights.
        """
        path = Path(folder) / FILE
        if not path.is_file():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["format"] != FORMAT or content[SEAL] != seal_of(content):
                raise ValueError("its hash of itself or its format differs")
            owner = str(content["model_sha256"])
            if owner == model_sha256:
                if "bands" in content:
                    bands = BandCalibration.from_dict(content["bands"])
                    return cls(owner, None, None, content["made_from"], content["figures"], bands)
                refined, free = (Calibration.from_dict(content[key]) for key in ("refined", "free"))
                return cls(owner, refined, free, content["made_from"], content["figures"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise CheckpointError(
                f"{path} is damaged or was edited: {' '.join(str(error).split())[:200]}. Copy it again from where the "
                "model came from, or remove it to predict without error bars."
            ) from error
        raise CheckpointError(
            f"{path} belongs to the weights {owner[:12]}, expected {model_sha256[:12]}. Calibrate the model again "
            "(harmose-dft calibrate MODEL DATA... --force), or remove the file to predict without error bars."
        )


def set_aside(folder: Path, model_sha256: str) -> str:
    """Rename the ``trust.json`` of other weights in the folder of a model that was trained again.

    Args:
        folder: The model's folder.
        model_sha256: Hash of its new weights.

    Returns:
        A sentence on what was done; empty where there is no such file.
    """
    path = folder / FILE
    try:
        owner = str(json.loads(path.read_text(encoding="utf-8"))["model_sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    if owner == model_sha256:
        return ""
    beginning = "".join(digit for digit in owner[:8] if digit in hexdigits)
    target = folder / f"trust-{beginning or 'earlier'}.json"
    path.replace(target)
    return (
        f"the error bars in {FILE} belonged to the weights before and are {target.name} now. Predictions have none "
        "until the model is calibrated again (harmose-dft calibrate)."
    )
