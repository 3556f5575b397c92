"""Workers, queues, versions and the store, for users who see the whole installation."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from common.pages import Page
from credentials.visibility import is_limited
from jobs.monitoring.attention import needs_a_hand
from jobs.monitoring.facts import system_facts
from jobs.monitoring.overview import installation_facts


class SystemPage(Page):
    """What is under way at this moment; what costs more comes as parts of its own."""

    title = "System"
    template_name = "jobs/system.html"
    permissions = ("jobs.view_workerprocess",)
    parts = {
        "nr-now": "jobs/parts/system_now.html",
        "nr-hand": "jobs/parts/system_hand.html",
        "nr-installation": "jobs/parts/system_installation.html",
    }

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """As for every page; it is about all devices."""
        if request.user.is_authenticated and is_limited(user=request.user):
            raise PermissionDenied("You are limited to some tags, and this is about all devices.")
        return super().dispatch(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        part = self._part()
        if part == self.parts["nr-installation"]:
            return {"installation": installation_facts()}
        if part == self.parts["nr-hand"]:
            return {"troubles": needs_a_hand(facts=system_facts())}
        return super().get_context_data(facts=system_facts(), **kwargs)
