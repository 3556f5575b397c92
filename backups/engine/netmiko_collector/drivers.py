"""Which of Netmiko's drivers is used for a device, and how its session is made."""

from __future__ import annotations

import functools
import socket
from typing import Any

import paramiko
from netmiko.base_connection import BaseConnection
from netmiko.cisco_base_connection import CiscoBaseConnection
from netmiko.ssh_dispatcher import CLASS_MAPPER

from backups.engine.collector import NO_GUARD, LogInGuard, LogInStep, SessionLimits
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.host_keys import HostKeyPolicy
from backups.engine.netmiko_collector.session import Session
from backups.engine.netmiko_collector.ssh import SSHSession, client_arguments
from backups.engine.netmiko_collector.telnet import (
    GenericTelnetSession,
    PlainTelnetSession,
    VendorTelnetSession,
)
from backups.engine.types import DeviceTarget, Transport
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition

_GENERIC_TELNET = "generic_telnet"
#: Their log-in is the usual one; another class that has one of its own knows its vendor.
_USUAL_LOG_IN = (BaseConnection.telnet_login, CiscoBaseConnection.telnet_login)
#: Drivers that have one of their own and ask no more than the usual one and the questions of their
#: platform: it narrows patterns, or negotiates options, which our channel does by itself.
_USUAL_IN_FACT = frozenset(
    {
        "brocade_fastiron_telnet",
        "hp_procurve_telnet",
        "huawei_telnet",
        "ipinfusion_ocnos_telnet",
        "nec_ix_telnet",
        "raisecom_ros_telnet",
        "ruckus_fastiron_telnet",
        "tplink_jetstream_telnet",
        "zte_zxros_telnet",
    }
)


def driver_for(platform: PlatformDefinition, transport: Transport) -> type[Session]:
    """The Netmiko driver of the platform, with our session around it. Raises DeviceError."""
    name = platform.driver if transport is Transport.SSH else _telnet_name(platform)
    if name not in CLASS_MAPPER:
        raise DeviceError(
            ErrorCategory.UNKNOWN_PLATFORM,
            f"platform '{platform.name}' names the driver '{name}', which Netmiko does not have",
        )
    return _session_class(name, transport)


def opened_session(
    session_type: type[Session],
    target: DeviceTarget,
    credential: DeviceCredential,
    platform: PlatformDefinition,
    limits: SessionLimits,
    connection: socket.socket | paramiko.Channel,
    guard: LogInGuard = NO_GUARD,
) -> Session:
    """A session over ``connection``, not logged in yet. Raises DeviceError."""
    arguments: dict[str, Any] = {
        "platform": platform,
        "limits": limits,
        "guard": guard,
        "host": target.address,
        "port": target.port,
        "username": credential.username,
        "password": credential.password or "",
        "secret": credential.enable_secret or "",
        "conn_timeout": limits.login_timeout,
    }
    if target.transport is Transport.TELNET:
        # Netmiko only looks at its end.
        return session_type(device_type="_telnet", stream=connection, **arguments)
    policy = HostKeyPolicy(
        target.host_key,
        target.host_key_mode,
        host="the device",
        on_accepted=lambda: guard.reached(LogInStep.NEGOTIATE),
    )
    client = client_arguments(target, credential, limits, connection, policy)
    return session_type(policy=policy, client_arguments=client, **arguments)


def _telnet_name(platform: PlatformDefinition) -> str:
    if platform.telnet_driver is not None:
        return platform.telnet_driver
    own = f"{platform.driver}_telnet"
    return own if own in CLASS_MAPPER else _GENERIC_TELNET


@functools.cache
def _session_class(name: str, transport: Transport) -> type[Session]:
    driver = CLASS_MAPPER[name]
    return type(f"Session_{name}", (_session_type(name, driver, transport), driver), {})


def _session_type(name: str, driver: type[Any], transport: Transport) -> type[Session]:
    if transport is Transport.SSH:
        return SSHSession
    if name == _GENERIC_TELNET:
        return GenericTelnetSession
    is_usual = name in _USUAL_IN_FACT or driver.telnet_login in _USUAL_LOG_IN
    return PlainTelnetSession if is_usual else VendorTelnetSession
