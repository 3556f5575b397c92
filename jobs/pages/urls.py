"""Addresses of the pages about devices, jobs and their runs."""

from __future__ import annotations

from django.urls import URLPattern, path

from jobs.pages import device, devices, jobs, run
from jobs.pages.credentials import CredentialsPage
from jobs.pages.freshness import FreshnessPage
from jobs.pages.import_devices import ImportDevicesPage
from jobs.pages.logs import LogsPage
from jobs.pages.runs import RunsPage
from jobs.pages.system import SystemPage

app_name = "jobs"
urlpatterns: list[URLPattern] = [
    path("devices/", devices.DevicesPage.as_view(), name="devices"),
    path("devices/back-up/", devices.BackUpDevices.as_view(), name="devices-back-up"),
    path("devices/tag/", devices.TagDevices.as_view(), name="devices-tag"),
    path("devices/import/", ImportDevicesPage.as_view(), name="devices-import"),
    path("devices/test/", devices.TestDevices.as_view(), name="devices-test"),
    path("devices/<int:pk>/", device.DevicePage.as_view(), name="device"),
    path(
        "devices/<int:pk>/credentials/",
        device.DeviceCredentialsPage.as_view(),
        name="device-credentials",
    ),
    path("devices/<int:pk>/back-up/", device.BackUpDevice.as_view(), name="device-back-up"),
    path("devices/<int:pk>/test/", device.TestDevice.as_view(), name="device-test"),
    path(
        "devices/<int:pk>/reset-breaker/",
        device.ResetBreaker.as_view(),
        name="device-reset-breaker",
    ),
    path(
        "devices/<int:pk>/accept-host-key/",
        device.AcceptHostKey.as_view(),
        name="device-accept-host-key",
    ),
    path("jobs/", jobs.JobsPage.as_view(), name="jobs"),
    path("jobs/add/", jobs.AddJobPage.as_view(), name="job-add"),
    path("jobs/preview/", jobs.JobPreview.as_view(), name="job-preview"),
    path("jobs/<int:pk>/", jobs.JobPage.as_view(), name="job"),
    path("jobs/<int:pk>/run/", jobs.RunJob.as_view(), name="job-run"),
    path("jobs/<int:pk>/delete/", jobs.DeleteJob.as_view(), name="job-delete"),
    path("runs/", RunsPage.as_view(), name="runs"),
    path("runs/<int:pk>/", run.RunPage.as_view(), name="run"),
    path("runs/<int:pk>/failures/", run.RunFailuresPage.as_view(), name="run-failures"),
    path(
        "runs/<int:pk>/devices/<int:result_pk>/",
        run.RunDevicePage.as_view(),
        name="run-device",
    ),
    path("credentials/", CredentialsPage.as_view(), name="credentials"),
    path("freshness/", FreshnessPage.as_view(), name="freshness"),
    path("logs/", LogsPage.as_view(), name="logs"),
    path("system/", SystemPage.as_view(), name="system"),
    path("runs/<int:pk>/cancel/", run.CancelRun.as_view(), name="run-cancel"),
    path("runs/<int:pk>/retry/", run.RetryRun.as_view(), name="run-retry"),
]
