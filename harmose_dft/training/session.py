"""A trainer at work in the folder of its run: log, checkpoints, progress."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..core.interrupts import defer_interrupts
from ..core.progress import Progress
from .folder import RunFolder
from .identity import RunIdentity
from .log import LogEntry
from .loop import Trainer

PERMILLE = 1000
"""Steps of the training's progress bar."""


def train(
    trainer: Trainer, folder: RunFolder, identity: RunIdentity, progress: Progress,
    report: Callable[[LogEntry], None],
) -> None:
    """Train to the end; the first of several processes writes and reports.

    A run that begins writes its state at once, so that none of an earlier run is left in its folder. A first SIGINT or
    SIGTERM waits for the running update, and for a checkpoint.

    Args:
        trainer: The trainer, new or restored.
        folder: Where state and log go.
        identity: Identity of the run.
        progress: Shows progress.
        report: Receives every line of the log.
    """
    folder.path.mkdir(parents=True, exist_ok=True)
    first = trainer.processes.rank == 0
    if first:
        folder.begin_log(trainer.step)

    def note(entry: LogEntry) -> None:
        if first:
            folder.log(entry)
            report(entry)

    saved: list[int] = []

    def checkpoint() -> None:
        if first:
            folder.save(trainer.state(), identity)
            saved.append(trainer.step)

    if trainer.step == 0:
        checkpoint()
    with progress("training", PERMILLE) as bar:
        shown = 0

        def tick() -> None:
            nonlocal shown
            reached = int(trainer.progress * PERMILLE)
            if reached > shown:
                bar.advance(reached - shown)
                shown = reached

        torch.set_flush_denormal(True)
        try:
            with defer_interrupts() as is_interrupted:
                trainer.run(note, checkpoint, tick, is_interrupted)
        except KeyboardInterrupt as interrupt:
            go_on = "The same command without --force goes on"
            state = f"the state after step {saved[-1]}. {go_on}" if saved else "no new state"
            interrupt.add_note(f"{folder.path} holds {state}.")
            raise
        finally:
            torch.set_flush_denormal(False)
