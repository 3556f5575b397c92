"""Sessions over Telnet."""

from __future__ import annotations

import re
import socket
import time
from typing import Any

import paramiko
from netmiko._telnetlib import telnetlib
from netmiko.channel import TelnetChannel
from netmiko.exceptions import NetmikoAuthenticationException, ReadTimeout

from backups.engine.answers import last_line, looks_like_prompt, plain
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.netmiko_collector.channel import (
    MAX_LOGIN_BYTES,
    READ_BYTES,
    TAIL_BYTES,
    BoundedChannel,
    Intake,
    dropped,
)
from backups.engine.netmiko_collector.session import NO_PROMPT, Session
from backups.engine.netmiko_collector.telnet_options import Negotiation

#: Silence after which the last line is taken for what the device waits at.
_SETTLE_SECONDS = 0.1
#: How long a device may think before it says something; one that has said nothing at all, as some
#: console lines do, gets an empty line then.
_FIRST_WORD_SECONDS = 2.0
#: How long a device may take no data before the connection counts as broken.
_SEND_SECONDS = 10.0

_ASKS_FOR_NAME = re.compile(
    r"(?:\A|[\s(])(?:user ?(?:name|id)?|log-?in(?: (?:name|as))?|account)[^\r\n:?]{0,30}[:?]\Z",
    re.IGNORECASE,
)
_ASKS_FOR_PASSWORD = re.compile(
    r"(?:\A|[\s(])(?:password|passwd|passcode)[^\r\n:?]{0,60}[:?]\Z", re.IGNORECASE
)
_REFUSED = re.compile(
    r"incorrect|invalid|failed|failure|denied|refused|not authori[sz]ed|unknown user|bad password"
    r"|% ?bad|error:",
    re.IGNORECASE,
)
#: The cursor goes to a place of the screen, or to the next line (ECMA-48).
_MOVES = re.compile(rb"\x1b(?:\[[0-9;]{0,20}H|E)")
_LAST_MOVES = re.compile(rb"(?:\x1b\[[0-9;?]{0,20}[A-Za-z])++\Z")
_REFUSED_LOG_IN = (
    "the device refused the log-in; check the user name and password of the credential"
)
_HUNG_UP = (
    "the device closed the connection after the password; check the user name and password of the "
    "credential"
)


class BoundedTelnetChannel(TelnetChannel, BoundedChannel):
    """Netmiko's Telnet channel, over a socket or a forwarded connection of ours."""

    def __init__(
        self, conn: telnetlib.Telnet, stream: socket.socket | paramiko.Channel, encoding: str
    ) -> None:
        super().__init__(conn, encoding)
        self._stream = stream
        self._negotiation = Negotiation()
        self._unanswered = b""
        self._given_back = b""
        self.intake = Intake(MAX_LOGIN_BYTES)

    def give_back(self) -> None:
        """Let the end of what came since something was sent be read once more."""
        self._given_back = self._unanswered

    def read_bytes(self, timeout: float) -> bytes:
        """See BoundedChannel."""
        if self._given_back:
            data, self._given_back = self._given_back, b""
            return data
        give_up = time.monotonic() + timeout
        while True:
            self._stream.settimeout(max(give_up - time.monotonic(), 0.0))
            try:
                received = self._stream.recv(READ_BYTES)
            except (TimeoutError, BlockingIOError):
                return b""
            if not received:
                raise dropped()
            data, reply = self._negotiation.feed(received)
            self._send(reply)
            # A device that only negotiates says nothing, however long it goes on.
            if data or time.monotonic() >= give_up:
                self._unanswered = (self._unanswered + data)[-TAIL_BYTES:]
                return self.intake.take(data)

    def read_buffer(self) -> str:
        """What has come, for Netmiko's own reading; empty if nothing has."""
        return self.read_bytes(timeout=0.0).decode(self.encoding, "ignore")

    def read_channel(self) -> str:
        """All that has come, for Netmiko's own reading."""
        parts = []
        while part := self.read_buffer():
            parts.append(part)
        return "".join(parts)

    def write_channel(self, out_data: str) -> None:
        """Send text; the byte that begins a command is doubled (RFC 854)."""
        self._unanswered = b""
        self._send(out_data.encode(self.encoding).replace(telnetlib.IAC, telnetlib.IAC * 2))

    def _send(self, data: bytes) -> None:
        if data:
            self._stream.settimeout(_SEND_SECONDS)
            self._stream.sendall(data)


