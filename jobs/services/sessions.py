"""What every session with a device needs around it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from backups.engine.errors import DeviceError, ErrorCategory

logger = logging.getLogger(__name__)


@contextmanager
def database_use() -> Iterator[None]:
    """Give the database connection of this thread back to the pool at the end of the block.

    A session may wait for minutes and must not hold one meanwhile.
    """
    try:
        yield
    finally:
        connection.close()


def session_failure(*, what: str, error: Exception) -> DeviceError:
    """What is recorded of ``error``, which ended a session; ``what`` is as ``"device result 7"``.

    Of an error that nobody foresaw, the log of this process says where it came from.
    """
    if not isinstance(error, DeviceError):
        _log_place(what, error)
        return DeviceError(
            ErrorCategory.UNEXPECTED,
            f"an unexpected {type(error).__name__} happened; the worker's log has more",
        )
    if error.category is ErrorCategory.UNEXPECTED and error.__cause__ is not None:
        _log_place(what, error.__cause__)
    return error


def _log_place(what: str, error: BaseException) -> None:
    """Say where an unexpected error came from, and of which class it is.

    Its message is left out: it may quote what a device printed.
    """
    place = "".join(traceback.format_tb(error.__traceback__))
    logger.error("%s: %s at\n%s", what, type(error).__name__, place)
