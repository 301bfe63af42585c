"""How records say where they come from."""

from __future__ import annotations

import pytest

from harmose_dft.core.record import name_code


@pytest.mark.parametrize(
    ("provenance", "name"),
    [
        ({"code": "PySCF", "version": "2.14.0"}, "PySCF 2.14.0"),
        ({"code": "ABACUS", "version": ""}, "ABACUS"),  # a run without its log
        ({"functional": "pbe"}, ""),
    ],
)
def test_a_calculation_is_named_by_code_and_version_as_far_as_they_are_stated(
    provenance: dict[str, str], name: str
) -> None:
    assert name_code(provenance) == name
