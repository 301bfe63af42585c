"""Tables of the codes: what is read, written, recognised and started, from the rows of the adapters."""

from __future__ import annotations

from harmose_dft.adapters.registry import codes, read_options, start_writers

from .sources import table


def code_table() -> str:
    """What is read and written of every code."""
    rows = [(c.name, c.about.reads, c.about.writes, c.about.tested) for c in codes()]
    return table(("code or format", "reads", "writes", "tested versions"), rows)


def unit_table() -> str:
    """Units and orbital order of the files of every code."""
    rows = [(c.name, c.about.units, c.about.orbitals) for c in codes()]
    return table(("code or format", "units of its files", "order and sign of its orbitals"), rows)


def recognition_table() -> str:
    """How calculations are recognised."""
    rows = [(c.name, c.recognises.replace("<", r"\<")) for c in codes() if c.recognises]
    return table(("code or format", "recognised by"), rows)


def option_table() -> str:
    """What readers can be told."""
    return table(("option of `harmose-dft convert`", "meaning"), [(f"`{o.flag}`", o.help) for o in read_options()])


def start_table() -> str:
    """Files from which codes start."""
    rows = [(f"`{key}`", w.help.partition(": ")[2]) for key, w in start_writers().items() if w.help]
    return table(("`--code`", "file"), rows)
