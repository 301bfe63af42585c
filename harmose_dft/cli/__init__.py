"""The command line: ``harmose-dft predict | evaluate | label | convert | train | bands | seed | ...``.

Every command lives in a module of its own that is imported when the command is used, so that ``--help`` imports
nothing heavy. stdout carries results, stderr progress and logs. Exit codes: 0 success, 1 user or data error,
2 usage, 3 outside the model's domain, 130 interrupted (Ctrl-C), 143 terminated (SIGTERM).
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import click

from ..core.errors import HarmoseError, HarmoseWarning, InputNote, printable
from ..core.interrupts import DISCARDED, WORDS, exit_code, raise_at_signals
from ..core.version import __version__
from . import console

COMMANDS = {
    "predict": "Predict the Hamiltonian, orbital energies and orbitals of structures.",
    "evaluate": "Measure a model against reference calculations.",
    "calibrate": "Give a model verdicts and error bars.",
    "label": "Label structures with PySCF reference calculations.",
    "convert": "Convert the output of DFT codes to a data set, or check it.",
    "train": "Train a model as a configuration file says.",
    "bands": "Compute and plot the bands of a crystal.",
    "report": "Write a report on a structure as one HTML page.",
    "seed": "Write an initial guess for the SCF of a DFT code.",
    "info": "Describe the installation, a model, a data set or a result.",
}
"""Command -> one line for the group's help; module ``harmose_dft.cli.<command>`` holds the function ``<command>``."""

CITATION = """
Please cite: S. Yin, X. Pan, X. Zhu, T. Gao, H. Zhang, F. Wu, L. He, Towards harmonization of SO(3)-equivariance and
expressiveness: a hybrid deep learning framework for electronic-structure Hamiltonian prediction,
Mach. Learn.: Sci. Technol. (2024), doi 10.1088/2632-2153/ad8d30"""
"""What --version asks to cite."""


class LazyGroup(click.Group):
    """A command group that imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported, with the options that all commands share."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        if not any(p.name == "debug" for p in command.params):
            command.params.extend(_shared_options())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a misspelt name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = get_close_matches(args[0], COMMANDS, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"The commands are {', '.join(COMMANDS)}."
            ctx.fail(f"There is no command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, from the static texts."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _shared_options() -> list[click.Option]:
    """``--debug``, ``--quiet`` and ``--verbose``, accepted before and after the command's name."""

    def set_flag(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value and param.name is not None:
            setattr(console.settings, param.name, True)

    texts = {
        ("--debug",): "Show the traceback of an error.",
        ("-q", "--quiet"): "No progress and no notes on stderr.",
        ("-v", "--verbose"): "More notes on stderr.",
    }
    return [
        click.Option(names, is_flag=True, expose_value=False, callback=set_flag, help=text)
        for names, text in texts.items()
    ]


@click.group(cls=LazyGroup, params=list(_shared_options()), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="harmose-dft", message=f"%(prog)s, version %(version)s\n{CITATION}")
def cli() -> None:
    """Predict Kohn-Sham Hamiltonians, and all that one diagonalisation gives.

    Start with: harmose-dft predict molecule.xyz
    """


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and turn every failure into one paragraph on stderr.

    Args:
        argv: Arguments without the program's name; those of the process if None.

    Returns:
        The exit code.
    """
    console.settings.reset()
    _open_closed_streams()
    _escape_foreign_characters()
    leave_local_settings_alone()
    signals: list[int] = []
    try:
        with _notes_of_inputs(), raise_at_signals(sys._getframe(), __name__) as signals:
            code = _call(argv, signals)
        sys.stdout.flush()
    except click.ClickException as error:
        vars(error)["message"] = printable(error.message)
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        number = signal.SIGTERM if signal.SIGTERM in signals else signal.SIGINT
        notes = getattr(error.__cause__ or error, "__notes__", ())
        return _fail(f"{WORDS[number]}. {' '.join(notes) or DISCARDED}", exit_code(number))
    except HarmoseError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(describe_os_error(error), 1)
    except MemoryError:
        return _fail("Not enough memory. Use fewer or smaller structures at once, or a machine with more memory.", 1)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        return _fail(f"Internal error, not your fault. {text}. Run again with --debug and report what it prints.", 1)
    return code if isinstance(code, int) else 0


def _call(argv: Sequence[str] | None, signals: Sequence[int]) -> Any:
    """Run the command line; an error after a signal is what became of KeyboardInterrupt on its way."""
    try:
        return cli.main(args=None if argv is None else list(argv), prog_name="harmose-dft", standalone_mode=False)
    except Exception as error:
        if signals and not isinstance(error, click.Abort):
            raise KeyboardInterrupt from error
        raise


@contextmanager
def _notes_of_inputs() -> Iterator[None]:
    """Show notes about inputs and doubts about predictions as remarks on stderr, other warnings as Python does."""
    with warnings.catch_warnings():
        for kind in (InputNote, HarmoseWarning):
            warnings.simplefilter("always", kind)
        show = warnings.showwarning

        def remark(message: Warning | str, category: type[Warning], *place: Any) -> None:
            if issubclass(category, InputNote):
                console.note(f"note: {message}")
            elif issubclass(category, HarmoseWarning):
                console.note(f"warning: {message}")
            else:
                show(message, category, *place)

        warnings.showwarning = remark  # type: ignore[assignment]
        yield


def _open_closed_streams() -> None:
    """Let what a shell has closed (``>&-``) lead nowhere, rather than into the next file that is opened."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  # for as long as the process


def _escape_foreign_characters() -> None:
    """Let stdout write as escapes, ``\\xb1``, what its encoding lacks: names come from files, and prose has ± and Å."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def leave_local_settings_alone() -> None:
    """Keep PySCF from running ``.pyscf_conf.py`` of the current folder, which may have come with somebody's data.

    The user's own, in the home folder or named by ``PYSCF_CONFIG_FILE``, is run as PySCF documents it.
    """
    if not os.path.isfile(os.environ.get("PYSCF_CONFIG_FILE", "")):
        settings = os.path.join(os.path.expanduser("~"), ".pyscf_conf.py")
        neutral = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pyscf_settings.txt")
        os.environ["PYSCF_CONFIG_FILE"] = settings if os.path.isfile(settings) else neutral


def describe_os_error(error: OSError) -> str:
    """One sentence for a failure of the operating system, and what to do about it."""
    advice = {
        errno.ENOSPC: "Free some space or write to another disk",
        errno.EDQUOT: "Free some of your quota or write to another disk",
        errno.EACCES: "Check the permissions or choose another path",
        errno.EPERM: "Check the permissions or choose another path",
        errno.EROFS: "Choose a path that can be written to",
        errno.ENOENT: "Check the spelling",
    }
    problem = error.strerror or str(error)
    file_name = f" ({error.filename})" if error.filename else ""
    remedy = advice.get(error.errno or 0, "Check the path and the disk")
    return f"The operating system reports: {problem}{file_name}. {remedy}, then run the command again."


def _fail(message: str, code: int) -> int:
    """Print a failure as one paragraph, with the traceback if ``--debug`` was given."""
    if console.settings.debug:
        traceback.print_exc()
    console.error(message)
    return code
