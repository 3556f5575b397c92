"""Addresses of the pages about configurations."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "backups"
urlpatterns: list[URLPattern] = []
