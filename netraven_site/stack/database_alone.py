"""The database without the rest of the stack, for work that nothing may disturb."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netraven_site.config import Config
from netraven_site.stack import external, leftovers, site_setup
from netraven_site.stack.errors import StackError
from netraven_site.stack.lock import DataDirectoryLock
from netraven_site.stack.postgres import EmbeddedPostgres
from netraven_site.stack.supervisor import Supervisor

_SERVER_SECONDS = 60.0
_POLL_SECONDS = 0.05


@contextmanager
def database_alone(config: Config, *, say: Callable[[str], None]) -> Iterator[None]:
    """Have a database to work on, and connect this process to it.

    The embedded one is started and stopped; nothing else of NetRaven runs in its data directory
    meanwhile. One that DATABASE_URL names is asked whether it answers. Raises StackError.
    """
    if config.database_url is not None:
        external.require_database(config.database_url.get_secret_value())
        yield
        return
    data_dir = config.data_dir.resolve()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = DataDirectoryLock(data_dir)
    lock.acquire()
    supervisor = Supervisor(log_directory=data_dir / "log", say=say)
    try:
        leftovers.end(leftovers.marked(data_dir))
        database = EmbeddedPostgres(data_dir)
        database.prepare()
        supervisor.start(database.spec())
        _wait_for(database, supervisor)
        database.ensure_database()
        site_setup.use_database(database.url)
        yield
    finally:
        site_setup.disconnect()
        supervisor.stop()
        lock.release()


def _wait_for(database: EmbeddedPostgres, supervisor: Supervisor) -> None:
    deadline = time.monotonic() + _SERVER_SECONDS
    while not database.answers():
        reason = supervisor.failure()
        if reason is not None:
            raise StackError(reason)
        if time.monotonic() > deadline:
            raise StackError(f"PostgreSQL does not answer within {_SERVER_SECONDS:.0f} s")
        time.sleep(_POLL_SECONDS)
