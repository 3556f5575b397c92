"""What went wrong, in our words: messages of the libraries may quote what a device sent."""

from __future__ import annotations

from collections.abc import Iterator

import paramiko
from netmiko import NetmikoAuthenticationException, NetmikoTimeoutException, ReadTimeout

from backups.engine.collector import SessionLimits
from backups.engine.deadline import Deadline
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.algorithms import NothingInCommon


def as_device_error(
    error: Exception, deadline: Deadline, limits: SessionLimits, *, host: str = "the device"
) -> DeviceError:
    """The error of a session with ``host`` that ended with ``error``, or at its ``deadline``."""
    if limits.cancellation.cancelled:
        return DeviceError(ErrorCategory.SESSION_DROPPED, "the session was called off")
    if deadline.expired:
        return DeviceError(
            ErrorCategory.DEADLINE,
            f"the session was not done after {limits.deadline:g} s and was cut off",
        )
    chain = tuple(_chain(error))
    for kind in chain:
        if isinstance(kind, DeviceError):
            return kind
        if isinstance(kind, NothingInCommon):
            return _nothing_in_common(kind, host)
    for exception_type, category, message in _MESSAGES:
        if any(isinstance(kind, exception_type) for kind in chain):
            return DeviceError(category, message.format(host=host))
    return DeviceError(
        ErrorCategory.UNEXPECTED,
        f"the session ended with an unexpected {type(error).__name__}; the worker's log has more",
    )


def _nothing_in_common(error: NothingInCommon, host: str) -> DeviceError:
    if error.only_old:
        return DeviceError(
            ErrorCategory.SSH_NEGOTIATION,
            f"{host} offers only old algorithms ({error.offered}); update it, or allow them for it "
            "(legacy_algorithms)",
        )
    return DeviceError(
        ErrorCategory.SSH_NEGOTIATION,
        f"{host} offers no algorithm that is known here ({error.offered}); look at its SSH "
        "settings",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what led to it: Netmiko raises one class for several causes."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        current = current.__cause__ or current.__context__


#: Tried in this order over the whole chain of causes, so the particular come before the general:
#: Netmiko's log-in failures are Paramiko SSHExceptions, its time-outs have them as context.
_MESSAGES: tuple[tuple[type[BaseException], ErrorCategory, str], ...] = (
    (
        NetmikoAuthenticationException,
        ErrorCategory.AUTHENTICATION,
        "{host} refused the log-in; check the user name, password and SSH key of the credential",
    ),
    (
        paramiko.AuthenticationException,
        ErrorCategory.AUTHENTICATION,
        "{host} refused the log-in; check the user name, password and SSH key of the credential",
    ),
    (
        ReadTimeout,
        ErrorCategory.READ_TIMEOUT,
        "{host} did not show its prompt in time after the log-in",
    ),
    (
        EOFError,
        ErrorCategory.SESSION_DROPPED,
        "{host} closed the connection in mid-session; look at its log",
    ),
    (
        ConnectionError,
        ErrorCategory.SESSION_DROPPED,
        "{host} reset the connection; look at its log",
    ),
    (
        paramiko.SSHException,
        ErrorCategory.SSH_NEGOTIATION,
        "no SSH session could be agreed on; the port may not be SSH",
    ),
    (
        NetmikoTimeoutException,
        ErrorCategory.SSH_NEGOTIATION,
        "the SSH session was not set up in time",
    ),
    (
        TimeoutError,
        ErrorCategory.READ_TIMEOUT,
        "{host} did not answer in time",
    ),
    (
        OSError,
        ErrorCategory.SESSION_DROPPED,
        "the connection to {host} broke; look at the network",
    ),
)
