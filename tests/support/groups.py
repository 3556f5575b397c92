"""pytest plugin: which tests run in the same process when there are several, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

#: Folders whose tests share one stack of processes, the longest first.
_WITH_STACKS = ("tests/faults/", "tests/acceptance/", "tests/browser/")
_SECONDS_WITH_STACKS = 600


class GroupScheduling(LoadFileScheduling):
    """Keeps the tests of a module together, and those of a folder that share a stack."""

    def _split_scope(self, nodeid: str) -> str:
        return _folder_of(nodeid) or super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Give the processes of this run their tests."""
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what takes longest first, so that no process is left with it at the end: the tests with
    stacks, then the files with slow ones. Whoever starts a stack has time for it on a busy machine.
    """
    slow_files = {_file_of(item) for item in items if item.get_closest_marker("slow")}

    def rank(item: pytest.Item) -> int:
        folder = _folder_of(item.nodeid)
        if folder is not None:
            return _WITH_STACKS.index(folder)
        return len(_WITH_STACKS) + (_file_of(item) not in slow_files)

    items.sort(key=rank)
    for item in items:
        if _folder_of(item.nodeid) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_SECONDS_WITH_STACKS))


def _folder_of(nodeid: str) -> str | None:
    """The folder of a test that shares a stack with the others there."""
    return next((folder for folder in _WITH_STACKS if nodeid.startswith(folder)), None)


def _file_of(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
