"""Addresses of the pages about configurations."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from backups.pages.changes import AcknowledgeChanges, ChangePage, ChangesPage
from backups.pages.configuration import ConfigurationDownload, ConfigurationPage
from backups.pages.diff import DiffLines, DiffPage, DiffPatch
from backups.pages.history import HistoryPage
from backups.pages.noise import NoisePage
from backups.pages.search import SearchExport, SearchPage
from backups.pages.secrets import (
    DeviceSecretsPage,
    OldSecretsPage,
    SecretPage,
    SharedSecretsPage,
)
from backups.pages.suspects import AcceptSuspect, DismissSuspect, SuspectPage, SuspectsPage

app_name = "backups"
urlpatterns: list[URLPattern] = [
    path("changes/", ChangesPage.as_view(), name="changes"),
    path("changes/acknowledge/", AcknowledgeChanges.as_view(), name="changes-acknowledge"),
    path("changes/<int:pk>/", ChangePage.as_view(), name="change"),
    path("devices/<int:pk>/config/", ConfigurationPage.as_view(), name="config"),
    path(
        "devices/<int:pk>/config/download/",
        ConfigurationDownload.as_view(),
        name="config-download",
    ),
    path("devices/<int:pk>/diff/", DiffPage.as_view(), name="diff"),
    path("devices/<int:pk>/diff/lines/", DiffLines.as_view(), name="diff-lines"),
    path("devices/<int:pk>/diff/patch/", DiffPatch.as_view(), name="diff-patch"),
    path("devices/<int:pk>/history/", HistoryPage.as_view(), name="history"),
    path("devices/<int:pk>/noise/", NoisePage.as_view(), name="noise"),
    path("devices/<int:pk>/secrets/", DeviceSecretsPage.as_view(), name="device-secrets"),
    path("search/", SearchPage.as_view(), name="search"),
    path("search/export/", SearchExport.as_view(), name="search-export"),
    path("secrets/", SharedSecretsPage.as_view(), name="secrets"),
    path("secrets/old/", OldSecretsPage.as_view(), name="secrets-old"),
    re_path(r"^secrets/(?P<token>[0-9a-f]{8})/$", SecretPage.as_view(), name="secret"),
    path("suspects/", SuspectsPage.as_view(), name="suspects"),
    path("suspects/<int:pk>/", SuspectPage.as_view(), name="suspect"),
    path("suspects/<int:pk>/accept/", AcceptSuspect.as_view(), name="suspect-accept"),
    path("suspects/<int:pk>/dismiss/", DismissSuspect.as_view(), name="suspect-dismiss"),
]
