"""Addresses of the pages about configurations."""

from __future__ import annotations

from django.urls import URLPattern, path

from backups.pages.configuration import ConfigurationDownload, ConfigurationPage
from backups.pages.history import HistoryPage

app_name = "backups"
urlpatterns: list[URLPattern] = [
    path("devices/<int:pk>/config/", ConfigurationPage.as_view(), name="config"),
    path(
        "devices/<int:pk>/config/download/",
        ConfigurationDownload.as_view(),
        name="config-download",
    ),
    path("devices/<int:pk>/history/", HistoryPage.as_view(), name="history"),
]
