"""SSH packets with a bound: Paramiko keeps whatever a host sends before the log-in."""

from __future__ import annotations

import contextlib
import hmac
import socket
import time

import paramiko
from paramiko import util
from paramiko.packet import Packetizer

#: RFC 4253 section 6.1 asks for 35 000; OpenSSH takes 256 KiB as well.
MAX_PACKET_BYTES = 256 * 1024
#: What may come before and with the version line (RFC 4253 section 4.2).
MAX_VERSION_BYTES = 64 * 1024
#: How much of the connection is read at once; packets are read out of it piece by piece.
_READ_BYTES = 64 * 1024

# Paramiko compares the MAC of each packet in a loop of Python (measured: 5 to 20 µs against 0.1).
util.constant_time_bytes_eq = hmac.compare_digest  # type: ignore[assignment]  # takes as much


class _ReadAhead:
    """A connection that is read in few large pieces; Paramiko asks two or three times per packet.

    A read that times out raises what the connection raises, and loses nothing.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._piece = b""
        self._begin = 0
        self.send = connection.send
        self.close = connection.close

    def recv(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end of the connection."""
        if self._begin == len(self._piece):
            self._piece, self._begin = self._connection.recv(_READ_BYTES), 0
        data = self._piece[self._begin : self._begin + size]
        self._begin += len(data)
        return data


class BoundedPacketizer(Packetizer):
    """Reads no packet and no version line beyond the bounds; raises SSHException instead."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(_ReadAhead(connection))  # type: ignore[arg-type]  # as much of a socket as it uses
        self._version_bytes = 0
        #: When the first packet has to be here, on the monotonic clock; None when it is.
        self._handshake_ends: float | None = None

    def start_handshake(self, timeout: float) -> None:
        """See Paramiko, which starts a thread to keep the time."""
        self._handshake_ends = time.monotonic() + timeout

    def handshake_timed_out(self) -> bool:
        """See Paramiko."""
        return self._handshake_ends is not None and time.monotonic() > self._handshake_ends

    def complete_handshake(self) -> None:
        """See Paramiko."""
        self._handshake_ends = None

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """See Paramiko; it would collect up to 4 GiB, copying all of it with each piece."""
        if n > MAX_PACKET_BYTES:
            raise paramiko.SSHException("a packet is too long")
        data: bytes = super().read_all(n, check_rekey)
        return data

    def _read_timeout(self, timeout: float) -> bytes:
        """See Paramiko, which reads the version line with it, however long that gets."""
        data: bytes = super()._read_timeout(timeout)  # type: ignore[misc]  # not in the stubs
        self._version_bytes += len(data)
        if self._version_bytes > MAX_VERSION_BYTES:
            raise paramiko.SSHException("the version line is too long")
        return data

    def close(self) -> None:
        """See Paramiko; here also where the connection is a channel of a jump host that is gone.

        Closing such a channel tells its host so, and EOFError out of that would end the thread of
        this session before it has closed its own socket and woken who waits for it.
        """
        with contextlib.suppress(EOFError):
            super().close()
