"""The look of the admin and of the operator's pages, and the list of pages at their side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

Entry = dict[str, Any]


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _is_home(request: HttpRequest) -> bool:
    return request.path == "/"


def _entry(title: str, icon: str, address: str, permission: str | None = None) -> Entry:
    """``icon`` is a name of Material Symbols; without ``permission`` everybody has the entry."""
    entry: Entry = {"title": title, "icon": icon, "link": reverse_lazy(address)}
    if permission is not None:
        entry["permission"] = _may(permission)
    return entry


def _table(title: str, icon: str, model: str) -> Entry:
    """The admin's page of ``app.model``, for those who may look at it."""
    app, name = model.split(".")
    return _entry(title, icon, f"admin:{app}_{name}_changelist", f"{app}.view_{name}")


NAVIGATION: list[Entry] = [
    {
        "title": "Network",
        "items": [
            # Every address begins with that of the dashboard.
            {**_entry("Dashboard", "dashboard", "home"), "active": _is_home},
            _entry("Devices", "router", "jobs:devices", "inventory.view_device"),
            _entry("Changes", "difference", "backups:changes", "backups.view_snapshot"),
            _entry("Search", "manage_search", "backups:search", "backups.view_snapshot"),
            _entry("Jobs", "event_repeat", "jobs:jobs", "jobs.view_job"),
            _entry("Runs", "play_circle", "jobs:runs", "jobs.view_jobrun"),
            _entry("Freshness", "schedule", "jobs:freshness", "backups.view_devicefreshness"),
            _entry("Suspects", "report", "backups:suspects", "backups.view_suspect"),
            _entry("Secrets", "key_vertical", "backups:secrets", "backups.view_secretuse"),
            _entry("Credentials", "key", "jobs:credentials", "credentials.view_credential"),
            _entry("Logs", "article", "jobs:logs", "jobs.view_joblog"),
            _entry("System", "monitor_heart", "jobs:system", "jobs.view_workerprocess"),
        ],
    },
    {
        "title": "Inventory",
        "separator": True,
        "collapsible": True,
        "items": [
            _table("Edit devices", "router", "inventory.device"),
            _table("Zones", "hub", "inventory.zone"),
            _table("Jump hosts", "alt_route", "inventory.jumphost"),
            _table("Tags", "sell", "credentials.tag"),
            _table("Edit credentials", "key", "credentials.credential"),
            _table("Platform detections", "troubleshoot", "jobs.platformdetection"),
        ],
    },
    {
        "title": "Backups",
        "separator": True,
        "collapsible": True,
        "items": [
            _table("Edit jobs", "event_repeat", "jobs.job"),
            _table("Job runs", "play_circle", "jobs.jobrun"),
            _table("Device results", "checklist", "jobs.deviceresult"),
            _table("Change notes", "task_alt", "backups.changeacknowledgement"),
            _table("Snapshots", "history", "backups.snapshot"),
            _table("Freshness of devices", "schedule", "backups.devicefreshness"),
            _table("Stored suspects", "report", "backups.suspect"),
            _table("Retention policies", "auto_delete", "backups.retentionpolicy"),
            _table("Git remotes", "cloud_upload", "backups.gitremote"),
        ],
    },
    {
        "title": "Notifications",
        "separator": True,
        "collapsible": True,
        "items": [
            _table("Rules", "notifications", "jobs.notificationrule"),
            _table("Targets", "send", "jobs.notificationtarget"),
            _table("Messages", "mail", "jobs.notificationmessage"),
            _table("Events", "event_note", "jobs.notificationevent"),
        ],
    },
    {
        "title": "Records",
        "separator": True,
        "collapsible": True,
        "items": [
            _table("Job logs", "article", "jobs.joblog"),
            _table("Connection logs", "terminal", "jobs.connectionlog"),
            _table("Waiting changes", "pending_actions", "jobs.changenotice"),
            _table("Host key changes", "fingerprint", "inventory.hostkeychange"),
            _table("Audit log", "policy", "auditlog.logentry"),
            _table("History deletions", "delete_history", "backups.historydeletion"),
        ],
    },
]

#: The theme's first colour, from light to dark.
_BLUE = {
    "50": "#f0f6fb",
    "100": "#dcebf6",
    "200": "#bcd9ed",
    "300": "#8ec0e0",
    "400": "#599fcd",
    "500": "#3783b6",
    "600": "#276a99",
    "700": "#20557d",
    "800": "#1e4868",
    "900": "#1d3d57",
    "950": "#13283a",
}

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "NetRaven",
    "SITE_HEADER": "NetRaven",
    "SITE_SUBHEADER": "Network configuration backup",
    "SITE_URL": "/",
    "SITE_SYMBOL": "lan",
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "COLORS": {"primary": _BLUE},
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("netraven/raven.svg"),
        }
    ],
    "STYLES": [lambda request: static("netraven/admin.css")],
    "SIDEBAR": {"show_search": True, "navigation": NAVIGATION},
}
