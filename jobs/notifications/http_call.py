"""One request over HTTP, to an address that is checked when connecting; follows nothing."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import SplitResult, urlsplit

from backups.engine import reach
from backups.engine.errors import DeviceError
from jobs.notifications.channel import (
    SEND_SECONDS,
    TIMEOUT_SECONDS,
    Outcome,
    address_problem,
)

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
        return Outcome(error=f"{host} did not answer in time")
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
    if parts.scheme == "https":
        sock = ssl.create_default_context().wrap_socket(
            sock, server_hostname=host, do_handshake_on_connect=False
        )
    with sock, _cut_off(sock):
        if isinstance(sock, ssl.SSLSocket):
            sock.do_handshake()
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        connection.sock = sock
        path = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        connection.request(method, path, body, {"User-Agent": "NetRaven", **headers})
        status = connection.getresponse().status
        connection.close()
    return status


@contextlib.contextmanager
def _cut_off(sock: socket.socket) -> Iterator[None]:
    """End the connection after SEND_SECONDS, which raises TimeoutError.

    The time limit of a socket is for each piece of an answer, and there may be no end of them.
    """
    is_over = threading.Event()

    def cut() -> None:
        is_over.set()
        with contextlib.suppress(OSError):
            # Not that of TLS, which would first talk to the other side.
            socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = threading.Timer(SEND_SECONDS, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as error:
        if is_over.is_set():
            raise TimeoutError from error
        raise
    finally:
        timer.cancel()
