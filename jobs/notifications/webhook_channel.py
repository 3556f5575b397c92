"""Signed JSON to an address of one's own, as https://www.standardwebhooks.com describes it.

The signature is HMAC-SHA256 over ``id.timestamp.body``, in base64. The address is checked when
connecting, that very address is connected to, and redirections are not followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder

from jobs.notifications.channel import Content, Outcome
from jobs.notifications.http_call import http_call

MIN_SECRET_LENGTH = 24
#: A secret that begins so is base64 behind it, as the standard writes it.
_STANDARD_PREFIX = "whsec_"


def webhook_address(url: str) -> str:
    """Scheme and host of ``url``. Raises ValueError, without the URL, for one that is no use."""
    parts = _split(url)
    return f"{parts.scheme}://{parts.hostname}"


def signature(*, secret: str, delivery_id: str, timestamp: int, body: bytes) -> str:
    """What the header ``webhook-signature`` holds."""
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def webhook_send(*, url: str, secret: str, content: Content) -> Outcome:
    """Post ``content``; any answer of the 200s says that it was taken."""
    body = json.dumps(content.payload, cls=DjangoJSONEncoder).encode()
    timestamp = int(time.time())
    headers = {
        "Content-Type": "application/json",
        "webhook-id": content.delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(
            secret=secret, delivery_id=content.delivery_id, timestamp=timestamp, body=body
        ),
    }
    return http_call(
        url=url,
        method="POST",
        body=body,
        headers=headers,
        allowed=settings.NETRAVEN.notification_networks,
    )


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("Its host or port cannot be read.") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("The address of a webhook begins with https:// or http://.")
    if parts.username is not None or parts.fragment:
        raise ValueError("The address of a webhook has neither a user name nor a '#'.")
    return parts


def _key(secret: str) -> bytes:
    if secret.startswith(_STANDARD_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True)
        except binascii.Error:
            pass  # then it is a text that happens to begin so
    return secret.encode()
