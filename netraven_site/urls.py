"""Every address of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from rest_framework.routers import DefaultRouter

from backups.api.archives import (
    ArchiveRawView,
    ArchiveViewSet,
    DeviceArtefactsView,
    SnapshotRawView,
    SnapshotRestorePackView,
)
from backups.api.changes import ChangeAcknowledgeView, ChangeDevicesView, ChangeListView
from backups.api.freshness import DeviceFreshnessView, FreshnessView
from backups.api.noise import DeviceNoiseView
from backups.api.remotes import GitRemoteViewSet
from backups.api.retention import RetentionPolicyViewSet
from backups.api.search import SearchView
from backups.api.secrets import DeviceSecretsView, SecretViewSet
from backups.api.snapshots import (
    DeviceConfigView,
    DeviceDiffView,
    DeviceHistoryView,
    SnapshotViewSet,
)
from backups.api.suspects import SuspectViewSet
from credentials.api.credentials import CredentialViewSet
from credentials.api.tags import TagViewSet
from inventory.api.devices import DeviceViewSet
from inventory.api.jump_hosts import JumpHostViewSet
from inventory.api.platforms import PlatformViewSet
from inventory.api.transfer import DeviceExportView, DeviceImportView
from inventory.api.zones import ZoneViewSet
from jobs.api.connection_tests import DeviceConnectionTestView
from jobs.api.detections import PlatformDetectionViewSet
from jobs.api.jobs import JobViewSet
from jobs.api.logs import LogView
from jobs.api.metrics import metrics
from jobs.api.notifications import (
    NotificationMessageViewSet,
    NotificationRuleViewSet,
    NotificationTargetViewSet,
)
from jobs.api.results import DeviceResultViewSet
from jobs.api.run_reports import RunFailuresRetryView, RunFailuresView, RunReportView
from jobs.api.runs import JobRunViewSet
from jobs.api.system import QueuesView, SystemView, WorkersView
from jobs.api.triggers import TriggerView
from jobs.pages.dashboard import DashboardPage
from netraven_site.accounts.login import RefreshView, TokenView, login_page
from netraven_site.accounts.tokens import ApiTokenViewSet
from netraven_site.accounts.users import MeView, UserViewSet
from netraven_site.api_docs import RedocPage, SchemaView, SwaggerPage
from netraven_site.api_errors import not_found
from netraven_site.audit_api import AuditViewSet
from netraven_site.health import healthz, readyz

admin.autodiscover()

router = DefaultRouter()
router.register("devices", DeviceViewSet, basename="device")
router.register("jump-hosts", JumpHostViewSet, basename="jump-host")
router.register("tags", TagViewSet, basename="tag")
router.register("zones", ZoneViewSet, basename="zone")
router.register("platforms", PlatformViewSet, basename="platform")
router.register("credentials", CredentialViewSet, basename="credential")
router.register("jobs", JobViewSet, basename="job")
router.register("runs", JobRunViewSet, basename="run")
router.register("device-results", DeviceResultViewSet, basename="device-result")
router.register("platform-detections", PlatformDetectionViewSet, basename="platform-detection")
router.register("snapshots", SnapshotViewSet, basename="snapshot")
router.register("archives", ArchiveViewSet, basename="archive")
router.register("suspects", SuspectViewSet, basename="suspect")
router.register("notification-targets", NotificationTargetViewSet, basename="notification-target")
router.register("notification-rules", NotificationRuleViewSet, basename="notification-rule")
router.register("notifications", NotificationMessageViewSet, basename="notification")
router.register("git-remotes", GitRemoteViewSet, basename="git-remote")
router.register("retention-policies", RetentionPolicyViewSet, basename="retention-policy")
router.register("tokens", ApiTokenViewSet, basename="api-token")
router.register("audit", AuditViewSet, basename="audit")
router.register("users", UserViewSet, basename="user")
router.register("secrets", SecretViewSet, basename="secret")

api_urls: list[URLPattern | URLResolver] = [
    path("changes/", ChangeListView.as_view(), name="change-list"),
    path("changes/acknowledge/", ChangeAcknowledgeView.as_view(), name="change-acknowledge"),
    path("changes/devices/", ChangeDevicesView.as_view(), name="change-devices"),
    path("devices/export/", DeviceExportView.as_view(), name="device-export"),
    path("devices/import/", DeviceImportView.as_view(), name="device-import"),
    path("devices/<int:pk>/config/", DeviceConfigView.as_view(), name="device-config"),
    path("devices/<int:pk>/diff/", DeviceDiffView.as_view(), name="device-diff"),
    path("devices/<int:pk>/history/", DeviceHistoryView.as_view(), name="device-history"),
    path(
        "devices/<int:pk>/test-connection/",
        DeviceConnectionTestView.as_view(),
        name="device-test-connection",
    ),
    path("devices/<int:pk>/noise/", DeviceNoiseView.as_view(), name="device-noise"),
    path("freshness/", FreshnessView.as_view(), name="freshness"),
    path("freshness/devices/", DeviceFreshnessView.as_view(), name="freshness-devices"),
    path("archives/<int:pk>/raw/", ArchiveRawView.as_view(), name="archive-raw"),
    path("snapshots/<int:pk>/raw/", SnapshotRawView.as_view(), name="snapshot-raw"),
    path(
        "snapshots/<int:pk>/restore-pack/",
        SnapshotRestorePackView.as_view(),
        name="snapshot-restore-pack",
    ),
    path("devices/<int:pk>/artefacts/", DeviceArtefactsView.as_view(), name="device-artefacts"),
    path("runs/<int:pk>/failures/", RunFailuresView.as_view(), name="run-failures"),
    path(
        "runs/<int:pk>/failures/retry/", RunFailuresRetryView.as_view(), name="run-failures-retry"
    ),
    path("runs/<int:pk>/report/", RunReportView.as_view(), name="run-report"),
    path("system/", SystemView.as_view(), name="system"),
    path("system/queues/", QueuesView.as_view(), name="system-queues"),
    path("system/workers/", WorkersView.as_view(), name="system-workers"),
    path("logs/", LogView.as_view(), name="log-list"),
    path("triggers/", TriggerView.as_view(), name="triggers"),
    path("users/me/", MeView.as_view(), name="me"),
    path("", include(router.urls)),
    path("search/", SearchView.as_view(), name="search"),
    path("devices/<int:device_id>/secrets/", DeviceSecretsView.as_view(), name="device-secrets"),
    path("token/", TokenView.as_view(), name="token"),
    path("token/refresh/", RefreshView.as_view(), name="token-refresh"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("docs/", SwaggerPage.as_view(), name="docs"),
    path("docs/redoc/", RedocPage.as_view(), name="redoc"),
    # With the slash at the end, so that an address without it is still redirected.
    re_path(r"^.*/$", not_found),
]

urlpatterns = [
    path("", DashboardPage.as_view(), name="home"),
    path("admin/login/", login_page),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api_urls)),
    path("", include("jobs.pages.urls")),
    path("", include("backups.pages.urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
]
