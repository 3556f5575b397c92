"""Failures of the Git store, in words that say what to do next."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from backups.engine.errors import DeviceError, ErrorCategory

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NOT_WRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_REPOSITORY = frozenset({errno.EEXIST, errno.ENOENT, errno.ENOTDIR})


def store_failure(message: str) -> DeviceError:
    """Return the error for a failure of the store; ``message`` is one line."""
    return DeviceError(ErrorCategory.STORE_FAILURE, message)


def damaged(detail: str) -> DeviceError:
    """Return the error for a repository whose content cannot be trusted."""
    return store_failure(
        f"The Git store is damaged: {detail}. Run 'python manage.py verify_store' to see what is "
        "affected, and 'python manage.py verify_store --repair' to mend it."
    )


@contextmanager
def os_errors_named(repository: Path) -> Iterator[None]:
    """Turn an OSError inside the block into a DeviceError of category STORE_FAILURE."""
    try:
        yield
    except OSError as error:
        raise store_failure(_in_plain_words(error, repository)) from error


def _in_plain_words(error: OSError, repository: Path) -> str:
    reason = error.strerror or type(error).__name__
    if error.errno in _DISK_FULL:
        return f"No space for the Git store at {repository} ({reason}): free or add disk space."
    if error.errno in _NOT_WRITABLE:
        return (
            f"The Git store at {repository} is not accessible ({reason}): "
            "give its owner and mode back to the user that runs NetRaven."
        )
    if error.errno in _NO_REPOSITORY:
        return (
            f"There is no complete Git store at {repository} ({reason}): check the configured "
            "path and that its disk is mounted."
        )
    return f"The Git store at {repository} failed ({reason}): check its disk and system limits."
