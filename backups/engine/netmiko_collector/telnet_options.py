"""Commands inside a Telnet connection (RFC 854): taken out of the text, and answered."""

from __future__ import annotations

from typing import Final

from netmiko._telnetlib.telnetlib import DO, DONT, ECHO, IAC, NAWS, SB, SE, SGA, WILL, WONT

_NUL = 0
#: What the device may do: echo (RFC 857) and send without go-ahead (RFC 858).
_WANTED: Final = frozenset({ECHO, SGA})
#: What we do when we are asked to.
_OFFERED: Final = frozenset({SGA, NAWS})
#: 511 columns and 1000 rows (RFC 1073), as over SSH: wide lines stay whole, pages are long.
_WINDOW_SIZE: Final = (511).to_bytes(2, "big") + (1000).to_bytes(2, "big")
_VERBS: Final = DO + DONT + WILL + WONT
#: Longest command that is looked at; of a longer one only its end matters.
_MAX_COMMAND = 64


class Negotiation:
    """One side of a connection. Holds a few bytes, whatever the other side sends."""

    def __init__(self) -> None:
        self._command = bytearray()
        #: What was answered: the same is not answered twice, so that nobody talks in circles.
        self._answered: set[bytes] = set()

    def feed(self, received: bytes) -> tuple[bytes, bytes]:
        """The text in the next bytes of the device, and what has to be sent back."""
        text, reply = bytearray(), bytearray()
        if not self._command and IAC not in received:
            return received.replace(b"\0", b""), b""
        for byte in received:
            if not self._command and byte != IAC[0]:
                if byte != _NUL:  # follows a CR that is only a CR
                    text.append(byte)
                continue
            self._command.append(byte)
            if self._command == IAC + IAC:
                text.append(byte)
                self._command.clear()
            elif self._is_whole():
                reply += self._reply(bytes(self._command))
                self._command.clear()
        return bytes(text), bytes(reply)

    def _is_whole(self) -> bool:
        command = self._command
        if len(command) < 2:
            return False
        if command[1:2] == SB:
            del command[2:-_MAX_COMMAND]
            if command.endswith(IAC * 2) and len(command) > 3:
                del command[-2:]  # stands for a byte of the value
            return command.endswith(IAC + SE)
        return len(command) == 3 or command[1:2] not in _VERBS

    def _reply(self, command: bytes) -> bytes:
        verb, option = command[1:2], command[2:]
        if len(command) != 3 or command in self._answered:
            return b""
        self._answered.add(command)
        if verb == WILL:
            return IAC + (DO if option in _WANTED else DONT) + option
        if verb != DO:
            return b""  # what the other side will not do, we did not ask for
        if option not in _OFFERED:
            return IAC + WONT + option
        agreed = IAC + WILL + option
        if option != NAWS:
            return agreed
        return agreed + IAC + SB + NAWS + _WINDOW_SIZE.replace(IAC, IAC * 2) + IAC + SE
