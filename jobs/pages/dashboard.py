"""The first page: whether the network is backed up, what changed, and what needs a hand."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from backups.selectors.freshness import Freshness, FreshnessCounts, freshness_counts
from common.pages import Page
from credentials.visibility import is_limited
from inventory.visibility import devices_visible_to, scope_of
from jobs.monitoring.facts import system_facts
from jobs.selectors.dashboard import (
    changes_by_day,
    device_troubles,
    failures_of_last_night,
    open_suspects,
    runs_of_last_night,
)

#: What each state is called and how it is coloured, the best first.
_STATES = (
    (Freshness.FRESH, "within their objective", "good"),
    (Freshness.NO_OBJECTIVE, "without an objective", "active"),
    (Freshness.STALE, "stale", "caution"),
    (Freshness.NEVER, "never backed up", "bad"),
)


class DashboardPage(Page):
    """Everything at a glance; each user has the cards that their role includes."""

    title = "Dashboard"
    template_name = "jobs/dashboard.html"
    parts = {"nr-work": "jobs/parts/dashboard_work.html"}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        sees_work = user.has_perm("jobs.view_workerprocess") and not is_limited(user=user)
        if self._part() is not None:
            return {"facts": system_facts() if sees_work else None}
        cards = self._cards()
        return super().get_context_data(
            sees_work=sees_work, has_cards=bool(cards) or sees_work, **cards, **kwargs
        )

    def _cards(self) -> dict[str, Any]:
        """What stands in the cards; without those that the user has no right to."""
        user = self.request.user
        cards: dict[str, Any] = {}
        if user.has_perm("inventory.view_device"):
            cards["troubles"] = device_troubles(devices=devices_visible_to(user=user))
        if user.has_perm("backups.view_devicefreshness"):
            cards["freshness"] = _freshness(scope=scope_of(user=user))
        if user.has_perm("jobs.view_jobrun"):
            cards["runs"] = runs_of_last_night(user=user)
        if user.has_perm("jobs.view_deviceresult"):
            failures = failures_of_last_night(user=user)
            cards["failures"] = failures
            cards["failures_chart"] = {
                "labels": [cause.words for cause in failures],
                "values": [cause.count for cause in failures],
                "name": "Failures",
                "tone": "bad",
            }
        if user.has_perm("backups.view_snapshot"):
            days = changes_by_day(user=user)
            cards["days"] = days
            cards["changes_chart"] = {
                "labels": [f"{day.day:%a %d %b}" for day in days],
                "values": [day.changes for day in days],
                "name": "Changes",
                "tone": "active",
            }
        if user.has_perm("backups.view_suspect"):
            cards["suspects"] = open_suspects(user=user)
        return cards


def freshness_shares(counts: FreshnessCounts) -> list[dict[str, Any]]:
    """Each state with its ``count``, ``words``, ``tone`` and ``percent`` of all devices."""
    return [
        {
            "state": state.value,
            "words": words,
            "tone": tone,
            "count": counts.of(state),
            "percent": round(100 * counts.of(state) / counts.total, 1) if counts.total else 0,
        }
        for state, words, tone in _STATES
    ]


def _freshness(*, scope: QuerySet[Any] | None) -> dict[str, Any]:
    counts = freshness_counts(scope=scope)
    with_objective = counts.total - counts.of(Freshness.NO_OBJECTIVE)
    fresh = counts.of(Freshness.FRESH)
    return {
        "shares": freshness_shares(counts),
        "total": counts.total,
        "fresh": fresh,
        "with_objective": with_objective,
        "overdue": counts.overdue,
        # Rounded down: 100 is said of all devices only.
        "percent": 100 * fresh // with_objective if with_objective else None,
    }
