"""Where a request came from."""

from __future__ import annotations

from typing import Any

from django.conf import settings


def client_address(request: Any) -> str | None:
    """The address of the caller of ``request`` (Django's or the API's); None over a Unix socket.

    Behind ``trusted_proxies`` proxies it is the one that the outermost of them saw. What stands
    further to the left in X-Forwarded-For can be written by anybody and is not looked at.
    """
    direct = request.META.get("REMOTE_ADDR") or None
    proxies = settings.NETRAVEN.trusted_proxies
    seen = [one.strip() for one in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if not proxies or len(seen) < proxies or not seen[-proxies]:
        return direct
    return seen[-proxies]
