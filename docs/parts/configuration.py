"""Every key of the training configuration, with its default and meaning."""

from __future__ import annotations

import typing
from collections.abc import Iterator

from pydantic import BaseModel

from harmose_dft.training.config import TrainConfig

from .sources import table


def models_in(annotation: object) -> list[type[BaseModel]]:
    """The pydantic models in an annotation, such as those of a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in typing.get_args(annotation) for model in models_in(part)]


def format_default(value: object) -> str:
    """A default as YAML would have it."""
    if value is None:
        return "null"
    if isinstance(value, tuple):
        return f"[{', '.join(str(v) for v in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def configuration_rows(section: type[BaseModel], prefix: str = "", kind: str = "") -> Iterator[tuple[str, str, str]]:
    """Key, default and meaning of every key of a section and of those below it.

    Args:
        section: The section.
        prefix: Its dotted name with a dot at the end.
        kind: Which of several sections of that name it is.
    """
    for name, entry in section.model_fields.items():
        below = models_in(entry.annotation)
        if not below:
            key = f"`{prefix}{name}`" + (f" ({kind})" if kind else "")
            meaning = entry.description or "which second stage"
            yield key, f"`{format_default(entry.default)}`", meaning.replace("|", r"\|")
        for model in below:
            choice = str(model.model_fields["kind"].default) if len(below) > 1 else kind
            yield from configuration_rows(model, f"{prefix}{name}.", choice)


def configuration() -> str:
    """Every key of the training configuration."""
    rows = list(configuration_rows(TrainConfig))
    rows.sort(key=lambda row: "." in row[0])  # keys without a section first, otherwise as in the program
    return table(("key", "default", "meaning"), rows)
