"""Freed memory stays with the process, in a process of its own because it holds for all of it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGE_FAULTS = """
import resource, sys
import numpy as np
import harmose_dft

def faults():
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**21)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

before = faults()
assert harmose_dft.keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_blocks_are_not_cleared_anew_each_time() -> None:
    """20 arrays of 16 MiB: pages of each are touched for the first time only at first."""
    found = subprocess.run([sys.executable, "-c", PAGE_FAULTS], capture_output=True, text=True, check=True)
    before, after = map(int, found.stdout.split())
    assert after < 0.1 * before
