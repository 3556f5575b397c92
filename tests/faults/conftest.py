"""One stack for all of these tests: with disks that can be full, and faults put inside it."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.conftest import succeeded
from tests.faults.lab import Lab, running_lab
from tests.support import previous_release
from tests.support.small_disk import Disk, small_disk

# There is nothing to upgrade from; tests/conftest.py says so.
collect_ignore = [] if previous_release.is_known() else ["test_upgrade.py"]

#: Of the Git store; and of the database, the broker and the logs of all.
_GIT_SIZE, _DATA_SIZE = 64_000_000, 1_500_000_000


@dataclass(frozen=True, slots=True)
class Disks:
    """Where the stack keeps what it keeps."""

    git: Disk
    data: Disk


@pytest.fixture(scope="package")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the name of an empty file says what goes wrong inside the workers."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="package")
def stack_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lab")


@pytest.fixture(scope="package")
def small_disks(stack_directory: Path) -> Iterator[Disks | None]:
    """The disks, before the stack starts; None where no file system can be mounted."""
    with ExitStack() as resources:
        git = resources.enter_context(small_disk(stack_directory / "git", _GIT_SIZE))
        data = resources.enter_context(small_disk(stack_directory / "data", _DATA_SIZE))
        yield Disks(git, data) if git and data else None


@pytest.fixture
def disks(small_disks: Disks | None) -> Disks:
    """The disks of the stack, for tests that fill them."""
    if small_disks is None:
        pytest.skip("a small file system can be mounted by root only")
    return small_disks


@pytest.fixture(scope="package")
def lab(stack_directory: Path, small_disks: Disks | None, faults: Path) -> Iterator[Lab]:
    """The stack; at the end its Git store and its database have to agree."""
    settings = {
        "PYTHONPATH": str(Path(__file__).with_name("injected")),
        "FAULTS": str(faults),
        "NETRAVEN_GIT_PATH": str(stack_directory / "git" / "configs.git"),
    }
    with running_lab(stack_directory, settings) as lab:
        yield lab
        succeeded(lab.up.command("verify_store"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Have a failure show how the run stood that it is about."""
    report = yield
    lab = getattr(item, "funcargs", {}).get("lab")
    if report.failed and lab is not None:
        with suppress(psycopg.Error):
            report.sections.append(("the run", lab.story()))
    return report
