"""The transport that Celery talks to Redis with."""

from __future__ import annotations

from netraven_site.broker import Channel
from netraven_site.celery import app


def test_a_channel_keeps_its_client_as_long_as_its_connections() -> None:
    with app.connection_for_write() as connection:
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        with channel.conn_or_acquire() as client:
            assert client.ping()
        with channel.conn_or_acquire() as again:
            assert again is client
        channel._disconnect_pools()  # type: ignore[attr-defined]  # not in the stubs
        with channel.conn_or_acquire() as fresh:
            assert fresh is not client
            assert fresh.ping()
