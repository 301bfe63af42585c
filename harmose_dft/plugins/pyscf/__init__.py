"""Starting and accelerating self-consistent fields of PySCF.

``mf = seed(mf)`` gives a mean-field object that starts from the prediction, converges faster, and is otherwise the
same. Neither changes what the SCF converges to. A start is tested: structure and method must be what the model
describes, the density must be finite and hold all electrons, and its Fock matrix must nearly commute with it. Otherwise
PySCF's own start is used, with a warning that says why. :mod:`~harmose_dft.plugins.pyscf.accelerate` explains the
acceleration.
"""

from .accelerate import Acceleration
from .guess import Guess, SeedWarning, Start, density_of, initial_density, structure_of
from .mean_field import NotMeanFieldError, Seeded, seed, seed_with
from .recipe import reference_from_prediction

__all__ = [
    "Acceleration",
    "Guess",
    "NotMeanFieldError",
    "SeedWarning",
    "Seeded",
    "Start",
    "density_of",
    "initial_density",
    "reference_from_prediction",
    "seed",
    "seed_with",
    "structure_of",
]
