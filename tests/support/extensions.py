"""New classes in files of their own, in a Python process that finds them on a package's path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

PRELUDE = """
import importlib, json, sys
from pathlib import Path
importlib.import_module({package!r}).__path__.append({folder!r})
folder = Path({folder!r}).parent
"""


def run_extended(folder: Path, package: str, source: str, script: str) -> Any:
    """What a script prints as JSON in a process in which a package has one more module.

    Args:
        folder: Temporary folder; the script knows it as ``folder``.
        package: Full name of the package that is extended.
        source: The module.
        script: Run after the module is on the package's path, before anything else is imported.
    """
    place = folder / "extension"
    place.mkdir()
    (place / "dummy.py").write_text(dedent(source))
    program = PRELUDE.format(package=package, folder=str(place)) + dedent(script)
    paths = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
