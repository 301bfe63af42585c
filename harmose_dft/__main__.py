"""``python -m harmose_dft``, and what the installed script ``harmose-dft`` calls."""

from __future__ import annotations

import sys
from typing import NoReturn

from .core.interrupts import end_at_once


def run() -> NoReturn:
    """Run the command line and end the process; signals end it from now on, imports included."""
    with end_at_once():
        from .cli.process import run

        run()


if __name__ == "__main__":
    with end_at_once():
        from .cli import main

        code = main()
    sys.exit(code)
