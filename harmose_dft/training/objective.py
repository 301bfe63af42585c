"""The loss of a batch: a weighted sum of terms, of each member of stage 2 and of stage 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from pydantic import Field, create_model
from torch import Tensor

from ..core.discovery import discover
from ..core.sections import LARGEST_WEIGHT, Number
from ..model.two_stage import TwoStageModel, TwoStageOutput
from ..nn.blocks import Blocks
from ..nn.graph import PairGraph
from .losses.base import Loss, LossSection, Subject
from .losses.errors import Errors
from .samples import Batch, Need

LOSSES: tuple[Loss, ...] = tuple(
    sorted(
        (kind() for kind in discover("harmose_dft.training.losses", Loss)),  # type: ignore[type-abstract]
        key=lambda term: (term.order, term.name),
    )
)
"""Every term, in the order in which they are summed."""

if TYPE_CHECKING:
    LossConfig = LossSection
else:
    LossConfig = create_model(
        "LossConfig",
        __base__=LossSection,
        __doc__=LossSection.__doc__,
        __module__=__name__,
        **{
            term.name: (Number, Field(term.weight, ge=0, le=LARGEST_WEIGHT, description=term.description))
            for term in LOSSES
        },
    )


def collect_needs(weights: LossSection) -> frozenset[Need]:
    """Everything that the terms with a weight need of samples."""
    return frozenset().union(*(term.needs for term in LOSSES if weights.weight(term.name) > 0))


class Objective:
    """The loss of a model's output for a batch.

    Args:
        model: The model.
        weights: Weights of the terms.
        separate: Whether stage 1's Hamiltonian learns from its own error alone where both stages learn.
    """

    def __init__(self, model: TwoStageModel, weights: LossSection, *, separate: bool = False) -> None:
        self.model, self.separate = model, separate
        self.terms = [(term, weights.weight(term.name)) for term in LOSSES if weights.weight(term.name) > 0]

    def __call__(self, output: TwoStageOutput, batch: Batch, *, joint: bool) -> tuple[Tensor, Tensor]:
        """The loss and the mean absolute error of all elements (mae_all), both averaged over the members, Hartree.

        Args:
            output: The model's output.
            batch: The batch with its targets.
            joint: Whether both stages learn.
        """
        mask, members = self.mask(batch.graph), output.members
        if joint and self.separate:
            still = output.stage1.map(lambda x: x.detach() - x)  # the same values without that gradient
            members = tuple(member + still for member in members)
        errors = [Errors(member, batch, mask) for member in members]
        loss = torch.stack([self._sum(e, Subject.WHOLE) for e in errors]).mean()
        error = torch.stack([e.elements for e in errors]).mean()
        if joint and any(term.subject is Subject.STAGE1 for term, _ in self.terms):
            loss = loss + self._sum(Errors(output.stage1, batch, mask), Subject.STAGE1)
        return loss, error.detach()

    def _sum(self, errors: Errors, subject: Subject) -> Tensor:
        """Weighted sum of the terms of a subject that apply to the batch."""
        batch = errors.batch
        terms = [(t, w) for t, w in self.terms if t.subject is subject and all(map(batch.has, t.needs))]
        if not terms:
            return 0.0 * errors.elements
        (first, weight), *others = terms
        total = weight * first.value(errors)
        for term, weight in others:
            total = total + weight * term.value(errors)
        return total

    def mask(self, graph: PairGraph) -> Blocks:
        """One for elements between orbitals of the basis, zero for padding."""
        return self.model.scales(graph).map(lambda scale: (scale != 0).to(scale.dtype))
