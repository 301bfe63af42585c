"""Atomic writing: nothing overwritten unasked, nothing half-written."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from harmose_dft.core.errors import HarmoseError, OutputExistsError
from harmose_dft.core.files import atomic_path, require_no_inputs, require_place, require_space


def write_half(target: Path, failure: BaseException) -> None:
    """Start to write, then fail."""
    with atomic_path(target, force=True) as temporary:
        temporary.write_text("half")
        raise failure


def test_file_appears_only_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    with atomic_path(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
        assert temporary.suffix == ".txt"
        assert temporary.parent == tmp_path
    assert target.read_text() == "whole"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "out.txt") as temporary:
            temporary.write_text("x")
    finally:
        os.umask(before)
    assert (tmp_path / "out.txt").stat().st_mode & 0o777 == 0o640


def test_existing_file_is_refused_without_force_and_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("precious")
    with pytest.raises(OutputExistsError, match="--force"), atomic_path(target):
        raise AssertionError("the block must not run")
    assert target.read_text() == "precious"


def test_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"

    def write_while_another_writes() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("ours")
            target.write_text("theirs")

    for kept in ("out-2.txt", "out-3.txt"):
        target.unlink(missing_ok=True)
        with pytest.raises(OutputExistsError, match=rf"left as it is; .* kept in .*{kept}"):
            write_while_another_writes()
        assert target.read_text() == "theirs"
        assert (tmp_path / kept).read_text() == "ours"
    assert sorted(os.listdir(tmp_path)) == ["out-2.txt", "out-3.txt", "out.txt"]


def test_a_folder_that_appears_meanwhile_does_not_cost_the_file_even_with_force(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"

    def write_while_another_makes_a_folder() -> None:
        with atomic_path(target, force=True) as temporary:
            temporary.write_text("ours")
            target.mkdir()

    with pytest.raises(OutputExistsError, match="kept in"):
        write_while_another_makes_a_folder()
    assert (tmp_path / "out-2.txt").read_text() == "ours"


def test_force_replaces_the_file(tmp_path: Path) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with atomic_path(target, force=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


@pytest.mark.parametrize("failure", [ValueError("bad"), KeyboardInterrupt(), MemoryError()])
def test_failure_midway_leaves_nothing_behind(tmp_path: Path, failure: BaseException) -> None:
    target = tmp_path / "out.txt"
    target.write_text("old")
    with pytest.raises(type(failure)):
        write_half(target, failure)
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["out.txt"]


@pytest.mark.parametrize(
    "failure",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        RuntimeError("Unable to flush file (errno = 122, error message = 'Disk quota exceeded')"),
    ],
)
def test_full_disk_is_named_and_leaves_nothing_behind(tmp_path: Path, failure: Exception) -> None:
    with pytest.raises(HarmoseError, match=r"out\.h5 was not written: (no space left|disk quota)"):
        write_half(tmp_path / "out.h5", failure)
    assert os.listdir(tmp_path) == []


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(HarmoseError, match="does not exist"), atomic_path(tmp_path / "no" / "out.txt"):
        raise AssertionError("the block must not run")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_folder_that_takes_no_files_is_named_and_not_the_temporary_file(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**where: object) -> None:
        raise OSError(number, os.strerror(number), str(tmp_path / ".out.part"))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    pattern = rf"out\.txt cannot be written: no file can be made in {tmp_path} \({os.strerror(number).lower()}\)"
    with pytest.raises(HarmoseError, match=pattern), atomic_path(tmp_path / "out.txt"):
        raise AssertionError("the block must not run")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_a_really_full_device_gives_the_same_message(tmp_path: Path) -> None:
    def write_to_the_full_device() -> None:
        with atomic_path(tmp_path / "out.txt"):
            Path("/dev/full").write_text("x")

    with pytest.raises(HarmoseError, match="no space left"):
        write_to_the_full_device()
    assert os.listdir(tmp_path) == []


def test_space_is_reserved_and_given_back(tmp_path: Path) -> None:
    require_space(tmp_path, 1 << 20)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match=r"(?i)no space|too large|quota|not supported|invalid"):
        require_space(tmp_path, 1 << 62)
    assert list(tmp_path.iterdir()) == []


def test_outputs_and_inputs_are_compared_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs, outputs = ([tmp_path / f"{n}.{suffix}" for n in range(40)] for suffix in ("xyz", "h5"))
    calls, resolve = [], Path.resolve
    monkeypatch.setattr(Path, "resolve", lambda path: calls.append(path) or resolve(path))
    require_no_inputs(outputs, inputs)
    assert len(calls) == len(inputs) + len(outputs)
    for output, words in ((inputs[7], "is one of the input files"), (tmp_path, "holds the input")):
        with pytest.raises(OutputExistsError, match=words):
            require_no_inputs([*outputs, output], inputs)


def test_place_of_a_file_is_tried_and_left_empty(tmp_path: Path) -> None:
    require_place(tmp_path / "out.txt", force=False)
    assert os.listdir(tmp_path) == []
    with pytest.raises(HarmoseError, match=r"the folder .*missing does not exist"):
        require_place(tmp_path / "missing" / "out.txt", force=True)
