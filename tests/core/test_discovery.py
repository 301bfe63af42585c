"""Extension points: classes are found in the modules of a package."""

from __future__ import annotations

import sys
from abc import ABC
from pathlib import Path

import pytest

from harmose_dft.core.discovery import discover


def test_classes_of_a_package_are_found_by_module_without_abstract_and_imported_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "zoo_of_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text(
        "from abc import ABC, abstractmethod\nclass Animal(ABC):\n    @abstractmethod\n    def say(self): ...\n"
    )
    (package / "b_dog.py").write_text(
        "from .base import Animal\nclass Dog(Animal):\n    def say(self): ...\nclass Stone: ...\n"
    )
    (package / "a_cat.py").write_text(
        "from .b_dog import Dog\nclass Cat(Dog): ...\nclass Pet(Dog): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from zoo_of_test.base import Animal  # type: ignore[import-not-found]

    assert issubclass(Animal, ABC)
    assert [c.__name__ for c in discover("zoo_of_test", Animal)] == ["Cat", "Pet", "Dog"]
    more = tmp_path / "more"
    more.mkdir()
    (more / "eel.py").write_text("from zoo_of_test.base import Animal\nclass Eel(Animal):\n    def say(self): ...\n")
    sys.modules["zoo_of_test"].__path__.append(str(more))
    assert [c.__name__ for c in discover("zoo_of_test", Animal)] == ["Cat", "Pet", "Dog", "Eel"]
