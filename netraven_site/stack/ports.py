"""TCP ports of this machine: is one free, does something answer on it."""

from __future__ import annotations

import http.client
import socket

from netraven_site.stack.errors import StackError

LOOPBACK = "127.0.0.1"
_ANSWER_SECONDS = 5.0


def require_free(host: str, port: int, setting: str) -> None:
    """Raise StackError, naming the setting to change, unless ``port`` of ``host`` is free."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (socket.gaierror, UnicodeError):
        raise StackError(
            f"'{host}' cannot be resolved; set the address that goes with {setting} to one of this "
            "machine"
        ) from None
    except OSError as error:
        raise StackError(
            f"port {port} on {host} cannot be used ({error.strerror}); set {setting} to a free port"
        ) from None


def free_port(wanted: int = 0) -> int:
    """``wanted`` when it is free on the loopback address, else any free port there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise StackError(f"there is no free port on {LOOPBACK}")


def local_address(bind: str) -> str:
    """The address at which a server bound to ``bind`` is reached from this machine."""
    if bind in ("", "0.0.0.0"):  # noqa: S104 - compared, not bound
        return LOOPBACK
    return "::1" if bind == "::" else bind


def address_in_url(host: str) -> str:
    """``host`` as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def accepts(host: str, port: int) -> bool:
    """Whether something takes TCP connections there."""
    try:
        socket.create_connection((host, port), timeout=_ANSWER_SECONDS).close()
    except OSError:
        return False
    return True


def answers_http(host: str, port: int, path: str, *, host_header: str | None = None) -> bool:
    """Whether a web server answers there with anything but a server error."""
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", path, headers={"Host": host_header} if host_header else {})
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
