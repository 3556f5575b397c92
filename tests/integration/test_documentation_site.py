"""The documents as a site: built without a warning, and without anything of other hosts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.core.management import get_commands

from netraven_site.config import PROJECT_DIR

pytestmark = pytest.mark.slow
_OURS = {"netraven_site", "jobs", "backups", "inventory", "credentials", "common"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site, as its maintainers build it."""
    folder = tmp_path_factory.mktemp("site")
    settings = ("NETRAVEN_", "DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(settings)}
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=PROJECT_DIR,
        env={**kept, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    omitted = [line.strip() for line in done.stderr.splitlines() if line.startswith("  - ")]
    assert [line for line in omitted if not line.startswith("- adr/")] == [], (
        "name these pages in docs/README.md"
    )
    return folder


class Loaded(HTMLParser):
    """What a browser loads by itself for a page."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_loaded = given.get("rel") not in ("canonical", "next", "prev", "edit")
        name = {"link": "href", "script": "src", "img": "src", "iframe": "src"}.get(tag, "")
        if is_loaded and (url := given.get(name)):
            self.urls.append(url)


def test_a_page_loads_nothing_of_other_hosts(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        parser = Loaded()
        parser.feed(page.read_text(encoding="utf-8"))
        assert parser.urls
        assert [url for url in parser.urls if "//" in url] == [], page
        assert 'class="mermaid"' not in page.read_text(encoding="utf-8")  # would load a script
    for style in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//", style.read_text(encoding="utf-8")), style


def test_drawings_are_pictures_that_load_nothing(site: Path) -> None:
    page = (site / "architecture.html").read_text(encoding="utf-8")
    drawings = re.findall(r'<img alt="A (?:job run|device result)" src="(\S+?\.svg)"', page)
    assert len(drawings) == 2 and "stateDiagram" not in page
    for name in drawings:
        drawing = (site / name).read_text(encoding="utf-8")
        assert "PENDING" in drawing and "CANCELLED" in drawing
        hosts = set(re.findall(r"https?://([^/\"]+)", drawing))
        assert hosts <= {"www.w3.org"} and "<script" not in drawing


def test_the_reference_has_every_command_and_address(site: Path) -> None:
    commands = (site / "reference" / "commands.html").read_text(encoding="utf-8")
    for name, app in get_commands().items():
        if app in _OURS:
            assert f'id="{name}"' in commands, name
    assert "--passphrase-file FILE" in commands
    addresses = (site / "reference" / "api.html").read_text(encoding="utf-8")
    for address in ("triggers/", "devices/{id}/diff/", "token/"):
        assert f"<code>{address}</code>" in addresses
