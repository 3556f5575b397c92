"""Every page of the navigation: no complaint of the browser, none of axe, at a desk and a phone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.support.browser import Visitor, visitor
from tests.support.up import Up

pytestmark = pytest.mark.slow

_PHONE = {"width": 390, "height": 844}
_IS_DARK = "(dark) => document.documentElement.classList.contains('dark') === dark"


def addresses(visitor: Visitor) -> list[str]:
    """The pages that the navigation leads to."""
    visitor.visit("/")
    links = visitor.page.locator("#nav-sidebar a[href]").evaluate_all(
        "(all) => all.map(a => a.href)"
    )
    paths = {urlsplit(link).path for link in links if link.startswith(visitor.site)}
    assert len(paths) > 15, paths
    return sorted(paths)


def own_addresses(visitor: Visitor) -> list[str]:
    """Those of them that are not the theme's own pages."""
    return [path for path in addresses(visitor) if not path.startswith("/admin/")]


def serious_problems(visitor: Visitor) -> Sequence[str]:
    """What axe finds in the part of the page that is ours."""
    found: Any = Axe().run(visitor.page, context="#nr-page").response
    return [
        f"{visitor.page.url}: {problem['id']}: {problem['nodes'][0]['html'][:200]}"
        for problem in found["violations"]
        if problem["impact"] in {"serious", "critical"}
    ]


def test_no_page_makes_the_browser_complain(admin: Visitor) -> None:
    for path in [*addresses(admin), "/admin/credentials/tag/import/"]:
        admin.visit(path)
        admin.page.wait_for_load_state("networkidle")
    assert admin.complaints == []


def choose_dark(visitor: Visitor) -> None:
    """As the switch of the theme does, while the system itself is light."""
    visitor.visit("/")
    visitor.page.evaluate("localStorage.setItem('adminTheme', JSON.stringify('dark'))")


@pytest.mark.parametrize("scheme", ["light", "dark", "chosen"])
def test_everybody_can_use_the_pages(browser: Browser, site: str, up: Up, scheme: str) -> None:
    system: Any = "dark" if scheme == "dark" else "light"
    problems: list[str] = []
    with visitor(browser, site, color_scheme=system) as admin:
        admin.log_in(*up.login())
        if scheme == "chosen":
            choose_dark(admin)
        for path in own_addresses(admin):
            admin.visit(path)
            admin.page.wait_for_function(_IS_DARK, arg=scheme != "light")
            problems += serious_problems(admin)
    assert problems == []


def test_the_pages_fit_a_phone(browser: Browser, site: str, up: Up) -> None:
    with visitor(browser, site, viewport=_PHONE) as admin:
        admin.log_in(*up.login())
        wide = []
        for path in own_addresses(admin):
            admin.visit(path)
            width = admin.page.evaluate("document.documentElement.scrollWidth")
            if width > _PHONE["width"]:
                wide.append((path, width))
    assert wide == []
