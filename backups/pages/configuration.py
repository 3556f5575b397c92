"""The configuration of a device, line by line and as a file."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from backups.api.downloads import download
from backups.engine.colouring import coloured_lines
from backups.engine.diff.lines import lines_of
from backups.pages.device import DevicePage, Trouble, plain, troubles
from backups.pages.lines import numbered_html
from backups.selectors.archives import archive_newest
from backups.selectors.snapshots import (
    snapshot_after,
    snapshot_before,
    snapshot_get,
    snapshot_text,
)
from common.pages import Page
from common.texts import parsed_id
from inventory.platforms import UnknownPlatform, get_platform
from inventory.scoped import visible_device

#: Lines on one page; longer configurations have several.
LINES_SHOWN = 3_000


class ConfigurationPage(DevicePage):
    """One revision line by line, the newest by default."""

    title = "Configuration"
    template_name = "backups/configuration.html"
    tab = "config"

    def content(self) -> dict[str, Any]:
        """The lines around ``?line=``, and what there is before and after."""
        with troubles():
            snapshot = snapshot_get(
                device=self.device, revision=self.request.GET.get("revision") or None
            )
            text = snapshot_text(snapshot=snapshot)
        may_read_raw = self.request.user.has_perms(
            ("backups.read_raw_archive", "backups.view_archive")
        )
        return {
            "snapshot": snapshot,
            "revision": snapshot.revision,
            "before": snapshot_before(snapshot=snapshot),
            "after": snapshot_after(snapshot=snapshot),
            "archive": archive_newest(snapshot=snapshot) if may_read_raw else None,
            "may_read_raw": may_read_raw,
            **numbered_part(text, self.device.platform, self.request.GET.get("line", "")),
        }


def numbered_part(text: str, platform: str, line: str) -> dict[str, Any]:
    """The page of ``text`` on which ``line``, a number, stands, with the pages beside it.

    For the template ``backups/lines.html``.
    """
    lines = lines_of(text)
    first = _first_line(line, len(lines))
    parts = coloured_lines(
        lines,
        start=first - 1,
        end=first - 1 + LINES_SHOWN,
        comment_sign=_comment_sign(platform),
    )
    return {
        "lines": numbered_html(parts, first=first),
        "line_count": len(lines),
        "first": first,
        "last": min(first + LINES_SHOWN - 1, len(lines)),
        "earlier": first - LINES_SHOWN if first > 1 else None,
        "later": first + LINES_SHOWN if first + LINES_SHOWN <= len(lines) else None,
    }


def _first_line(asked: str, count: int) -> int:
    """The first line of the page on which the line that was asked for stands."""
    line = min(parsed_id(asked) or 1, max(count, 1))
    return (line - 1) // LINES_SHOWN * LINES_SHOWN + 1


def _comment_sign(platform: str) -> str | None:
    try:
        return get_platform(platform).comment_prefix
    except UnknownPlatform:
        return None


class ConfigurationDownload(Page):
    """One revision as a plain file."""

    permissions = ("backups.view_snapshot",)

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The redacted text of ``?revision=``, or 404."""
        device = visible_device(request, kwargs["pk"])
        try:
            with troubles():
                snapshot = snapshot_get(device=device, revision=request.GET.get("revision") or None)
                text = snapshot_text(snapshot=snapshot)
        except Trouble as trouble:
            return plain(trouble)
        name = snapshot.path.partition("/")[2] or f"{snapshot.pk}.cfg"
        return download(text.encode(), file_name=name, media_type="text/plain; charset=utf-8")
