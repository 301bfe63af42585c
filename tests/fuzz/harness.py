"""Damages files at random and reads them: only this package's errors may come out, soon, and without much memory.

    python tests/fuzz/harness.py [CASES] [SEED]

reads that many damaged files (5000 unless told) and prints what went wrong; exit code 1 if anything did. Case n of a
seed is always the same: ``python tests/fuzz/harness.py 1 SEED:n`` repeats it.
"""

from __future__ import annotations

import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutations import Reader, damage, make_seeds

from harmose_dft.core.errors import HarmoseError

SLOWEST = 10
"""Seconds that a reader may take; the sound files take less than one."""

MOST_MEMORY = 1 << 30
"""Bytes by which the process may grow."""


MOST_OF_HDF5 = 9 << 29
"""Bytes that HDF5 itself may take where the length of a text is damaged, before it notices: 4 GiB, and its buffers."""

MOST_ADDRESSES = 1 << 33
"""Bytes of address space of a long run."""


class TooSlowError(BaseException):
    """A reader has taken too long; no Exception, so that no reader catches it."""


@dataclass
class Tally:
    """What became of the cases.

    Args:
        outcomes: "refused" or "read" -> number of cases.
        faults: Case, damage and what went wrong.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def run(cases: range, seed: int, folder: Path) -> Tally:
    """Read damaged files; case n is damaged by random numbers of its own.

    Args:
        cases: Numbers of the cases.
        seed: Of all of them.
        folder: For files; it must not exist.
    """
    seeds = make_seeds(folder)
    names, tally = sorted(seeds), Tally()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for case in cases:
        rng = random.Random(f"{seed}:{case}")
        name = rng.choice(names)
        path, reader = seeds[name]
        target = folder / "case" / path.name
        target.parent.mkdir()
        done = damage(path, target, rng)
        outcome, fault = _read(reader, target)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if (growth := (after - before) * 1024) > MOST_MEMORY:
            before = after
            if outcome == "refused" and path.suffix == ".h5" and growth < MOST_OF_HDF5:
                outcome = "refused, after HDF5 took more than 1 GiB for a text"
            else:
                fault = f"took {growth / 2**30:.1f} GiB"
        tally.outcomes[outcome] += 1
        if fault:
            tally.faults.append(f"{seed}:{case} {name}, {done}: {fault}")
        shutil.rmtree(target.parent)
    return tally


def _read(reader: Reader, target: Path) -> tuple[str, str]:
    """Outcome and fault of one case."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooSlowError

    previous = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SLOWEST)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reader(target)
    except HarmoseError as error:
        return "refused", "" if str(error) and "\n" not in str(error) else f"message {str(error)!r}"
    except TooSlowError:
        return "slow", f"took more than {SLOWEST} s"
    except Exception as error:
        return "foreign", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
    return "read", ""


def main(arguments: list[str]) -> int:
    """The command line; see the top of the file."""
    count = int(arguments[0]) if arguments else 5000
    seed, _, first = (arguments[1] if len(arguments) > 1 else "1").partition(":")
    begin = int(first or 0)
    start = time.time()
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, hard))  # a blow-up is a MemoryError and no dead machine
    with tempfile.TemporaryDirectory() as folder:
        tally = run(range(begin, begin + count), int(seed), Path(folder) / "files")
    print("\n".join(tally.faults))
    print(f"{count} cases in {time.time() - start:.0f} s: {dict(tally.outcomes)}, {len(tally.faults)} faults")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
