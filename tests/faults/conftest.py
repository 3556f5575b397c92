"""One stack for the tests that need nothing but it, with faults that can be put inside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import succeeded
from tests.faults.lab import Lab, running_lab


@pytest.fixture(scope="session")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the name of an empty file says what goes wrong inside the workers."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory, faults: Path) -> Iterator[Lab]:
    """The stack; at the end its Git store and its database have to agree."""
    injected = str(Path(__file__).with_name("injected"))
    directory = tmp_path_factory.mktemp("lab")
    with running_lab(directory, PYTHONPATH=injected, FAULTS=str(faults)) as lab:
        yield lab
        succeeded(lab.up.command("verify_store"))
