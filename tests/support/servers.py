"""PostgreSQL and Redis for a test session, from the embedded stack's own modules."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netraven_site.stack.postgres import EmbeddedPostgres
from netraven_site.stack.redis import EmbeddedRedis
from netraven_site.stack.supervisor import Supervisor
from tests.support.waiting import wait_for


@dataclass(frozen=True, slots=True)
class LocalServers:
    """Where the servers of this session are."""

    database_url: str
    redis_url: str
    #: PostgreSQL's, for what the application's role may not do.
    superuser_url: str


@contextmanager
def local_servers(data_dir: Path) -> Iterator[LocalServers]:
    """Both servers, running, with their data in ``data_dir``; stopped at the end."""
    postgres = EmbeddedPostgres(data_dir, durable=False)
    redis = EmbeddedRedis(data_dir, secrets.token_urlsafe(16), durable=False)
    supervisor = Supervisor(log_directory=data_dir / "log", say=print)
    try:
        for server in (redis, postgres):
            server.prepare()
            supervisor.start(server.spec())
        wait_for(postgres.answers, "PostgreSQL answers")
        wait_for(redis.answers, "Redis answers")
        postgres.ensure_database()
        yield LocalServers(postgres.url, redis.url, postgres.superuser_url)
    finally:
        supervisor.stop()
