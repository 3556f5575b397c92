"""A syslog listener in a thread of the test, and somebody who sends to it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings

from netraven_site.syslog.listener import Listener


@dataclass
class RunningListener:
    """Where it listens."""

    address: str
    port: int

    def send(self, message: str) -> None:
        """One datagram."""
        with self._socket(socket.SOCK_DGRAM) as opened:
            opened.sendto(message.encode(), (self.address, self.port))

    def stream(self) -> socket.socket:
        """A TCP connection."""
        opened = self._socket(socket.SOCK_STREAM)
        opened.settimeout(10)
        opened.connect((self.address, self.port))
        return opened

    def _socket(self, kind: socket.SocketKind) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        return socket.socket(family, kind)


@contextmanager
def running_listener(
    bind: str = "127.0.0.1", address: str = "127.0.0.1"
) -> Iterator[RunningListener]:
    """A listener bound to ``bind`` that is sent to at ``address``."""
    ports: list[int] = []
    is_ready = threading.Event()

    def say(line: str) -> None:
        ports.append(int(line.partition(" port ")[2].partition(",")[0]))
        is_ready.set()

    listener = Listener(settings.NETRAVEN, say=say, tick_seconds=0.05)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(listener.run(bind, 0),))
    thread.start()
    try:
        assert is_ready.wait(30), "the listener does not come up"
        yield RunningListener(address, ports[0])
    finally:
        loop.call_soon_threadsafe(listener.stop)
        thread.join(30)
        loop.close()
