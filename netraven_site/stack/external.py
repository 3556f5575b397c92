"""Servers that the configuration names: asked once before anything is built on them."""

from __future__ import annotations

import psycopg
import redis

from netraven_site.stack.errors import StackError

_SECONDS = 5


def require_database(url: str) -> None:
    """Raise StackError with the reason unless the database at ``url`` takes connections."""
    try:
        psycopg.connect(url, connect_timeout=_SECONDS).close()
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise StackError(f"DATABASE_URL: the database does not answer: {reason}") from None


def require_redis(url: str) -> None:
    """Raise StackError with the reason unless the Redis server at ``url`` takes commands."""
    client = redis.Redis.from_url(url, socket_connect_timeout=_SECONDS, socket_timeout=_SECONDS)
    try:
        client.ping()
    except redis.RedisError as error:
        raise StackError(f"REDIS_URL: the Redis server does not answer: {error}") from None
    finally:
        client.close()
