"""A folder has one run at a time; a lock that nobody holds means nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harmose_dft.core.errors import DataError, OutputExistsError
from harmose_dft.core.locks import LOCK, hold_folder

HOLD = """
import sys, time
from harmose_dft.core.locks import hold_folder
with hold_folder(sys.argv[1], "training"):
    print("held", flush=True)
    time.sleep(100)
"""


def test_folder_held_by_a_living_process_is_refused_and_free_once_it_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(DataError, match=f"Another run is training in {folder}"), hold_folder(folder, "training"):
            raise AssertionError("the block must not run")
        os.kill(process.pid, signal.SIGKILL)
    assert (folder / LOCK).is_file()
    with hold_folder(folder, "training"):
        (folder / "model.json").write_text("{}")
    assert (folder / "model.json").is_file()


def test_folder_that_stays_empty_is_removed(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "a" / "model", "training"):
        assert (tmp_path / "a" / "model").is_dir()
    assert not (tmp_path / "a" / "model").exists()


def fail_in(folder: Path) -> None:
    with hold_folder(folder, "training"):
        raise ValueError("bad")


def test_error_in_the_block_passes_and_frees_the_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match="bad"):
            fail_in(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_of_ours_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "model"
    if kind == "file":
        target.write_text("precious")
    else:
        target.mkdir()
        (target / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputExistsError, match="left as it is"), hold_folder(target, "training"):
        raise AssertionError("the block must not run")
    assert not (tmp_path / "elsewhere").exists()
