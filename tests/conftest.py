"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.support import previous_release

if TYPE_CHECKING:
    from pytest_django import DjangoDbBlocker

pytest_plugins = [
    "tests.support.stack_plugin",
    "tests.support.groups",
    "tests.support.recovery_table",
]

#: Reference data for development, beside the checkout where it exists; not part of the project.
REFERENCE_DATA = Path(__file__).resolve().parents[2] / "shared"

# The check of a revision draws the same examples each time it is made; others draw new ones. That
# the machine is slow is no fault in either.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("any", _PATIENT)
settings.register_profile("check", _PATIENT, derandomize=True)
settings.load_profile("check" if os.environ.get("NETRAVEN_FORBID_SKIPS") else "any")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The database of the tests, which is emptied quickly."""
    from tests.support.emptying import quick_emptying

    with ExitStack() as resources:
        with django_db_blocker.unblock():
            resources.enter_context(quick_emptying())
        yield


def pytest_report_header() -> list[str]:
    """Say so when tests will be left out."""
    header = []
    if not REFERENCE_DATA.is_dir():
        header.append("reference data: missing, so the tests marked 'corpus' are left out")
    if not previous_release.is_known():
        header.append(
            f"history: does not reach back to version {previous_release.VERSION}, so the upgrade"
            " from it is left out; 'git fetch --unshallow' brings it"
        )
    return header


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that measure against reference data where it does not exist."""
    if REFERENCE_DATA.is_dir():
        return
    left_out = [item for item in items if item.get_closest_marker("corpus")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where NETRAVEN_FORBID_SKIPS is set, a skipped test is a failed one."""
    report = yield
    if (
        report.skipped
        and os.environ.get("NETRAVEN_FORBID_SKIPS")
        and not hasattr(report, "wasxfail")
    ):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is forbidden here: {report.longrepr}"
    return report
