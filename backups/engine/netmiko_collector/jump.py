"""The way to a device: through no jump host, one or two.

The first host is reached over TCP; what lies behind it, over a forwarded connection (RFC 4254
section 7.2) inside the SSH session with the host before. When the TCP connection ends, all of
them end with it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import paramiko

from backups.engine import reach
from backups.engine.collector import SessionLimits
from backups.engine.deadline import Deadline
from backups.engine.errors import DeviceError, ErrorCategory, HostKeyRefused
from backups.engine.netmiko_collector.failures import as_device_error
from backups.engine.netmiko_collector.host_keys import HostKeyPolicy
from backups.engine.netmiko_collector.ssh import client_arguments
from backups.engine.types import DeviceTarget, JumpTarget

_HOST = "the host"
#: Failures to reach a host. Log-in and host key stay what they are: they need a person.
_BROKEN_WAY = frozenset(
    {
        ErrorCategory.DNS_FAILURE,
        ErrorCategory.CONNECTION_REFUSED,
        ErrorCategory.CONNECTION_TIMEOUT,
        ErrorCategory.SSH_NEGOTIATION,
        ErrorCategory.READ_TIMEOUT,
        ErrorCategory.SESSION_DROPPED,
    }
)
#: RFC 4254 section 5.1; all that is said in a standard way of why a connection failed.
_PROHIBITED = 1


@dataclass(slots=True)
class Way:
    """What leads to the device."""

    #: Carries the bytes to and from the device.
    end: socket.socket | paramiko.Channel
    #: Keys to remember of the jump hosts, as ``"type base64"``, by their names.
    host_keys: dict[str, str] = field(default_factory=dict)


def connect_first(target: DeviceTarget, limits: SessionLimits) -> socket.socket:
    """The TCP connection to the first host on the way to ``target``. Raises DeviceError."""
    bounds = {"timeout": limits.connect_timeout, "within": limits.deadline}
    allowed = limits.allowed_networks
    if not target.jumps:
        return reach.connect(target.address, target.port, allowed=allowed, **bounds)
    for behind in _behind(target):
        reach.check_literal(behind.address, allowed=allowed)
    first = target.jumps[0]
    try:
        return reach.connect(first.address, first.port, allowed=allowed, **bounds)
    except DeviceError as error:
        raise at_jump_host(first, error) from error


@contextlib.contextmanager
def way_to(
    target: DeviceTarget, connection: socket.socket, limits: SessionLimits, deadline: Deadline
) -> Iterator[Way]:
    """The way to ``target`` that begins with ``connection``; taken down at the end of the block.

    Raises DeviceError that names the jump host where it did not go on.
    """
    way = Way(connection)
    with contextlib.ExitStack() as clients:
        for jump, following in zip(target.jumps, _behind(target), strict=True):
            policy = HostKeyPolicy(jump.host_key, jump.host_key_mode, host=_HOST)
            behind: JumpTarget | DeviceTarget = jump
            try:
                client = clients.enter_context(_logged_in(jump, way.end, limits, policy))
                behind = following
                way.end = _forwarded(client, following.address, following.port, limits)
            except Exception as error:  # Paramiko raises anything
                failure = as_device_error(error, deadline, limits, host=_HOST)
                raise at_jump_host(jump, failure, is_device=behind is target) from error
            if policy.kept is not None:
                way.host_keys[jump.name] = policy.kept
        yield way


def _behind(target: DeviceTarget) -> tuple[JumpTarget | DeviceTarget, ...]:
    """What lies behind each of the jump hosts."""
    hosts: tuple[JumpTarget | DeviceTarget, ...] = (*target.jumps, target)
    return hosts[1:]


def at_jump_host(jump: JumpTarget, error: DeviceError, *, is_device: bool = False) -> DeviceError:
    """``error`` as one that happened at ``jump``.

    A way that breaks says nothing about the device, unless ``is_device`` says that the device
    behind the host is what could not be reached.
    """
    message = f"jump host '{jump.name}': {error.message}"
    if isinstance(error, HostKeyRefused):
        return HostKeyRefused(message, shown=error.shown, jump_host=jump.name)
    at_host = None if is_device else jump.name
    if error.category in _BROKEN_WAY and not is_device:
        return DeviceError(ErrorCategory.JUMP_HOST, message, jump_host=at_host)
    return DeviceError(error.category, message, jump_host=at_host)


@contextlib.contextmanager
def _logged_in(
    jump: JumpTarget,
    connection: socket.socket | paramiko.Channel,
    limits: SessionLimits,
    policy: HostKeyPolicy,
) -> Iterator[paramiko.SSHClient]:
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(policy)
        client.connect(**client_arguments(jump, jump.credential, limits, connection, policy))
        yield client


def _forwarded(
    client: paramiko.SSHClient, address: str, port: int, limits: SessionLimits
) -> paramiko.Channel:
    """A connection from the host of ``client`` to ``address``; the host resolves a name."""
    transport = client.get_transport()
    assert transport is not None  # connected
    try:
        return transport.open_channel(
            "direct-tcpip", (address, port), ("127.0.0.1", 0), timeout=limits.connect_timeout
        )
    except paramiko.ChannelException as error:
        raise _not_forwarded(error, f"{address} port {port}") from error
    except paramiko.SSHException as error:
        if not transport.is_active():
            raise
        raise DeviceError(
            ErrorCategory.CONNECTION_TIMEOUT,
            f"it had not reached {address} port {port} after {limits.connect_timeout:g} s; check "
            "that the next host is up and reachable from there",
        ) from error


def _not_forwarded(error: paramiko.ChannelException, where: str) -> DeviceError:
    if error.code == _PROHIBITED:
        return DeviceError(
            ErrorCategory.JUMP_HOST,
            f"it does not allow connections to {where}; permit TCP forwarding for this account "
            "(OpenSSH: AllowTcpForwarding, PermitOpen)",
        )
    return DeviceError(
        ErrorCategory.CONNECTION_TIMEOUT,
        f"it cannot reach {where}; check address and port, and that the next host is up and "
        "reachable from there",
    )
