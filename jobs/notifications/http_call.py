"""One request over HTTP, to an address that is checked when connecting; follows nothing."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from backups.engine import reach
from backups.engine.errors import DeviceError
from jobs.notifications.channel import TIMEOUT_SECONDS, Outcome, address_problem

_PORTS = {"http": 80, "https": 443}


def http_call(
    *,
    url: str,
    method: str,
    body: bytes | None = None,
    headers: Mapping[str, str],
    allowed: Sequence[reach.Network],
) -> Outcome:
    """Any answer of the 200s is a success. Errors name the host and nothing else of ``url``.

    Loopback, link-local and the like are refused unless ``allowed`` has them.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        status = _status(parts, host, method, body, headers, allowed)
    except DeviceError as error:
        return Outcome(error=address_problem(error, host))
    except ssl.SSLCertVerificationError as error:
        return Outcome(error=f"the certificate of {host} is not believed: {error.verify_message}")
    except TimeoutError:
        return Outcome(error=f"{host} did not answer within {TIMEOUT_SECONDS:g} s")
    except (OSError, http.client.HTTPException) as error:
        # Their messages may quote what was sent.
        return Outcome(error=f"{host} did not answer in HTTP ({type(error).__name__})")
    taken = 200 <= status < 300
    return Outcome(error="" if taken else f"{host} answered with {status}", status_code=status)


def _status(
    parts: SplitResult,
    host: str,
    method: str,
    body: bytes | None,
    headers: Mapping[str, str],
    allowed: Sequence[reach.Network],
) -> int:
    port = parts.port or _PORTS[parts.scheme]
    sock = reach.connect(
        host, port, timeout=TIMEOUT_SECONDS, allowed=allowed, within=TIMEOUT_SECONDS
    )
    with sock:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        connection.sock = sock
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection.sock = context.wrap_socket(sock, server_hostname=host)
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request(method, path, body, {"User-Agent": "NetRaven", **headers})
        status = connection.getresponse().status
        connection.close()
    return status
