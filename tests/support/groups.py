"""pytest plugin: which tests run in the same process when there are several."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

#: Tests with whole stacks of processes; one process has them while the other does the rest.
_WITH_STACKS = ("tests/acceptance/", "tests/browser/", "tests/faults/")
_SECONDS_WITH_STACKS = 600


class GroupScheduling(LoadFileScheduling):
    """Keeps the tests of a module together, and all those that need stacks."""

    def _split_scope(self, nodeid: str) -> str:
        return "stacks" if nodeid.startswith(_WITH_STACKS) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Give the processes of this run their tests."""
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests with stacks first: they take longest, and the one that starts a stack has time
    for it on a busy machine.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(_WITH_STACKS))
    for item in items:
        if item.nodeid.startswith(_WITH_STACKS) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS_WITH_STACKS))
