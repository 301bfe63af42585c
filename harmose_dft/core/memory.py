"""How the C library hands memory back to the system."""

from __future__ import annotations

import ctypes
import sys

MALLOPT = {"M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**27), "M_MMAP_MAX": (-4, 0)}
"""glibc's parameters, see mallopt(3): name -> (number in malloc.h, value)."""


def keep_freed_memory() -> bool:
    """Let this process keep freed memory for its next allocation.

    glibc returns large blocks to the system at once. Training and predicting allocate the same blocks again and again,
    and the kernel clears every page of them each time, which takes up to a tenth of their time. The commands that
    train or predict do this; a script that does so much may call it first. It holds for the whole process.

    Returns:
        Whether the C library took the settings; elsewhere than on Linux with glibc nothing is changed.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    return all(mallopt(number, value) == 1 for number, value in MALLOPT.values())
