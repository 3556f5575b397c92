"""Kombu's Redis transport with one client per channel."""

from __future__ import annotations

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis


class Channel(redis.Channel):
    """Keeps the client that Kombu 5.7 makes anew for each acknowledgement and each event.

    Making one with redis-py 8 took a twentieth of a worker's CPU. The client is only a way to the
    pool of connections, which stays the same.
    """

    _kept: Any = None

    def _create_client(self, asynchronous: bool = False) -> Any:
        if asynchronous:
            return super()._create_client(asynchronous=True)  # type: ignore[misc]  # not in the stubs
        if self._kept is None or self._kept.connection_pool is not self.pool:
            self._kept = super()._create_client()  # type: ignore[misc]  # not in the stubs
        return self._kept


class Transport(redis.Transport):
    """Kombu's transport with the channel above."""

    Channel = Channel


def connect() -> None:
    """Have every connection to ``redis://`` use the transport above."""
    TRANSPORT_ALIASES["redis"] = f"{Transport.__module__}:{Transport.__qualname__}"
