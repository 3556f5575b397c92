"""Every address of the site."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView
from drf_spectacular.views import SpectacularAPIView
from rest_framework.permissions import IsAuthenticated
from rest_framework.routers import DefaultRouter
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from backups.api.suspects import SuspectViewSet
from credentials.api import TagViewSet
from inventory.api import DeviceViewSet, JumpHostViewSet
from jobs.api import (
    DeviceResultViewSet,
    JobRunViewSet,
    JobViewSet,
    PlatformDetectionViewSet,
)
from netraven_site.api_errors import not_found
from netraven_site.health import healthz

router = DefaultRouter()
router.register("devices", DeviceViewSet, basename="device")
router.register("jump-hosts", JumpHostViewSet, basename="jump-host")
router.register("tags", TagViewSet, basename="tag")
router.register("jobs", JobViewSet, basename="job")
router.register("runs", JobRunViewSet, basename="run")
router.register("device-results", DeviceResultViewSet, basename="device-result")
router.register("platform-detections", PlatformDetectionViewSet, basename="platform-detection")
router.register("suspects", SuspectViewSet, basename="suspect")

api_urls: list[URLPattern | URLResolver] = [
    path("", include(router.urls)),
    path("token/", TokenObtainPairView.as_view(), name="token"),
    path("token/refresh/", TokenRefreshView.as_view(), name="token-refresh"),
    path(
        "schema/", SpectacularAPIView.as_view(permission_classes=[IsAuthenticated]), name="schema"
    ),
    # With the slash at the end, so that an address without it is still redirected.
    re_path(r"^.*/$", not_found),
]

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("admin/", admin.site.urls),
    path("api/v1/", include(api_urls)),
    path("healthz", healthz, name="healthz"),
]
