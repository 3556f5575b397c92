"""Netmiko's channels with a bound on what may come, and an ear for the dropped connection."""

from __future__ import annotations

import abc
import threading

import paramiko
from netmiko.channel import Channel, SSHChannel
from paramiko import common

from backups.engine.errors import DeviceError, ErrorCategory

#: What a device may print before the first command: banners, message of the day, prompts.
MAX_LOGIN_BYTES = 4 * 1024 * 1024
#: How much is read at once.
READ_BYTES = 64 * 1024
#: What may wait to be read: twice the window that Paramiko grants (RFC 4254 section 5.2).
MAX_UNREAD_BYTES = 2 * common.DEFAULT_WINDOW_SIZE
#: How much of the end of what came is remembered.
TAIL_BYTES = 1024


class Intake:
    """Counts what comes and keeps its end."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._doing = "before its first prompt"
        #: Bytes that came since the last ``expect``.
        self.received = 0
        #: The last bytes that came.
        self.tail = b""

    def expect(self, limit: int) -> None:
        """Start counting anew, up to ``limit`` bytes."""
        self._limit = limit
        self._doing = (
            "for one command; raise NETRAVEN_MAX_OUTPUT_BYTES if its configuration is really that "
            "large"
        )
        self.received = 0

    def take(self, data: bytes) -> bytes:
        """``data``, counted. Raises DeviceError beyond the limit."""
        self.received += len(data)
        if self.received > self._limit:
            raise DeviceError(
                ErrorCategory.OUTPUT_TOO_LARGE,
                f"the device printed more than {self._limit} bytes {self._doing}",
            )
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        return data


def dropped() -> DeviceError:
    """The error of a connection that the device has closed."""
    return DeviceError(
        ErrorCategory.SESSION_DROPPED,
        "the device closed the connection in mid-session; look at its log",
    )


class BoundedChannel(Channel):
    """What a session reads from, whatever the transport."""

    #: Counts what comes.
    intake: Intake

    @abc.abstractmethod
    def read_bytes(self, timeout: float) -> bytes:
        """The next bytes, or none when the device was silent for ``timeout`` seconds.

        Raises DeviceError when the connection is gone or the bound is reached.
        """

    def refuse_excess(self) -> None:
        """Raise DeviceError if the device sends more than fits although nobody reads it."""


class BoundedSSHChannel(SSHChannel, BoundedChannel):
    """Netmiko's SSH channel."""

    def __init__(self, conn: paramiko.Channel, encoding: str) -> None:
        super().__init__(conn, encoding)
        self._channel = conn
        # Nobody reads it apart, and Paramiko would keep all of it, whatever the window.
        conn.set_combine_stderr(True)
        self.intake = Intake(MAX_LOGIN_BYTES)
        # Paramiko's own wait goes by the wall clock: when that is set back, it waits for hours.
        self._readable = threading.Event()
        conn.in_buffer.set_event(self._readable)

    def read_bytes(self, timeout: float) -> bytes:
        """See BoundedChannel."""
        self.refuse_excess()
        if not self._readable.wait(timeout):
            return b""
        try:
            data = self._channel.recv(READ_BYTES)
        except TimeoutError:
            return b""
        if not data:
            raise dropped()
        return self.intake.take(data)

    def read_buffer(self) -> str:
        """What has come, for Netmiko's own reading; empty if nothing has."""
        if not self._channel.recv_ready() and not self._gone():
            return ""
        return self.read_bytes(timeout=0.0).decode(self.encoding, "ignore")

    def refuse_excess(self) -> None:
        """See BoundedChannel. Paramiko keeps all that comes, whatever window it has granted."""
        if len(self._channel.in_buffer) > MAX_UNREAD_BYTES:
            raise DeviceError(
                ErrorCategory.OUTPUT_TOO_LARGE,
                "the device sends more than SSH allows it to before it is read",
            )

    def _gone(self) -> bool:
        return bool(self._channel.closed or self._channel.eof_received)
