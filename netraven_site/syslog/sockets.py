"""Messages off the network, UDP and TCP on one port, over IPv4 and IPv6."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from netraven_site.stack.errors import StackError
from netraven_site.syslog.directory import plain_address
from netraven_site.syslog.message import LONGEST

#: Takes the source and one message.
Take = Callable[[str, bytes], None]
#: What the kernel keeps while we are busy; it may grant less (net.core.rmem_max).
_BUFFER_BYTES: Final = 8 * 1024 * 1024
#: Datagrams that are read before others get their turn.
_AT_ONCE: Final = 256
_MOST_CONNECTIONS: Final = 512
_MOST_OF_ONE_SOURCE: Final = 16
_IDLE_SECONDS: Final = 900.0


class Sockets:
    """The sockets of one listener; to be used inside a running loop."""

    def __init__(self, take: Take, counts: Counter[str]) -> None:
        self._take = take
        self._counts = counts
        self._connections: Counter[str] = Counter()
        self._datagrams: socket.socket | None = None
        self._server: asyncio.Server | None = None

    async def open(self, address: str, port: int) -> int:
        """Listen; gives the port, which is another one than ``port`` where that is 0.

        Raises StackError.
        """
        try:
            # TCP first: a free port for UDP may be somebody's own end of a TCP connection.
            stream = _bound(address, port, socket.SOCK_STREAM)
            self._server = await asyncio.start_server(self._serve, sock=stream, limit=2 * LONGEST)
            bound = int(stream.getsockname()[1])
            self._datagrams = _bound(address, bound, socket.SOCK_DGRAM)
        except OSError as error:
            await self.close()
            raise StackError(
                f"port {port} on {address} cannot be used ({error.strerror}); set "
                "NETRAVEN_SYSLOG_BIND and NETRAVEN_SYSLOG_PORT to what is free; ports below 1024 "
                "need a right of their own"
            ) from None
        asyncio.get_running_loop().add_reader(self._datagrams, self._read_datagrams)
        return bound

    async def close(self) -> None:
        """Listen no more; connections end with the loop."""
        if self._datagrams is not None:
            asyncio.get_running_loop().remove_reader(self._datagrams)
            self._datagrams.close()
        if self._server is not None:
            self._server.close()

    def _read_datagrams(self) -> None:
        assert self._datagrams is not None
        for _ in range(_AT_ONCE):
            try:
                payload, sender = self._datagrams.recvfrom(LONGEST)
            except BlockingIOError:
                return
            except OSError:  # what the network says of an earlier datagram
                continue
            self._take(_source(sender), payload)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = _source(writer.get_extra_info("peername") or ("",))
        if (
            self._connections.total() >= _MOST_CONNECTIONS
            or self._connections[source] >= _MOST_OF_ONE_SOURCE
        ):
            self._counts["refused_connections"] += 1
            writer.close()
            return
        self._connections[source] += 1
        try:
            await self._read_stream(source, reader)
        finally:
            self._connections[source] -= 1
            self._connections += Counter()  # forgets sources without a connection
            writer.close()

    async def _read_stream(self, source: str, reader: asyncio.StreamReader) -> None:
        """Until the other end is silent for long, breaks off or sends what is no message."""
        with suppress(asyncio.IncompleteReadError, ValueError, OSError, TimeoutError):
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    message = await _next_message(reader)
                if message:
                    self._take(source, message)
                # Others get their turn, however much one of them sends.
                await asyncio.sleep(0)


async def _next_message(reader: asyncio.StreamReader) -> bytes:
    """One message of a stream (RFC 6587): with its length in front, or up to a line end.

    Raises ValueError for one that is too long, IncompleteReadError at the end.
    """
    first = await reader.readexactly(1)
    if first == b"\n":
        return b""
    has_length = first.isdigit() and first != b"0"
    try:
        line = first + await reader.readuntil(b" " if has_length else b"\n")
    except asyncio.LimitOverrunError as error:
        raise ValueError("a line that is too long") from error
    if not has_length:
        return line.strip(b"\r\n\0")
    length = int(line)
    if length > LONGEST:
        raise ValueError("a message that is too long")
    return await reader.readexactly(length)


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    is_v6 = ipaddress.ip_address(address).version == 6
    opened = socket.socket(socket.AF_INET6 if is_v6 else socket.AF_INET, kind)
    try:
        if is_v6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind is socket.SOCK_DGRAM:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address, port))
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


def _source(sender: Any) -> str:
    """The address of a peer in its one form."""
    return plain_address(str(sender[0]))
