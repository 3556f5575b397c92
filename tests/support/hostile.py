"""Servers on a device's SSH port that are no SSH servers, or stop being one.

with hostile_servers() as ports:
    socket.create_connection(("127.0.0.1", ports[Hostility.SILENT]))
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum

from tests.support.loop_thread import LoopThread

ADDRESS = "127.0.0.1"
_SSH_VERSION = b"SSH-2.0-OpenSSH_9.6\r\n"
#: Asks for two options, clears the screen, and asks for a name (RFC 854, RFC 857, RFC 1091).
_TELNET = b"\xff\xfd\x18\xff\xfb\x01\x1b[2J\r\nUser Access Verification\r\n\r\nUsername: "
_PIECE = 65_536
_BANNER_BYTES = 3_000_000
#: With what sets the clipboard of whoever looks at it in a terminal (OSC 52).
BANNER_LINE = b"Authorised use only.\x1b]52;c;Y3VybCBldmlsLmV4YW1wbGU=\x07\r\n"
#: Length and padding of a packet (RFC 4253 section 6) of nearly 2 GiB that begins with a KEXINIT.
_GIANT_PACKET = struct.pack(">IBB", 0x7FFF_FFF4, 4, 20)


class Hostility(StrEnum):
    """What a server does to whoever connects."""

    #: Accepts, and says nothing.
    SILENT = "silent"
    #: Talks like a Telnet server, and then in random bytes without end.
    GARBAGE = "garbage"
    #: 3 MB of lines before the SSH version line, which RFC 4253 section 4.2 allows.
    LINES_BEFORE_VERSION = "lines-before-version"
    #: A line that never ends in place of the SSH version line.
    ENDLESS_VERSION = "endless-version"
    #: A first packet of nearly 2 GiB, sent as fast as it is taken.
    GIANT_PACKET = "giant-packet"


@contextmanager
def hostile_servers() -> Iterator[Mapping[Hostility, int]]:
    """One server of each kind in a thread of this process: the port of each."""
    thread = LoopThread("hostile-servers")
    thread.start()
    servers = _Servers()
    try:
        yield thread.run(servers.start())
    finally:
        thread.run(servers.stop())
        thread.stop()


class _Servers:
    """All servers of one event loop."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._conversations: set[asyncio.Task[None]] = set()

    async def start(self) -> dict[Hostility, int]:
        """Listen; the port of each."""
        ports = {}
        for hostility, talk in _TALKS.items():
            server = await asyncio.start_server(self._answering(talk), ADDRESS, 0)
            self._servers.append(server)
            ports[hostility] = server.sockets[0].getsockname()[1]
        return ports

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        for server in self._servers:
            server.close()
        for conversation in list(self._conversations):
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)

    def _answering(self, talk: _Talk) -> Callable[..., Awaitable[None]]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._conversations.add(task)
            task.add_done_callback(self._conversations.discard)
            try:
                with contextlib.suppress(ConnectionError):  # the other side has had enough
                    await talk(writer)
                    while await reader.read(_PIECE):
                        continue
            finally:
                writer.transport.abort()

        return answer


_Talk = Callable[[asyncio.StreamWriter], Awaitable[None]]


async def _say(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


async def _silent(_writer: asyncio.StreamWriter) -> None:
    return


async def _garbage(writer: asyncio.StreamWriter) -> None:
    source = random.Random(1)  # noqa: S311 - the same garbage at each run
    await _say(writer, _TELNET)
    while True:
        await _say(writer, source.randbytes(_PIECE))


async def _lines_before_version(writer: asyncio.StreamWriter) -> None:
    await _say(writer, BANNER_LINE * (_BANNER_BYTES // len(BANNER_LINE)) + _SSH_VERSION)


async def _endless_version(writer: asyncio.StreamWriter) -> None:
    await _say(writer, _SSH_VERSION.rstrip())
    while True:
        await _say(writer, b"x" * _PIECE)


async def _giant_packet(writer: asyncio.StreamWriter) -> None:
    await _say(writer, _SSH_VERSION + _GIANT_PACKET)
    while True:
        await _say(writer, b"\x00" * _PIECE)


_TALKS: Mapping[Hostility, _Talk] = {
    Hostility.SILENT: _silent,
    Hostility.GARBAGE: _garbage,
    Hostility.LINES_BEFORE_VERSION: _lines_before_version,
    Hostility.ENDLESS_VERSION: _endless_version,
    Hostility.GIANT_PACKET: _giant_packet,
}
