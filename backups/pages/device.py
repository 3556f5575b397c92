"""What the pages about the configuration of one device have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from django.http import HttpRequest, HttpResponse

from backups.engine.errors import DeviceError
from backups.selectors.snapshots import SnapshotNotFound
from common.pages import Page
from inventory.models import Device
from inventory.scoped import visible_device


class Trouble(Exception):
    """What was asked for cannot be shown; the message says why, ``status`` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def troubles() -> Iterator[None]:
    """Raise Trouble for what goes wrong when stored texts are looked up and read."""
    try:
        yield
    except SnapshotNotFound as error:
        raise Trouble(str(error), 404) from error
    except DeviceError as error:
        raise Trouble(error.message, 503) from error


class DevicePage(Page):
    """A page about one device that the user may see; others' devices are not there (404)."""

    permissions = ("backups.view_snapshot",)
    #: Which of the device's pages this is, for the row of links to all of them.
    tab = ""

    @cached_property
    def device(self) -> Device:
        """The device of the address."""
        return visible_device(self.request, self.kwargs["pk"])

    def get_title(self) -> str:
        return f"{self.title} of {self.device.hostname}"

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The page, or the page with the reason why there is nothing to show."""
        status = 200
        try:
            content = self.content()
        except Trouble as trouble:
            content, status = {"trouble": str(trouble)}, trouble.status
        context = self.get_context_data(device=self.device, tab=self.tab, **content)
        return self.render_to_response(context, status=status)

    def content(self) -> dict[str, Any]:
        """What the template shows. Raises Trouble."""
        return {}


def plain(trouble: Trouble) -> HttpResponse:
    """The reason why there is nothing, as text."""
    return HttpResponse(
        f"{trouble}\n", status=trouble.status, content_type="text/plain; charset=utf-8"
    )
