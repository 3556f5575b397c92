"""The system's Chromium, and what it had to complain of."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, expect, sync_playwright

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
#: A busy machine takes longer than the five seconds of Playwright's own.
_PATIENCE_MS = 20_000
_DESK = {"width": 1280, "height": 800}


def chromium() -> str | None:
    """The path of the system's Chromium; None where there is none."""
    return next((path for name in _PROGRAMS if (path := shutil.which(name))), None)


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A browser without a window. Only root needs to leave the sandbox, as in a container."""
    expect.set_options(timeout=_PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visitor:
    """Somebody with a browser window of their own at one site.

    Attributes:
        complaints: what the browser wrote to its console as errors, scripts that failed, and
            requests to other hosts.
    """

    page: Page
    site: str
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(_PATIENCE_MS)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        self.page.on("request", self._request)

    def visit(self, path: str) -> None:
        """Open a page of the site."""
        self.page.goto(self.site + path)

    def log_in(self, username: str, password: str) -> None:
        """Go through the log-in form, from whatever page leads there."""
        self.visit("/admin/login/?next=/")
        self.page.get_by_label("Username").fill(username)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(lambda address: "/login/" not in address)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({self.page.url})")

    def _request(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme in {"http", "https"} and not request.url.startswith(self.site):
            self.complaints.append(f"another host: {address.netloc}")


@contextmanager
def visitor(browser: Browser, site: str, **options: Any) -> Iterator[Visitor]:
    """A new window with no cookies; ``options`` as of Playwright's ``new_context``."""
    context = browser.new_context(**{"viewport": _DESK, **options})
    try:
        yield Visitor(context.new_page(), site)
    finally:
        context.close()
