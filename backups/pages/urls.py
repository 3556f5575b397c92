"""Addresses of the pages about configurations."""

from __future__ import annotations

from django.urls import URLPattern, path

from backups.pages.configuration import ConfigurationDownload, ConfigurationPage
from backups.pages.diff import DiffLines, DiffPage, DiffPatch
from backups.pages.history import HistoryPage

app_name = "backups"
urlpatterns: list[URLPattern] = [
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
]
