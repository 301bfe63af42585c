"""Compares two trees on this machine, bit for bit: ``against.py BASE_TREE NEW_TREE``.

Both are computed side by side by the compute.py beside this file, each with its tree on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="folder that holds harmose_dft/")
    parser.add_argument("new", type=Path, help="folder that holds harmose_dft/")
    parser.add_argument("--keep", type=Path, help="keep the results in this folder")
    parser.add_argument("--only", nargs="+", help="sections of compute.py")
    parser.add_argument("--all", action="store_true", help="compare what is expected to change, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        running = []
        for name in ("base", "new"):
            tree = getattr(arguments, name).resolve()
            if not (tree / "harmose_dft").is_dir():
                sys.exit(f"{tree} holds no harmose_dft")
            command = [sys.executable, str(HERE / "compute.py"), str(folder / name)]
            command += ["--only", *arguments.only] if arguments.only else []
            environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
            running.append(subprocess.Popen(command, env=environment, cwd=folder))
        failed = [p.wait() for p in running]
        compared = [sys.executable, str(HERE / "compare.py"), str(folder / "base"), str(folder / "new")]
        code = subprocess.run(compared + (["--all"] if arguments.all else []), check=False).returncode
    sys.exit(code or any(failed))


if __name__ == "__main__":
    main()
