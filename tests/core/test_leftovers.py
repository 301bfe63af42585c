"""Temporary files of killed processes: removed by the next one that writes there, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harmose_dft.core import leftovers
from harmose_dft.core.files import atomic_path

WRITE_SLOWLY = """
import sys, time
from harmose_dft.core.files import atomic_path
with atomic_path(sys.argv[1]) as path:
    path.write_text("half")
    print(path, flush=True)
    time.sleep(100)
"""


def start_to_write(target: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process in the middle of writing a file, and its temporary file."""
    process = subprocess.Popen([sys.executable, "-c", WRITE_SLOWLY, str(target)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def write(target: Path) -> None:
    with atomic_path(target) as path:
        path.write_text("x")


def test_files_of_a_killed_process_are_swept_by_the_next_and_those_of_a_living_one_are_not(tmp_path: Path) -> None:
    killed, left = start_to_write(tmp_path / "a.h5")
    living, in_use = start_to_write(tmp_path / "b.h5")
    with killed, living:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert left.is_file()
        write(tmp_path / "c.h5")
        assert not left.exists()
        assert in_use.is_file()
        living.kill()
    write(tmp_path / "d.h5")
    assert sorted(os.listdir(tmp_path)) == ["c.h5", "d.h5"]


def test_files_of_others_stay(tmp_path: Path) -> None:
    """Of other programs, of another machine, with one suffix more, and a link of the right name."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    ours = f".a-{leftovers._place()}-{gone.pid}-abcdefgh.part.h5"
    others = [".torn.part.h5", "a.part", f".a-00000000-{gone.pid}-abcdefgh.part.h5", f"{ours}.bak", ours[1:]]
    for name in (ours, *others):
        (tmp_path / name).write_text("")
    link = ours.replace("abcdefgh", "hgfedcba")
    (tmp_path / link).symlink_to("a.part")
    write(tmp_path / "out.h5")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, link, "out.h5"])


def test_number_of_a_process_that_began_after_the_file_does_not_keep_it(tmp_path: Path) -> None:
    file = tmp_path / f".a-{leftovers._place()}-{os.getpid()}-abcdefgh.part.h5"
    file.write_text("")
    write(tmp_path / "out.h5")
    assert file.exists()
    long_ago = time.time() - 10 * 365 * 86400
    os.utime(file, (long_ago, long_ago))
    write(tmp_path / "again.h5")
    assert not file.exists()


def test_large_folders_are_looked_through_now_and_then_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []

    def scan(folder: Path) -> os.DirEntry[str]:
        looked.append(folder)
        time.sleep(0.2)
        return real(folder)  # type: ignore[return-value]

    real = os.scandir
    monkeypatch.setattr(os, "scandir", scan)
    for n in range(5):
        write(tmp_path / f"{n}.h5")
    assert len(looked) == 1


def test_name_of_any_length_has_a_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 120 + ".h5")
    write(target)
    assert target.read_text() == "x"
