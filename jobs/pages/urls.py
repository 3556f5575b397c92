"""Addresses of the pages about devices, jobs and their runs."""

from __future__ import annotations

from django.urls import URLPattern, path

from jobs.pages.runs import RunsPage

app_name = "jobs"
urlpatterns: list[URLPattern] = [
    path("runs/", RunsPage.as_view(), name="runs"),
]