class TelnetSession(Session):
    """What is added to a Netmiko driver for Telnet that has a log-in of its own."""

    def __init__(self, *, stream: socket.socket | paramiko.Channel, **arguments: Any) -> None:
        self._stream = stream
        self._password_sent = False
        super().__init__(**arguments)

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        """Log in over the connection that there is already. Raises DeviceError."""
        self.remote_conn = telnetlib.Telnet()  # type: ignore[no-untyped-call]  # has no types
        # Closed with it.
        self.remote_conn.sock = self._stream  # type: ignore[assignment]  # or a forwarded one
        channel = BoundedTelnetChannel(self.remote_conn, self._stream, self.encoding)
        self._bounded = channel
        self.read_timeout_override = self._limits.login_timeout
        try:
            self.telnet_login()
        except (NetmikoAuthenticationException, ReadTimeout) as error:
            raise self._log_in_failure() from error
        except (DeviceError, ConnectionError) as error:
            if self._password_sent and _is_hang_up(error):
                raise DeviceError(ErrorCategory.AUTHENTICATION, _HUNG_UP) from error
            raise
        finally:
            self.read_timeout_override = None
        # What comes next looks for the prompt, or for a question.
        channel.give_back()

    def _log_in_failure(self) -> DeviceError:
        """What the end of a log-in by Netmiko means: it waits for a prompt that never comes."""
        said = plain(self.channel.intake.tail).decode("utf-8", "replace")
        line = said.rpartition("\n")[2].strip()
        asks_again = _ASKS_FOR_NAME.search(line) or _ASKS_FOR_PASSWORD.search(line)
        if asks_again or _REFUSED.search(said):
            return DeviceError(ErrorCategory.AUTHENTICATION, _REFUSED_LOG_IN)
        return DeviceError(ErrorCategory.READ_TIMEOUT, NO_PROMPT)


def _is_hang_up(error: DeviceError | ConnectionError) -> bool:
    return isinstance(error, ConnectionError) or error.category is ErrorCategory.SESSION_DROPPED


class VendorTelnetSession(TelnetSession):
    """The same for a driver whose log-in asks what those of other vendors do not.

    Netmiko sends a password that was refused again, up to the number at which devices lock the
    account.
    """

    #: How often the password may still be written; None while nobody logs in.
    _sendings_left: int | None = None

    def telnet_login(self, *args: Any, **kwargs: Any) -> str:
        """See Netmiko. Raises DeviceError."""
        self._sendings_left = 2 if self.username == self.password else 1
        try:
            return super().telnet_login(*args, **kwargs)
        finally:
            self._sendings_left = None

    def write_channel(self, out_data: str) -> None:
        """See Netmiko. Raises DeviceError when the log-in would write the password once more."""
        is_password = bool(self.password) and out_data.rstrip("\r\n") == self.password
        if is_password and self._sendings_left is not None:
            if not self._sendings_left:
                raise DeviceError(ErrorCategory.AUTHENTICATION, _REFUSED_LOG_IN)
            self._sendings_left -= 1
            self._password_sent = not self._sendings_left
        super().write_channel(out_data)


class PlainTelnetSession(TelnetSession):
    """The same for a driver whose log-in is user name, password and prompt.

    Netmiko's own way through these waits fixed times and takes half a minute to see that a
    password was refused.
    """

    def telnet_login(self, *args: Any, **kwargs: Any) -> str:
        """Answer what the device asks until it shows its prompt. Raises DeviceError."""
        give_up = time.monotonic() + self._limits.login_timeout
        credentials = {_ASKS_FOR_NAME: self.username, _ASKS_FOR_PASSWORD: self.password or ""}
        said = bytearray()
        while time.monotonic() < give_up:
            self._hear(said, give_up)
            line = _question_line(said)
            answer = _take_credential(credentials, line)
            self._password_sent = _ASKS_FOR_PASSWORD not in credentials
            if answer is None:
                answer = self._take_answer(said)
            if answer is not None:
                # A line feed behind it would answer the next question, too, on many devices.
                self.write_channel(answer + "\r")
                said.clear()
            elif looks_like_prompt(said, self._platform):
                return ""
        raise self._log_in_failure()

    def _hear(self, said: bytearray, give_up: float) -> None:
        """Add what the device says up to its next pause; wake it if that is nothing at all."""
        wait = _FIRST_WORD_SECONDS
        while time.monotonic() < give_up and (chunk := self.channel.read_bytes(wait)):
            said += chunk
            wait = _SETTLE_SECONDS
        if not said and not self.channel.intake.tail:
            self.write_channel(self.RETURN)


def _question_line(said: bytearray) -> str:
    """The last line of ``said`` without blanks around it.

    Some devices paint each line at its place on the screen, and put the cursor behind it.
    """
    painted = _MOVES.sub(b"\n", _LAST_MOVES.sub(b"", bytes(said[-TAIL_BYTES:])))
    return last_line(painted)[0].decode("utf-8", "replace").strip()


def _take_credential(credentials: dict[re.Pattern[str], str], line: str) -> str | None:
    """What ``line`` asks for, taken out of ``credentials``; None when it asks for nothing.

    Raises DeviceError when it asks once more.
    """
    for pattern in (_ASKS_FOR_NAME, _ASKS_FOR_PASSWORD):
        if pattern.search(line):
            if pattern not in credentials:
                raise DeviceError(ErrorCategory.AUTHENTICATION, _REFUSED_LOG_IN)
            return credentials.pop(pattern)
    return None


class GenericTelnetSession(PlainTelnetSession):
    """The same for a driver that knows nothing of the platform."""

    def enable(self, cmd: str = "enable", *args: Any, **kwargs: Any) -> str:
        """See Netmiko."""
        return super().enable(cmd, *args, **kwargs)

    def check_enable_mode(self, check_string: str = "#") -> bool:
        """See Netmiko."""
        return super().check_enable_mode(check_string)
