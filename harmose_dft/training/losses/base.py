"""Terms of the loss: what every term says of itself and works out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import ClassVar

from torch import Tensor

from ...core.sections import Section
from ..samples import Need
from .errors import Errors


class Subject(Enum):
    """Whose Hamiltonian a term judges."""

    WHOLE = "the whole model's, each member's of stage 2 for itself"
    STAGE1 = "stage 1's own, in joint training"


class LossSection(Section):
    """Weights of the terms, each a mean absolute error in Hartree."""

    def weight(self, name: str) -> float:
        """Weight of a term.

        Args:
            name: Its key in the configuration.
        """
        return float(getattr(self, name))


class Loss(ABC):
    """A term of the loss. A new term is one subclass in a file of this folder.

    Attributes:
        name: Key of its weight in the section ``loss`` of the configuration.
        description: What the configuration says of it.
        weight: Default weight, 0 or more.
        order: Place in the configuration and in the sum; sums in another order round differently.
        needs: What batches must hold; the term does not count for others.
        subject: Whose Hamiltonian it judges.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    weight: ClassVar[float]
    order: ClassVar[int] = 100
    needs: ClassVar[frozenset[Need]] = frozenset()
    subject: ClassVar[Subject] = Subject.WHOLE

    @abstractmethod
    def value(self, errors: Errors) -> Tensor:
        """The term without its weight, a scalar, in Hartree.

        Args:
            errors: Errors of a batch; quantities that several terms share are worked out once.
        """
