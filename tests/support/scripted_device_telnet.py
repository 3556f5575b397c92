"""The Telnet side of a scripted device (RFC 854): option negotiation and log-in."""

from __future__ import annotations

import asyncio
from typing import Protocol

from tests.support.scripted_device_script import Recording
from tests.support.scripted_device_terminal import Terminal

_SE, _SB, _WILL, _WONT, _DO, _DONT, _IAC = 240, 250, 251, 252, 253, 254, 255
_ECHO, _SUPPRESS_GO_AHEAD = 1, 3
_OFFERED = (_ECHO, _SUPPRESS_GO_AHEAD)
_REFUSAL = {_WILL: _DONT, _DO: _WONT}
_NUL, _LF, _CR = 0, 10, 13
_ATTEMPTS = 3


class Device(Protocol):
    """What a connection asks of its device."""

    recording: Recording

    def accepts(self, username: str, password: str) -> bool:
        """Whether this log-in is the right one."""

    def new_terminal(self) -> Terminal:
        """The command line of the next log-in."""


class Negotiation:
    """Takes the commands out of what a client sends, and refuses what was not offered."""

    def __init__(self) -> None:
        self._command = bytearray()
        self._after_cr = False

    def offer(self) -> bytes:
        """What is sent first: the server echoes, and sends as it likes."""
        return b"".join(bytes((_IAC, _WILL, option)) for option in _OFFERED)

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """The typed bytes of ``data``, and what has to be answered to its commands.

        Enter comes as CR, CR LF, CR NUL or LF, and is CR in the typed bytes.
        """
        typed, answer = bytearray(), bytearray()
        for byte in data:
            if not self._command and byte != _IAC:
                typed += self._typed(byte)
                continue
            self._command.append(byte)
            if not _is_whole(self._command):
                continue
            command = bytes(self._command)
            self._command.clear()
            if command == bytes((_IAC, _IAC)):
                typed.append(_IAC)
            answer += _answer(command)
        return bytes(typed), bytes(answer)

    def _typed(self, byte: int) -> bytes:
        second_half_of_enter = self._after_cr and byte in (_LF, _NUL)
        self._after_cr = byte == _CR
        if second_half_of_enter:
            return b""
        return bytes((_CR if byte == _LF else byte,))


def _is_whole(command: bytearray) -> bool:
    if len(command) < 2:
        return False
    if command[1] == _SB:
        return command.endswith(bytes((_IAC, _SE)))
    return len(command) == 3 or command[1] not in (_WILL, _WONT, _DO, _DONT)


def _answer(command: bytes) -> bytes:
    verb, option = command[1], command[-1]
    refusal = _REFUSAL.get(verb)
    if refusal is None or (verb == _DO and option in _OFFERED):
        return b""
    return bytes((_IAC, refusal, option))


class TelnetConnection(asyncio.Protocol):
    """One connection: asks for user and password, then plays the device."""

    def __init__(self, device: Device, open_: set[asyncio.Transport]) -> None:
        self._device = device
        self._open = open_
        self._negotiation = Negotiation()
        self._line = bytearray()
        self._username: str | None = None
        self._failures = 0
        self._terminal: Terminal | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # TCP
        self._transport = transport
        self._open.add(transport)
        transport.write(self._negotiation.offer())
        if self._device.recording.script.login_by_questions:
            self._start()
        else:
            self._print(b"login: ")

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        typed, answer = self._negotiation.feed(data)
        self._transport.write(answer)
        for byte in typed:
            if self._terminal is None:
                self._log_in_key(byte)
            elif not self._terminal.ended:
                self._print(self._terminal.feed(bytes((byte,))))
        if self._terminal is not None and self._terminal.ended:
            self._transport.close()

    def _log_in_key(self, key: int) -> None:
        if key != _CR:
            self._line.append(key)
            if self._username is None:
                self._print(bytes((key,)))
            return
        self._print(b"\r\n")
        line = self._line.decode("utf-8", "replace")
        self._line.clear()
        self._answered(line)

    def _answered(self, line: str) -> None:
        if self._username is None:
            self._username = line or None
            self._print(b"Password: " if line else b"login: ")
            return
        username, self._username = self._username, None
        if self._device.accepts(username, line):
            self._start()
            return
        self._failures += 1
        self._print(b"Login incorrect\r\n")
        if self._failures < _ATTEMPTS:
            self._print(b"login: ")
        else:
            self._transport.close()

    def _start(self) -> None:
        self._terminal = self._device.new_terminal()
        self._print(self._terminal.start())

    def _print(self, data: bytes) -> None:
        self._transport.write(data.replace(b"\xff", b"\xff\xff"))
