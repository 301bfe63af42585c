"""A model for more elements: the parameters of the smaller one in their places among those of a larger one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np
import torch
from torch import nn

from ..core.errors import ConfigError
from ..nn.heads import BlockHead
from ..nn.layout import OrbitalLayout
from .normalizer import Normalizer
from .two_stage import TwoStageModel

OUTGROWN = 3.0
"""Scales of a larger training set more than this many times as large as those of a smaller one replace them, divided by
it: inputs stay of order one, and usual ones keep their scale."""

Places = dict[int, list[int]]
"""Dimension -> place of each row in the larger tensor."""


@torch.no_grad()
def extend_parameters(model: TwoStageModel, larger: TwoStageModel) -> None:
    """Give a model of more elements the parameters of a smaller one, so that it predicts the same for its elements.

    Embeddings of a new element begin as those of the element that resembles it most: of its group, else the next one
    in the periodic table. Heads begin with zeros for new orbitals, since stage 2 sees stage 1's blocks; everything else
    of new elements and orbitals stays as it is.

    Args:
        model: The smaller model.
        larger: The larger one, changed in place.

    Raises:
        ConfigError: A layer does not say what its parameters belong to, or the sizes of the models differ otherwise.
    """
    _copy_embeddings(model, larger)
    for head in (module for module in larger.modules() if isinstance(module, BlockHead)):
        for parameter in head.parameters():
            parameter.zero_()
    target, labels, new_labels = larger.state_dict(), _labels(model), _labels(larger)
    for name, value in model.state_dict().items():
        places = _places(name, labels.get(name, {}), new_labels.get(name, {}))
        index = [torch.tensor(places.get(k, range(size)), dtype=torch.int64) for k, size in enumerate(value.shape)]
        new_shape = [n for k, n in enumerate(target[name].shape) if k not in places]
        if new_shape != [n for k, n in enumerate(value.shape) if k not in places]:
            raise ConfigError(
                f"The model cannot be extended to more elements: its layer of {name} is tied to those it has. Train a "
                "new one: leave start_from out."
            )
        target[name][torch.meshgrid(*index, indexing="ij") if index else ()] = value


def extend_normalizer(old: Normalizer, new: Normalizer, layout: OrbitalLayout, larger: OrbitalLayout) -> Normalizer:
    """The normalizer of a larger training set, with the means and scales of a smaller one for what that one saw.

    Scales of elements that the larger set has more than :data:`OUTGROWN` times as large grow with it: two elements may
    have been far apart in all of the smaller set.

    Args:
        old: Of the smaller one.
        new: Of the larger one.
        layout: Orbital slots of the smaller one.
        larger: Orbital slots of the larger one.
    """
    species = _find("elements", layout.elements, larger.elements)
    rows = _find("orbitals", layout.labels(), larger.labels())
    changes = {}
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if before is None or after is None:
            continue
        pair = "edge" in field.name
        index = [species] * (2 if pair else 1) + [list(range(n)) for n in before.shape[2 if pair else 1 : -2]]
        grid = np.ix_(*index, rows, rows)
        merged = after.copy()
        scale = field.name.endswith("scale")
        unseen = (before == 0) & pair & scale
        merged[grid] = np.where(unseen, after[grid], np.maximum(before, after[grid] / OUTGROWN) if scale else before)
        changes[field.name] = merged
    return replace(new, **changes)


def _copy_embeddings(model: TwoStageModel, larger: TwoStageModel) -> None:
    """Embeddings of elements and pairs of elements, those of the elements that resemble them most."""
    elements, new = model.layout.elements, larger.layout.elements
    like = torch.tensor([elements.index(most_similar(z, elements)) for z in new])
    pairs = (like[:, None] * len(elements) + like).flatten()
    larger.first.embed_node.weight.copy_(model.first.embed_node.weight[like])
    larger.first.embed_species.weight.copy_(model.first.embed_species.weight[pairs])
    for name, radii in larger.state_dict().items():
        if name.endswith("log_radius"):
            radii.copy_(model.state_dict()[name][like])


def most_similar(z: int, elements: Sequence[int]) -> int:
    """The element of a list that resembles an element most: itself, its group's nearest, or the nearest at all."""
    return min(elements, key=lambda e: (e != z, _group(e) != _group(z), abs(e - z)))


def _group(z: int) -> int:
    """Number of valence electrons beyond the last noble gas; elements of the s and p blocks of one group share it."""
    return z - max(core for core in (0, 2, 10, 18, 28, 36, 46, 54, 78, 86) if core < z)


def _labels(model: nn.Module) -> dict[str, Mapping[int, Sequence[object]]]:
    """Labels of all parameters, by full name; see :data:`~harmose_dft.nn.layout.ParameterLabels`."""
    labels: dict[str, Mapping[int, Sequence[object]]] = {}
    for prefix, module in model.named_modules():
        if callable(getattr(module, "labels", None)):
            start = f"{prefix}." if prefix else ""
            labels |= {start + name: of_parameter for name, of_parameter in module.labels().items()}
    return labels


def _places(
    name: str, labels: Mapping[int, Sequence[object]], larger: Mapping[int, Sequence[object]]
) -> Places:
    return {k: _find(name, of_rows, larger[k]) for k, of_rows in labels.items()}


def _find(name: str, labels: Sequence[object], larger: Sequence[object]) -> list[int]:
    """Place of each label in a longer list."""
    place = {label: k for k, label in enumerate(larger)}
    missing = [label for label in labels if label not in place]
    if missing:
        raise ConfigError(f"The model cannot be extended: the larger one has no {missing[0]} in {name}.")
    return [place[label] for label in labels]
