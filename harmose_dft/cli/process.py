"""The process of the command line."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import NoReturn

from ..core.interrupts import end_at_once
from . import main

ALLOCATIONS = 50_000
"""New objects after which Python looks for unreachable ones: importing PyTorch makes hundreds of thousands, all of them
kept, and with Python's 700 the search takes 0.2 s of CPU time."""


def run() -> NoReturn:
    """Run the command line and end the process without taking PyTorch apart, which takes 0.5 s of CPU time.

    Exit functions run and files are flushed as at any end of a process; objects that are left are not deleted.
    """
    gc.set_threshold(ALLOCATIONS, 20, 20)
    with end_at_once():
        code = main()
        gc.collect()  # PySCF's temporary files go with its objects
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if stream is not None and not stream.closed:
                try:
                    stream.flush()
                except OSError:
                    code = code or 1
        os._exit(code)
