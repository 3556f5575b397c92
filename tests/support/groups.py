"""pytest plugin: which tests run in the same process when there are several."""

from __future__ import annotations

from collections.abc import Generator

import pytest

#: Tests with whole stacks of processes; one process has them while the other does the rest.
_WITH_STACKS = ("tests/acceptance/", "tests/faults/")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Generator[None]:
    """Give each test its group: those of a module stay together, and so do those with stacks.

    The stacks come first: they take longest.
    """
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))
    yield
    items.sort(key=lambda item: not _has_stack(item))


def _group(item: pytest.Item) -> str:
    return "stacks" if _has_stack(item) else item.nodeid.split("::")[0]


def _has_stack(item: pytest.Item) -> bool:
    return item.nodeid.startswith(_WITH_STACKS)
