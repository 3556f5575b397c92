"""What every session with a device needs around it."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import structlog
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection

from backups.engine.errors import DeviceError, ErrorCategory

logger = structlog.get_logger(__name__)

_P = ParamSpec("_P")
_T = TypeVar("_T")
#: So long a database may be away, or without space, before the work of a session is lost.
_PATIENCE_SECONDS = 300.0
_FIRST_DELAY, _LONGEST_DELAY = 0.5, 10.0
#: Connections of a process that nobody holds for long: the heartbeat and claims need some.
_KEPT_FREE = 2


@lru_cache(maxsize=1)
def _long_uses() -> threading.Semaphore:
    """Room for those who may hold a connection of this process for long."""
    return threading.Semaphore(max(1, settings.NETRAVEN.database_connections - _KEPT_FREE))


@contextmanager
def database_use(*, for_long: bool = False) -> Iterator[None]:
    """Give the database connection of this thread back to the pool at the end of the block.

    A session may wait for minutes and must not hold one meanwhile. ``for_long`` says that the block
    may wait for somebody else, as for the turn to write to Git: some connections are kept free of
    that, so that leases go on being renewed.
    """
    with _long_uses() if for_long else nullcontext():
        try:
            yield
        finally:
            connection.close()


def outlasts_database(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """Have ``work`` done again while the database restarts, is away, or has no space.

    A session brings home what took minutes to read; a message that was taken is not sent again for
    a while. ``work`` has to be right when done twice, as what a lost connection committed is not
    known. Inside a transaction nothing is done again: it is broken.
    """

    @wraps(work)
    def patient(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        give_up, delay = time.monotonic() + _PATIENCE_SECONDS, _FIRST_DELAY
        while True:
            try:
                return work(*args, **kwargs)
            # InternalError is what the end of a transaction raises that was idle for too long.
            except (OperationalError, InterfaceError, InternalError) as error:
                if connection.in_atomic_block or time.monotonic() > give_up:
                    raise
                connection.close()
                reason = str(error).partition("\n")[0]
                logger.warning("database.down", retry_seconds=delay, error=reason)
            time.sleep(delay)
            delay = min(2 * delay, _LONGEST_DELAY)

    return patient


def session_failure(*, what: str, error: Exception, **about: object) -> DeviceError:
    """What is recorded of ``error``, which ended the session ``what``; ``about`` says whose it was.

    Of an error that nobody foresaw, the log of this process says where it came from.
    """
    if not isinstance(error, DeviceError):
        _log_place({"what": what, **about}, error)
        return DeviceError(
            ErrorCategory.UNEXPECTED,
            f"an unexpected {type(error).__name__} happened; the worker's log has more",
        )
    if error.category is ErrorCategory.UNEXPECTED and error.__cause__ is not None:
        _log_place({"what": what, **about}, error.__cause__)
    return error


def _log_place(about: dict[str, object], error: BaseException) -> None:
    """Say where an unexpected error came from, and of which class it is.

    Its message is left out: it may quote what a device printed.
    """
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("session.failed", **about, error=type(error).__name__, exception=place)
