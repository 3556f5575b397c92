"""Logging in: how often anybody may try, and what who was locked out is told.

django-axes counts wrong passwords per user name and address, in the database, whatever door they
come in by; the throttle limits all attempts of one address, per web process.
"""

from __future__ import annotations

from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import salted_hmac
from drf_spectacular.utils import OpenApiExample, extend_schema_serializer
from rest_framework import exceptions, status
from rest_framework.throttling import SimpleRateThrottle
from rest_framework_simplejwt.serializers import TokenObtainPairSerializer
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from common.callers import client_address


class LockedOut(exceptions.APIException):
    """Too many wrong passwords for this user name from this address."""

    status_code = status.HTTP_429_TOO_MANY_REQUESTS
    default_detail = "There were too many wrong passwords; try again later, or ask an admin."
    default_code = "locked_out"


class LoginThrottle(SimpleRateThrottle):
    """Attempts to log in, right or wrong, from one address."""

    scope = "login"

    def get_rate(self) -> str:
        return f"{settings.NETRAVEN.login_attempts_per_minute}/min"

    def get_cache_key(self, request: Any, view: Any) -> str:
        return self.cache_format % {"scope": self.scope, "ident": client_address(request)}


@extend_schema_serializer(
    examples=[
        OpenApiExample(
            "A user",
            request_only=True,
            value={"username": "admin", "password": "correct-horse-battery"},
        )
    ]
)
class LoginSerializer(TokenObtainPairSerializer):
    """User name and password; says so when the two are not looked at any more."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, str]:
        """Two tokens. Raises LockedOut, or AuthenticationFailed for a wrong password."""
        request = self.context["request"]._request
        names = {"username": attrs[self.username_field]}
        if not AxesProxyHandler.is_allowed(request, names):
            raise LockedOut
        try:
            tokens = super().validate(attrs)
        except exceptions.AuthenticationFailed:
            if not AxesProxyHandler.is_allowed(request, names):
                raise LockedOut from None
            raise
        user_logged_in.send(sender=type(self.user), request=request, user=self.user)
        return tokens


class TokenView(TokenObtainPairView):
    """Two tokens for user name and password: ``access`` for minutes, ``refresh`` for a day."""

    serializer_class = LoginSerializer
    throttle_classes = [LoginThrottle]


class RefreshView(TokenRefreshView):
    """A fresh ``access`` token for a ``refresh`` token."""

    throttle_classes = [LoginThrottle]


def attempted_name(request: HttpRequest, credentials: dict[str, Any] | None) -> str | None:
    """By what django-axes counts an attempt: the user name, or for a stranger a keyed digest of it.

    A name that nobody has may be a password in the wrong field, and attempts are kept.
    """
    given = credentials if credentials else request.POST
    name = given.get("username")
    if not isinstance(name, str):
        return None
    if "\x00" not in name and User.objects.filter(username=name).exists():
        return name
    return f"unknown {salted_hmac('netraven.attempted-name', name).hexdigest()[:16]}"


def login_page(request: HttpRequest) -> HttpResponse:
    """The admin's log-in, for as many attempts as one address may make."""
    if request.method == "POST" and not LoginThrottle().allow_request(request, None):  # type: ignore[arg-type]  # asks for its address only
        return locked_page(request)
    return admin.site.login(request)


def locked_page(request: HttpRequest, *_: Any, **__: Any) -> HttpResponse:
    """What somebody sees who has tried too often."""
    return render(request, "429.html", status=status.HTTP_429_TOO_MANY_REQUESTS)
