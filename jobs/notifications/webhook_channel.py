"""Signed JSON to an address of one's own, as https://www.standardwebhooks.com describes it.

The signature is HMAC-SHA256 over ``id.timestamp.body``, in base64. The address is checked when
connecting, that very address is connected to, and redirections are not followed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import ssl
import time
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder

from backups.engine import reach
from backups.engine.errors import DeviceError
from jobs.notifications.channel import TIMEOUT_SECONDS, Content, Outcome, address_problem

MIN_SECRET_LENGTH = 24
#: A secret that begins so is base64 behind it, as the standard writes it.
_STANDARD_PREFIX = "whsec_"
_PORTS = {"http": 80, "https": 443}


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
        "User-Agent": "NetRaven",
        "webhook-id": content.delivery_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(
            secret=secret, delivery_id=content.delivery_id, timestamp=timestamp, body=body
        ),
    }
    parts = _split(url)
    host = parts.hostname or ""
    try:
        return _post(parts, host, body, headers)
    except DeviceError as error:
        return Outcome(error=address_problem(error, host))
    except ssl.SSLCertVerificationError as error:
        return Outcome(error=f"the certificate of {host} is not believed: {error.verify_message}")
    except TimeoutError:
        return Outcome(error=f"{host} did not answer within {TIMEOUT_SECONDS:g} s")
    except (OSError, http.client.HTTPException) as error:
        # Their messages may quote what was sent.
        return Outcome(error=f"{host} did not answer in HTTP ({type(error).__name__})")


def _post(parts: SplitResult, host: str, body: bytes, headers: dict[str, str]) -> Outcome:
    port = parts.port or _PORTS[parts.scheme]
    sock = reach.connect(
        host,
        port,
        timeout=TIMEOUT_SECONDS,
        allowed=settings.NETRAVEN.notification_networks,
        within=TIMEOUT_SECONDS,
    )
    with sock:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        connection.sock = sock
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(sock, server_hostname=host)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request("POST", path, body, headers)
        status = connection.getresponse().status
        connection.close()
    taken = 200 <= status < 300
    return Outcome(error="" if taken else f"{host} answered with {status}", status_code=status)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("Its host or port cannot be read.") from None
    if parts.scheme not in _PORTS or not parts.hostname:
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
