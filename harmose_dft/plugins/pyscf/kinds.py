"""Names for PySCF's objects, whose classes have no annotations and are derived from at run time."""

from __future__ import annotations

from typing import Any

MeanField = Any
"""A mean-field object: RKS, UHF, ..."""

Potential = Any
"""An effective potential or a Fock matrix: an array with energies as tags."""

Integrator = Any
"""A numerical integrator of densities on grids."""
