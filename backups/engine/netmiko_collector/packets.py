"""SSH packets with a bound: Paramiko keeps whatever a host sends before the log-in."""

from __future__ import annotations

import contextlib
import socket

import paramiko
from paramiko.packet import Packetizer

#: RFC 4253 section 6.1 asks for 35 000; OpenSSH takes 256 KiB as well.
MAX_PACKET_BYTES = 256 * 1024
#: What may come before and with the version line (RFC 4253 section 4.2).
MAX_VERSION_BYTES = 64 * 1024


class BoundedPacketizer(Packetizer):
    """Reads no packet and no version line beyond the bounds; raises SSHException instead."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        self._version_bytes = 0

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
