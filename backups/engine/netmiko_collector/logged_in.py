"""A session that is logged in, with everything beneath it, for as long as it is needed."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from backups.engine.collector import NO_GUARD, LogInGuard, LogInStep, SessionLimits
from backups.engine.deadline import session_deadline
from backups.engine.netmiko_collector.drivers import driver_for, opened_session
from backups.engine.netmiko_collector.failures import as_device_error
from backups.engine.netmiko_collector.jump import connect_first, way_to
from backups.engine.netmiko_collector.session import Session
from backups.engine.types import DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn:
    """A session at the prompt of the device."""

    session: Session
    #: Keys that jump hosts showed, by their name.
    jump_host_keys: Mapping[str, str]
    #: Seconds per phase: connect, login.
    phase_seconds: Mapping[str, float]


@contextmanager
def logged_in(
    target: DeviceTarget,
    credential: DeviceCredential,
    platform: PlatformDefinition,
    limits: SessionLimits,
    guard: LogInGuard = NO_GUARD,
) -> Iterator[LoggedIn]:
    """A session with ``target`` that ends with the block, at the latest at its deadline.

    ``guard`` is asked before the log-in and told of it. Whatever goes wrong, also inside the block,
    comes out as DeviceError.
    """
    session_type = driver_for(platform, target.transport)
    started = time.monotonic()
    connection = connect_first(target, limits)
    remaining = limits.deadline - (time.monotonic() - started)
    with (
        connection,
        limits.cancellation.over(connection),
        session_deadline(connection, remaining) as deadline,
        way_to(target, connection, limits, deadline) as way,
    ):
        connected = time.monotonic()
        guard.reached(LogInStep.CONNECT)
        guard.connected()
        try:
            session = opened_session(
                session_type, target, credential, platform, limits, way.end, guard
            )
            try:
                session.log_in(credential)
                guard.logged_in()
                yield LoggedIn(
                    session=session,
                    jump_host_keys=way.host_keys,
                    phase_seconds={
                        "connect": connected - started,
                        "login": time.monotonic() - connected,
                    },
                )
            finally:
                session.disconnect()
        except Exception as error:  # Netmiko and Paramiko raise anything
            # Its frames hold what the device has printed until the garbage collector comes by.
            traceback.clear_frames(error.__traceback__)
            raise as_device_error(error, deadline, limits) from error
