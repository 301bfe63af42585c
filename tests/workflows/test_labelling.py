"""Labelling: kill -9 and resume, failures, order, settings; with the smallest molecules there are."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harmose_dft.adapters.structures import read_structures, to_ase
from harmose_dft.cli import main
from harmose_dft.cli.label import label as command
from harmose_dft.core.errors import ConfigError, DataError, FileFormatError, HarmoseError, OutputExistsError
from harmose_dft.core.structure import Structure
from harmose_dft.data import HDF5Dataset, open_dataset, structure_id
from harmose_dft.workflows.label import label
from harmose_dft.workflows.label_run import PARTS_SUFFIX, LabelRun
from harmose_dft.workflows.label_settings import LabelSettings

FAST = LabelSettings("lda", "sto-3g", 0)
FAST_OPTIONS = ["--xc", "lda", "--basis", "sto-3g", "--grid-level", "0"]


def hydrogen(length: float, **options: int) -> Structure:
    """H2 of a given length in Bohr."""
    return Structure(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, length]]), name=f"H2 {length}", **options)


def hydrogen_file(path: Path, lengths: np.ndarray) -> Path:
    """H2 molecules of given lengths in Angstrom."""
    path.write_text("".join(f"2\n\nH 0 0 0\nH 0 0 {x:.4f}\n" for x in lengths))
    return path


@pytest.mark.parametrize("jobs", [1, 2])
def test_structures_become_records_in_their_order(jobs: int, tmp_path: Path) -> None:
    structures = [hydrogen(x) for x in (1.6, 1.2, 1.4, 1.3)]
    summary = label(structures, tmp_path / "a.h5", FAST, jobs=jobs)
    assert (summary.records, summary.done, summary.skipped, summary.failures) == (4, 4, 0, ())
    dataset = open_dataset(tmp_path / "a.h5")
    assert [structure_id(r.structure) for r in dataset] == [structure_id(s) for s in structures]
    assert dataset[0].provenance["functional"] == "lda"
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_one_path_or_structure_is_labelled_without_a_list(tmp_path: Path) -> None:
    path = hydrogen_file(tmp_path / "h2.xyz", np.array([0.7, 0.74]))
    assert label(str(path), tmp_path / "a.h5", FAST).records == 2
    assert label(hydrogen(1.3), tmp_path / "a.h5", FAST).records == 3
    assert label(to_ase(hydrogen(1.35)), tmp_path / "a.h5", FAST).records == 4
    with pytest.raises(TypeError, match="got int"):
        label(3, tmp_path / "a.h5", FAST)  # type: ignore[arg-type]


def test_smiles_of_extended_xyz_files_stay_with_the_records(tmp_path: Path) -> None:
    frames = "".join(f'2\n{note}\nH 0 0 0\nH 0 0 {x}\n' for x, note in ((0.7, 'smiles="[H][H]"'), (0.75, "")))
    (tmp_path / "h2.xyz").write_text(frames)
    label(read_structures(tmp_path / "h2.xyz"), tmp_path / "a.h5", FAST)
    dataset = open_dataset(tmp_path / "a.h5")
    assert [dataset.metadata(i).get("smiles") for i in (0, 1)] == ["[H][H]", None]


def test_finished_structures_are_not_calculated_again_and_new_ones_take_their_place(tmp_path: Path) -> None:
    one, two, three = (hydrogen(x) for x in (1.2, 1.3, 1.4))
    label([one, three, one], tmp_path / "a.h5", FAST)
    summary = label([one, two, three], tmp_path / "a.h5", FAST)
    assert (summary.records, summary.done, summary.skipped) == (3, 1, 2)
    lengths = [r.structure.positions[1, 2] for r in open_dataset(tmp_path / "a.h5")]
    assert lengths == [1.2, 1.3, 1.4]


def test_failures_are_kept_apart_and_retried_only_on_request(tmp_path: Path) -> None:
    structures = [hydrogen(1.4), hydrogen(1.4, charge=1), hydrogen(1.5)]
    summary = label(structures, tmp_path / "a.h5", FAST)
    assert (summary.records, summary.done) == (2, 3)
    (failure,) = summary.failures
    assert failure.name == "H2 1.4"
    assert "odd number of electrons" in failure.reason
    again = label(structures, tmp_path / "a.h5", FAST)
    assert (again.done, again.skipped, again.failures) == (0, 3, summary.failures)
    retried = label(structures, tmp_path / "a.h5", FAST, retry_failed=True)
    assert (retried.done, retried.failures) == (1, summary.failures)


def test_failure_that_succeeds_when_retried_is_no_failure_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("harmose_dft.adapters.pyscf.recipes.MAX_CYCLES", 1)
        assert len(label([hydrogen(1.4)], tmp_path / "a.h5", FAST).failures) == 1
    summary = label([hydrogen(1.4)], tmp_path / "a.h5", FAST, retry_failed=True)
    assert (summary.records, summary.failures) == (1, ())


def test_folder_in_place_of_the_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError, match="is a folder"):
        label([hydrogen(1.4)], tmp_path, FAST, force=True)


def test_structure_file_is_never_replaced_by_the_data_set(tmp_path: Path) -> None:
    path = hydrogen_file(tmp_path / "h2.xyz", np.array([0.7]))
    text = path.read_text()
    for structures in (path, str(path), [path], iter([path])):
        with pytest.raises(OutputExistsError, match="is one of the input files"):
            label(structures, path, FAST, force=True)
    assert path.read_text() == text
    assert [p.name for p in tmp_path.iterdir()] == ["h2.xyz"]


def test_killed_run_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """A real kill -9 of the running command, two processes, in the middle of its work."""
    lengths = np.linspace(0.6, 1.2, 30)
    path, out = hydrogen_file(tmp_path / "h2.xyz", lengths), tmp_path / "a.h5"
    parts = out.with_name(out.name + PARTS_SUFFIX)
    arguments = [sys.executable, "-m", "harmose_dft", "label", str(path), "-o", str(out), "--jobs", "2", *FAST_OPTIONS]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list(parts.glob("[!.]*.h5"))) < 5:
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # the workers notice that their parent is gone
    finished = {p.stem: p.stat().st_mtime_ns for p in parts.glob("[!.]*.h5")}
    time.sleep(0.5)
    assert {p.stem for p in parts.glob("[!.]*.h5")} == set(finished), "an orphaned worker goes on"
    assert not out.exists()
    for part in parts.glob("[!.]*.h5"):
        assert len(open_dataset(part)) == 1
    (parts / ".torn.part.h5").write_bytes(b"\x89HDF half a file")

    structures = read_structures(path)
    summary = label(structures, out, FAST)
    assert summary.records == 30
    assert summary.done == 30 - len(finished)
    assert summary.skipped == len(finished)
    assert [structure_id(r.structure) for r in open_dataset(out)] == [structure_id(s) for s in structures]
    assert not parts.exists()


def _heed_interrupts() -> None:
    """A shell starts its background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_interrupted_run_keeps_what_is_finished_and_ends_its_processes(tmp_path: Path) -> None:
    """A real Ctrl-C (SIGINT to the process group), as a terminal sends it."""
    path, out = hydrogen_file(tmp_path / "h2.xyz", np.linspace(0.6, 1.2, 200)), tmp_path / "a.h5"
    parts = out.with_name(out.name + PARTS_SUFFIX)
    arguments = [sys.executable, "-m", "harmose_dft", "label", str(path), "-o", str(out), "--jobs", "2", *FAST_OPTIONS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(arguments, **pipes, text=True, start_new_session=True, preexec_fn=_heed_interrupts)
    deadline = time.monotonic() + 120
    while len(list(parts.glob("[!.]*.h5"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "Interrupted" in errors
    assert 3 <= len(open_dataset(out)) < 200
    assert not parts.exists()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's list of child processes")
def test_interrupt_while_processes_start_has_no_traceback_of_theirs(tmp_path: Path) -> None:
    """They import for a second or more before they can ignore a signal by themselves."""
    path, out = hydrogen_file(tmp_path / "h2.xyz", np.linspace(0.6, 1.2, 200)), tmp_path / "a.h5"
    arguments = [sys.executable, "-m", "harmose_dft", "label", str(path), "-o", str(out), "--jobs", "2", *FAST_OPTIONS]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(arguments, **pipes, text=True, start_new_session=True, preexec_fn=_heed_interrupts)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 120
    while not any("spawn_main" in _command(child) for child in children.read_text().split()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 130
    assert "Traceback" not in errors


def _command(process: str) -> str:
    """A process's command line; empty if it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return ""


def test_terminated_run_keeps_what_is_finished_like_an_interrupted_one(tmp_path: Path) -> None:
    """SIGTERM to the command alone, as batch systems send it; 143 = 128 + 15."""
    path, out = hydrogen_file(tmp_path / "h2.xyz", np.linspace(0.6, 1.2, 200)), tmp_path / "a.h5"
    parts = out.with_name(out.name + PARTS_SUFFIX)
    arguments = [sys.executable, "-m", "harmose_dft", "label", str(path), "-o", str(out), "--jobs", "2", *FAST_OPTIONS]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list(parts.glob("[!.]*.h5"))) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.terminate()
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 143
    assert "Traceback" not in errors
    assert "Terminated" in errors
    assert 3 <= len(open_dataset(out)) < 200
    assert not parts.exists()


def test_error_of_the_caller_ends_the_processes_and_keeps_what_is_finished(tmp_path: Path) -> None:
    class Stop:
        def __enter__(self) -> Stop:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def advance(self, steps: int = 1) -> None:
            raise RuntimeError("enough")

    before = set(multiprocessing.active_children())
    structures = [hydrogen(x) for x in (1.2, 1.3, 1.4)]
    with pytest.raises(RuntimeError, match="enough"):
        label(structures, tmp_path / "a.h5", FAST, jobs=2, progress=lambda description, total: Stop())
    assert len(open_dataset(tmp_path / "a.h5")) >= 1
    assert set(multiprocessing.active_children()) <= before


class Impatient:
    """Progress that ends the run when so many structures are done."""

    def __init__(self, patience: int) -> None:
        self.left = patience

    def __enter__(self) -> Impatient:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left == 0:
            raise KeyboardInterrupt


def test_data_set_that_is_made_anew_is_there_until_the_new_one_is_complete(tmp_path: Path) -> None:
    out, coarse = tmp_path / "a.h5", LabelSettings("pbe", "sto-3g", 0)
    label([hydrogen(1.2), hydrogen(1.3)], out, FAST)
    before = out.read_bytes()
    with pytest.raises(KeyboardInterrupt) as interrupt:
        label([hydrogen(1.3), hydrogen(1.4)], out, coarse, force=True, progress=lambda *_: Impatient(1))
    assert out.read_bytes() == before
    (note,) = interrupt.value.__notes__
    assert "1 of 2 structures are finished and wait in" in note
    assert "without --force" in note
    summary = label([hydrogen(1.3), hydrogen(1.4)], out, coarse)
    assert (summary.records, summary.done) == (2, 1)
    assert [r.structure.positions[1, 2] for r in open_dataset(out)] == [1.3, 1.4]
    assert not out.with_name(f"a.h5{PARTS_SUFFIX}").exists()


def test_interrupted_run_says_what_it_keeps(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt) as interrupt:
        label([hydrogen(1.3), hydrogen(1.4)], tmp_path / "a.h5", FAST, progress=lambda *_: Impatient(1))
    assert f"1 of 2 structures are finished and kept in {tmp_path / 'a.h5'}" in interrupt.value.__notes__[0]
    assert "The same command without --force goes on." in interrupt.value.__notes__[0]


def test_molecules_and_crystals_need_two_data_sets(tmp_path: Path) -> None:
    crystal = Structure(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 1.4]]), 6.0 * np.eye(3), name="solid")
    with pytest.raises(DataError, match=r"molecules \(H2 1.4\) and crystals \(solid\).*two data sets"):
        label([hydrogen(1.4), crystal], tmp_path / "a.h5", FAST)
    assert not list(tmp_path.iterdir())


def test_other_settings_need_another_file(tmp_path: Path) -> None:
    label([hydrogen(1.4)], tmp_path / "a.h5", FAST)
    with pytest.raises(DataError, match=r"xc lda \(asked for: pbe\)"):
        label([hydrogen(1.5)], tmp_path / "a.h5", LabelSettings("pbe", "sto-3g", 0))
    summary = label([hydrogen(1.5)], tmp_path / "a.h5", LabelSettings("pbe", "sto-3g", 0), force=True)
    assert (summary.records, summary.done) == (1, 1)


def test_unfinished_run_with_other_settings_is_not_mixed(tmp_path: Path) -> None:
    parts = tmp_path / f"a.h5{PARTS_SUFFIX}"
    parts.mkdir()
    (parts / "settings.json").write_text('{"xc": "pbe", "basis": "sto-3g", "grid_level": "0", "recipe": "full"}')
    with pytest.raises(DataError, match="other settings"):
        label([hydrogen(1.4)], tmp_path / "a.h5", FAST)
    assert label([hydrogen(1.4)], tmp_path / "a.h5", FAST, force=True).records == 1


def test_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    parts = tmp_path / f"a.h5{PARTS_SUFFIX}"
    parts.mkdir()
    (parts / "thesis.tex").write_text("")
    for force in (False, True):
        with pytest.raises(DataError, match="not the folder of an unfinished run"):
            label([hydrogen(1.4)], tmp_path / "a.h5", FAST, force=force)
    assert (parts / "thesis.tex").exists()


def test_two_runs_do_not_share_an_output(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")
    parts = tmp_path / f"a.h5{PARTS_SUFFIX}"
    parts.mkdir()
    folder = os.open(parts, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with pytest.raises(DataError, match="Another run"):
        label([hydrogen(1.4)], tmp_path / "a.h5", FAST)
    os.close(folder)
    assert label([hydrogen(1.4)], tmp_path / "a.h5", FAST).records == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (LabelSettings("b3lypp"), "no functional"),
        (LabelSettings("pbe", "def3-svp"), "no basis"),
        (LabelSettings("pbe", "sto-3g", 12), "levels 0 to 9"),
        (LabelSettings("pbe", "sto-3g", 0, "half"), "no recipe"),
    ],
)
def test_impossible_settings_are_refused_before_any_work(
    settings: LabelSettings, message: str, tmp_path: Path
) -> None:
    with pytest.raises(HarmoseError, match=message):
        label([hydrogen(1.4)], tmp_path / "a.h5", settings)
    assert list(tmp_path.iterdir()) == []


def test_output_that_is_no_data_set_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_text("my notes")
    with pytest.raises(FileFormatError, match="not an HDF5 file"):
        label([hydrogen(1.4)], tmp_path / "a.h5", FAST)
    assert (tmp_path / "a.h5").read_text() == "my notes"
    with pytest.raises(HarmoseError, match="does not exist"):
        label([hydrogen(1.4)], tmp_path / "missing" / "a.h5", FAST)
    with pytest.raises(DataError, match="no structures"):
        label([], tmp_path / "b.h5", FAST)


@pytest.mark.parametrize("content", ["{broken", "[]", "\\xff", "[" * 100_000])
def test_damaged_files_of_an_unfinished_run_are_named(tmp_path: Path, content: str) -> None:
    """Nothing that was calculated is lost: the parts stay."""
    parts = tmp_path / "a.h5.parts"
    parts.mkdir()
    (parts / "settings.json").write_text(content)
    with pytest.raises(FileFormatError, match=r"settings.json: The file is damaged .*Keep what is finished by"):
        label([hydrogen(1.4)], tmp_path / "a.h5", FAST)
    (parts / "settings.json").unlink()
    (parts / "settings.json").write_text(json.dumps(FAST.texts()))
    (parts / "0123.failed").write_text(content)
    with pytest.raises(FileFormatError, match=r"0123.failed: The file is damaged .*Remove the file"):
        label([hydrogen(1.4)], tmp_path / "a.h5", FAST)
    assert len(list(parts.glob("*.h5"))) == 1
    (parts / "0123.failed").unlink()
    assert label([hydrogen(1.4)], tmp_path / "a.h5", FAST).records == 1


def test_only_failures_leave_a_file_that_lists_them(tmp_path: Path) -> None:
    summary = label([hydrogen(1.4, charge=1)], tmp_path / "a.h5", FAST)
    assert summary.records == 0
    assert HDF5Dataset(tmp_path / "a.h5").failures == list(summary.failures)
    with pytest.raises(DataError, match="only failures"):
        open_dataset(tmp_path / "a.h5")


def test_command_reports_counts_and_failures(tmp_path: Path) -> None:
    path = tmp_path / "mixed.xyz"
    path.write_text("2\n\nH 0 0 0\nH 0 0 0.74\n1\nname=radical\nH 0 0 0\n")
    result = CliRunner().invoke(command, [str(path), "-o", str(tmp_path / "a.h5"), "--jobs", "1", *FAST_OPTIONS])
    assert result.exit_code == 0
    assert "calculated now" in result.stdout
    assert "failed: radical" in result.stderr
    assert len(open_dataset(tmp_path / "a.h5")) == 1


def test_command_fails_where_no_structure_could_be_calculated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "radical.xyz").write_text("1\nname=radical\nH 0 0 0\n")
    assert main(["label", str(tmp_path / "radical.xyz"), "-o", str(tmp_path / "a.h5"), *FAST_OPTIONS]) == 1
    captured = capsys.readouterr()
    assert "None of the structures could be calculated" in captured.err
    assert "odd number of electrons" in captured.err
    assert len(HDF5Dataset(tmp_path / "a.h5").failures) == 1


def test_settings_that_do_nothing_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    """Rather than structure by structure, which left a data set of failures."""
    from harmose_dft.testing.crystals import layer

    for structure, settings, words in (
        (layer(), LabelSettings("pbe", "gth-szv", recipe="accelerated"), "'accelerated' is for molecules"),
        (layer(), LabelSettings("pbe", "gth-szv", 5), "grid level 5 is for molecules"),
        (hydrogen(1.4), LabelSettings("lda", "sto-3g", 0, ke_cutoff=30.0), "--ke-cutoff is for crystals"),
        (hydrogen(1.4), LabelSettings("lda", "sto-3g", 0, kpoint_spacing=0.3), "--kpoint-spacing is for crystals"),
    ):
        with pytest.raises(ConfigError, match=words):
            label(structure, tmp_path / "a.h5", settings)
    assert list(tmp_path.iterdir()) == []


def test_known_structures_are_left_out_in_linear_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets of identities are combined once, not for each structure."""

    class Counted(set[str]):
        count = 0

        def __or__(self, other: object) -> set[str]:  # type: ignore[override]
            Counted.count += 1
            return set(self) | other  # type: ignore[operator]

        def __sub__(self, other: object) -> set[str]:  # type: ignore[override]
            Counted.count += 1
            return set(self) - other  # type: ignore[operator]

    ids = LabelRun.list_ids
    monkeypatch.setattr(LabelRun, "list_ids", lambda run: tuple(map(Counted, ids(run))))
    structures = [hydrogen(x) for x in (1.2, 1.3, 1.4)]
    label(structures[:2], tmp_path / "a.h5", FAST)
    few = Counted.count
    assert label(structures, tmp_path / "a.h5", FAST).done == 1
    assert Counted.count == 2 * few


def test_command_refuses_bad_structures_with_one_paragraph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.01\n")
    assert main(["label", str(tmp_path / "bad.xyz"), "-o", str(tmp_path / "a.h5")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "overlap" in captured.err
    assert not (tmp_path / "a.h5").exists()


def test_recipes_for_molecules_are_refused_for_crystals() -> None:
    from harmose_dft.testing.crystals import layer

    for recipe in ("accelerated", "staged", "corrected"):
        with pytest.raises(ConfigError, match="is for molecules"):
            LabelSettings("pbe", "sto-3g", recipe=recipe).calculate(layer())
