"""From an address to a connected socket, with the reason when there is none.

The name is resolved once, the resolved address is checked, and that very address is connected to:
a name that resolves differently a moment later changes nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
import time
from collections.abc import Sequence
from typing import Any

from backups.engine.errors import DeviceError, ErrorCategory

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: RFC 6052: IPv4 addresses inside IPv6 ones, translated on the way.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: The first address is tried for so long, even if its name took all the time to resolve.
_LEAST_SECONDS = 0.1
#: RFC 6761 section 6.3.
_LOOPBACK_NAMES: dict[str, Address] = {"localhost": ipaddress.IPv4Address("127.0.0.1")}


def connect(
    address: str,
    port: int,
    *,
    timeout: float,
    allowed: Sequence[Network],
    within: float = math.inf,
) -> socket.socket:
    """A TCP connection to ``address`` (an IP address or a DNS name).

    ``timeout`` is in seconds, per resolved address; no further address is tried once ``within``
    seconds are over. Loopback, link-local, multicast, unspecified
    and reserved addresses are refused unless one of the ``allowed`` networks holds them. Raises
    DeviceError.
    """
    failure: DeviceError | None = None
    give_up = time.monotonic() + within
    for family, resolved, reached_at in _resolve(address, port):
        _check(resolved, allowed)
        remaining = give_up - time.monotonic()
        if failure is not None and remaining <= 0:
            break
        try:
            seconds = max(min(timeout, remaining), _LEAST_SECONDS)
            return _open(family, reached_at, seconds)
        except OSError as error:
            failure = _explain(error, f"{resolved} port {port}")
    raise failure or DeviceError(ErrorCategory.DNS_FAILURE, f"'{address}' has no address")


def check_literal(address: str, *, allowed: Sequence[Network]) -> None:
    """Refuse what ``connect`` refuses, for a host that somebody else will connect to.

    A name is let through: what it stands for is only known where it is resolved. Raises
    DeviceError.
    """
    literal: Address | None
    try:
        literal = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        literal = _loose_ipv4(address) or _LOOPBACK_NAMES.get(address.lower().rstrip("."))
    if literal is not None:
        _check(literal, allowed)


def unresolvable(address: str) -> DeviceError:
    """That ``address`` is no name of anything."""
    return DeviceError(
        ErrorCategory.DNS_FAILURE,
        f"'{address}' cannot be resolved; check the name and the DNS server",
    )


def _loose_ipv4(text: str) -> Address | None:
    """The address of a text such as ``127.1`` or ``0x7f000001``, which resolvers take for one."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(text))
    except (OSError, UnicodeError):
        return None


def _resolve(
    address: str, port: int
) -> list[tuple[socket.AddressFamily, Address, tuple[Any, ...]]]:
    """Family, address to check, and what the system connects to."""
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise unresolvable(address) from None
    # A scoped address reads 'fe80::1%eth0'; the scope matters for the connection only.
    return [
        (entry[0], ipaddress.ip_address(str(entry[4][0]).partition("%")[0]), entry[4])
        for entry in found
    ]


def _check(address: Address, allowed: Sequence[Network]) -> None:
    real = _embedded_ipv4(address) or address
    if any(address in network or real in network for network in allowed):
        return
    if (
        real.is_loopback
        or real.is_link_local
        or real.is_multicast
        or real.is_unspecified
        or real.is_reserved
    ):
        raise DeviceError(
            ErrorCategory.ADDRESS_REFUSED,
            f"{address} is not an address of a device; allow it with NETRAVEN_ALLOWED_NETWORKS",
        )


def _embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _open(family: socket.AddressFamily, address: tuple[Any, ...], timeout: float) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        connection.connect(address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        connection.close()
        raise
    return connection


def _explain(error: OSError, where: str) -> DeviceError:
    if isinstance(error, ConnectionRefusedError):
        return DeviceError(
            ErrorCategory.CONNECTION_REFUSED,
            f"{where} refused the connection; check the port, and that SSH or Telnet is enabled",
        )
    if isinstance(error, TimeoutError):
        return DeviceError(
            ErrorCategory.CONNECTION_TIMEOUT,
            f"{where} did not answer in time; check that the device is up and reachable",
        )
    if error.errno in {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}:
        return DeviceError(
            ErrorCategory.CONNECTION_TIMEOUT, f"there is no route to {where}; check the network"
        )
    return DeviceError(
        ErrorCategory.CONNECTION_TIMEOUT,
        f"the connection to {where} failed: {error.strerror or type(error).__name__}",
    )
