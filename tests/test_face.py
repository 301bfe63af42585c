"""The package's face: what a user sees by ``dir(harmose_dft)``, imported when it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module

import pytest

import harmose_dft

OLD = ("initial_density", "keep_freed_memory", "load_model")
"""Names of version 0.1 that scripts still import."""

HEAVY = {"torch", "numpy", "scipy", "pyscf", "ase", "h5py", "rich", "matplotlib", "pydantic", "e3nn", "click"}


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout


def test_dir_lists_the_public_names_and_nothing_else() -> None:
    code = "import harmose_dft, harmose_dft.core.files; harmose_dft.Structure; print(*dir(harmose_dft))"
    assert run_python(code).split() == sorted(harmose_dft.__all__)
    assert 18 <= len(harmose_dft.__all__) <= 24
    assert not [name for name in harmose_dft.__all__ if name.startswith("_")]


@pytest.mark.parametrize("name", [*harmose_dft.__all__, *OLD])
def test_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(harmose_dft, name)
    assert inspect.getdoc(value)
    assert value is getattr(harmose_dft, name)
    if name != "load_model":
        assert value.__name__ == name


@pytest.mark.parametrize("name", OLD)
def test_names_of_version_0_1_are_importable_but_not_listed(name: str) -> None:
    assert name not in harmose_dft.__all__
    assert name not in dir(harmose_dft)
    assert callable(getattr(harmose_dft, name))


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'predicct'"):
        _ = harmose_dft.predicct  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [n for n in harmose_dft.__all__ if n[0].islower()])
def test_every_verb_is_annotated(name: str) -> None:
    signature = inspect.signature(getattr(harmose_dft, name))
    annotations = [p.annotation for p in signature.parameters.values()]
    assert inspect.Signature.empty not in (*annotations, signature.return_annotation)
    if name != "seed":  # mean-field objects of PySCF have no type
        assert "Any" not in (*annotations, signature.return_annotation)


def test_import_brings_nothing_heavy_and_is_quick() -> None:
    loaded = set(run_python("import sys, harmose_dft; dir(harmose_dft); print(*sys.modules)").split())
    assert not loaded & HEAVY
    code = "import time; from harmose_dft.cli import main; main(['--help']); print(time.process_time())"
    assert min(float(run_python(code).split()[-1]) for _ in range(3)) < 0.3


def test_face_names_where_each_object_is_defined() -> None:
    """A name that moved would make documentation and pickles point to the wrong module."""
    for name in harmose_dft.__all__:
        value = getattr(harmose_dft, name)
        assert getattr(import_module(value.__module__), name) is value
