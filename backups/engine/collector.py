"""What the pipeline expects of a collector, whatever library talks to the device."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from backups.engine.cancellation import Cancellation
from backups.engine.types import Collection, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLimits:
    """Bounds of one session. Times in seconds, sizes in bytes."""

    connect_timeout: float
    login_timeout: float
    command_timeout: float
    #: Hard end of the whole session, from the first packet to the last byte.
    deadline: float
    max_output_bytes: int
    #: Networks that may be connected to although their kind is refused otherwise.
    allowed_networks: Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network] = ()
    #: Ends the session at any time before its deadline.
    cancellation: Cancellation = field(default_factory=Cancellation, compare=False)


class LogInStep(StrEnum):
    """What a session gets through up to its first command, in order. Values are part of the API."""

    #: A TCP connection, over all jump hosts.
    CONNECT = "connect"
    #: Algorithms agreed on, and the host key accepted. Not over Telnet.
    NEGOTIATE = "negotiate"
    #: The device has taken user name and password or key.
    LOGIN = "login"
    PROMPT = "prompt"
    #: The privileged mode, where the platform wants it.
    ENABLE = "enable"


class LogInGuard:
    """Watches a session around its log-in; this one lets everything pass.

    All are called in the thread of the session, and what they take counts against its deadline.
    """

    def connected(self) -> None:
        """The device is reached, and nothing secret was sent to it.

        Raises DeviceError to end the session there: LogInWithheld if it may come again.
        """

    def logged_in(self) -> None:
        """The device has taken the credential. Raises nothing."""

    def reached(self, step: LogInStep) -> None:
        """The session is through with ``step``. Raises nothing."""


#: For sessions that nothing depends on but themselves.
NO_GUARD = LogInGuard()


class Collector(Protocol):
    """Reads one device."""

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
        guard: LogInGuard = NO_GUARD,
    ) -> Collection:
        """Log in, run the platform's commands and log out.

        Ends within ``limits.deadline`` and a few seconds. ``guard`` is asked before the log-in and
        told of it. Raises DeviceError and nothing else for whatever the device or the network
        does.
        """
        ...
