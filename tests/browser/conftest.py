"""One stack and one browser for all these tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.browser import Visitor, chromium, running_browser, visitor
from tests.support.up import Up

SETTINGS = {
    "NETRAVEN_ALLOWED_NETWORKS": "127.0.0.0/8",
    "NETRAVEN_RETRY_BACKOFF_SECONDS": "0.1",
    "NETRAVEN_RETRY_BACKOFF_MAX_SECONDS": "0.5",
    "NETRAVEN_WORKER_CONCURRENCY": "8",
}


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The whole stack, running."""
    up = Up.prepared(tmp_path_factory.mktemp("browser") / "data", **SETTINGS)
    try:
        yield up.start()
    finally:
        up.kill_all()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Per module: its event loop must not outlast these tests, Django's would trip over it."""
    if chromium() is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="package")
def site(up: Up) -> str:
    """Where the pages are, without the slash at the end."""
    return f"http://127.0.0.1:{up.web_port}"


@pytest.fixture
def admin(browser: Browser, site: str, up: Up) -> Iterator[Visitor]:
    """The first user, logged in."""
    with visitor(browser, site) as admin:
        admin.log_in(*up.login())
        yield admin
