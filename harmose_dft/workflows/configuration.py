"""Training configurations: reading a YAML file, and errors that name the key, its value and the nearest known key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import get_args

import yaml
from pydantic import BaseModel, ValidationError

from ..core.errors import ConfigError, shorten
from ..core.hdf5 import HDF5_SIGNATURE
from ..model.loading import bundled_models
from ..training.config import TrainConfig

LONGEST_CONFIG = 1 << 18
"""Bytes of a configuration; the longest of the examples has a hundredth."""

DEEPEST = 20
"""Sections in sections; there are four."""


def read_config(path: str | Path) -> TrainConfig:
    """Read and validate a configuration; relative paths of data and of the start begin at its folder.

    Raises:
        ConfigError: The file is missing, is not YAML, or has an unknown key or invalid value.
    """
    path = Path(path)
    try:
        content = parse_yaml(path) or {}
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold sections such as 'data:' and 'model:'; got a {type(content).__name__}.")
    try:
        config = TrainConfig.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(explain(error, content))
        raise ConfigError(f"{path}: {problems}" + ("" if problems.endswith("?") else ".")) from error
    files = tuple(f if f.is_absolute() else path.parent / f for f in config.data.files)
    changes: dict[str, object] = {"data": config.data.model_copy(update={"files": files})}
    start = config.start_from
    if start is not None and start not in bundled_models() and (path.parent / start).is_dir():
        changes["start_from"] = str(path.parent / start)
    return config.model_copy(update=changes)


def parse_yaml(path: Path) -> object:
    """Parse a YAML file: plain values only, of bounded size, without aliases, which multiply a text's size.

    Raises:
        ConfigError: The file is too long, nests too deeply, or has aliases.
        ValueError: It is no text, or a number is too long.
    """
    with path.open("rb") as file:
        text = file.read(LONGEST_CONFIG + 1)
    if text.startswith(HDF5_SIGNATURE):
        raise ConfigError(
            f"{path} is an HDF5 file; expected a configuration, which is a text in YAML. To train a model further on a "
            "data set, say --from MODEL before it; to train a new one, name it under data.files of a configuration."
        )
    if len(text) > LONGEST_CONFIG:
        raise ConfigError(f"{path} is longer than {LONGEST_CONFIG} bytes. Is it a configuration?")
    depth = 0
    for event in yaml.parse(text.decode("utf-8"), Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise ConfigError(
                f"{path} nests more than {DEEPEST} lists. Write sections as docs/reference/configuration.md has them."
            )
        if isinstance(event, yaml.AliasEvent):
            raise ConfigError(f"{path} uses the alias *{event.anchor}; write the values out where they are needed.")
    _require_unique_keys(yaml.compose(text.decode("utf-8"), Loader=yaml.SafeLoader))
    content: object = yaml.safe_load(text.decode("utf-8"))
    return content


def _require_unique_keys(node: yaml.Node | None) -> None:
    """Refuse a key that stands twice in one section, of which YAML would take the last.

    Raises:
        ValueError: With the key and its line.
    """
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise ValueError(f"the key {shorten(name)!r} stands twice, again in line {key.start_mark.line + 1}")
            seen.add(name)
            _require_unique_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_unique_keys(item)


def explain(error: ValidationError, content: object) -> list[str]:
    """Describe each problem by its dotted key, the value, what was expected, and the nearest known key.

    Args:
        error: What the schema says.
        content: What the file holds.
    """
    lines = []
    for problem in error.errors():
        key = join_key(problem["loc"], content)
        if problem["type"] == "extra_forbidden":
            name, beside = str(problem["loc"][-1]), keys_beside(problem["loc"])
            close = get_close_matches(name, beside, n=1) or get_close_matches(name, known_keys(), n=1)
            lines.append(f"unknown key {key}" + (f", did you mean {close[0]!r}?" if close else ""))
        elif not problem["loc"]:
            lines.append(problem["msg"].removeprefix("Value error, "))
        elif problem["type"] == "tuple_type":
            lines.append(f"{key} = {shorten(repr(problem['input']))}: write a list, [{shorten(str(problem['input']))}]")
        else:
            lines.append(f"{key} = {shorten(repr(problem['input']))}: {problem['msg'].removeprefix('Value error, ')}")
    return lines


def join_key(location: Sequence[str | int], content: object) -> str:
    """The key as it stands in the file, "model.second.width": without the kinds that the schema puts in between.

    Args:
        location: Keys, kinds and indices from the top of the schema.
        content: What the file holds.
    """
    parts: list[str] = []
    for n, part in enumerate(location):
        inside: list[object] = []
        if isinstance(content, list):
            inside = [content[part]] if isinstance(part, int) else []
        elif isinstance(content, Mapping) and part in content:
            inside = [content[part]]
        if inside or n == len(location) - 1:
            parts.append(str(part))
            content = inside[0] if inside else None
    return ".".join(parts)


def keys_beside(location: Sequence[str | int]) -> list[str]:
    """Keys of the section that a key stands in."""
    level: list[type[BaseModel]] = [TrainConfig]
    for part in location[:-1]:  # kinds, which the schema puts in between, are no fields
        fields = [section.model_fields[str(part)] for section in level if part in section.model_fields]
        level = [section for field in fields for section in sections(field.annotation)] or level
    return sorted({name for section in level for name in section.model_fields})


def known_keys() -> list[str]:
    """Every key of every section."""
    level: list[type[BaseModel]] = [TrainConfig]
    keys: set[str] = set()
    while level:
        keys.update(name for section in level for name in section.model_fields)
        level = list(_subsections(level))
    return sorted(keys)


def _subsections(level: Iterable[type[BaseModel]]) -> Iterable[type[BaseModel]]:
    return (s for section in level for field in section.model_fields.values() for s in sections(field.annotation))


def sections(annotation: object) -> list[type[BaseModel]]:
    """The sections of the configuration that a type consists of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in sections(part)]
