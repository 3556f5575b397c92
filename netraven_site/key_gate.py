"""Nothing starts with keys that do not fit what is stored.

Worker, beat, web and ``manage.py up`` come through here before they do anything. The encryption
keys have to open what is stored, and the redaction key has to be the one that made the tokens.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import structlog
from celery.signals import beat_init, worker_init
from django.conf import settings
from django.core import checks
from django.db import InterfaceError, OperationalError, connection
from django.db.utils import ProgrammingError

from backups.services.key_rotation import keys_check
from common.commands import ask_database
from credentials.key_check import redaction_key_keep, redaction_key_problem

logger = structlog.get_logger(__name__)

#: Asks nothing of the database, so it goes past the gate of the web.
_HEALTH_PATH = "/healthz"
#: SQLSTATE undefined_table and undefined_column.
_NO_TABLE = {"42P01", "42703"}
_POLL_SECONDS = 1.0
#: How often a process that waits for the database says so.
_REMIND_SECONDS = 30.0


class DatabaseDownError(Exception):
    """The keys cannot be compared with anything: the database does not answer."""


class WrongKeysError(Exception):
    """The configured keys do not fit what is stored. The message has one line per key."""


def require_keys() -> None:
    """Return if the configured keys fit what is stored, and keep the redaction key's fingerprint.

    Raises WrongKeysError, and DatabaseDownError when nothing can be said. Tables that are not
    there yet need no key.
    """
    try:
        ask_database()
        findings = keys_check()
        problems = [*findings.wrong, *_refused(findings.missing)]
        problems += filter(None, [redaction_key_problem()])
        if not problems:
            redaction_key_keep()
    except (OperationalError, InterfaceError) as error:
        raise DatabaseDownError from error
    except ProgrammingError as error:
        if not _is_not_set_up(error):
            raise
        logger.warning("keys.unchecked", reason="the database is not set up yet")
        return
    if problems:
        raise WrongKeysError("\n".join(problems))


def require_keys_when_possible() -> None:
    """``require_keys`` as soon as the database answers, however long that takes.

    Ends the process where the keys are wrong.
    """
    reminded = 0.0
    while True:
        try:
            require_keys()
        except DatabaseDownError:
            if time.monotonic() - reminded >= _REMIND_SECONDS:
                logger.warning("database.down", postponed="check of the keys and all work")
                reminded = time.monotonic()
            time.sleep(_POLL_SECONDS)
        except WrongKeysError as error:
            _refuse(error)
        else:
            return
        finally:
            connection.close()


class KeyGate:
    """A WSGI application that answers only while the keys are known to be right.

    Ends the process where they are wrong when it is made. While the database is down nothing can
    be said: requests go through, and each asks again, as nothing is written or read without a
    database either. Keys that turn out to be wrong then are answered with status 503.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._lock = threading.Lock()
        self._is_open = False
        try:
            self._ask()
        except WrongKeysError as error:
            _refuse(error)
        finally:
            # gunicorn forks after this: the threads of a pool would not come along.
            connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's alone

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        if not self._is_open and environ["PATH_INFO"] != _HEALTH_PATH:
            try:
                with self._lock:
                    self._ask()
            except WrongKeysError as error:
                _say(error)
                start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
                return [b"NetRaven's keys do not fit its database; the log says which.\n"]
        return self._application(environ, start_response)

    def _ask(self) -> None:
        if self._is_open:
            return
        try:
            require_keys()
        except DatabaseDownError:
            logger.warning("keys.unchecked", reason="the database does not answer")
        else:
            self._is_open = True
        finally:
            connection.close()


def check_keys(databases: Iterable[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Django's system check, run by ``check --database default`` and before ``migrate``."""
    if not databases:
        return []
    found: list[checks.CheckMessage] = []
    try:
        findings = keys_check()
        found += [checks.Error(line, id="netraven.E001") for line in findings.wrong]
        kind = checks.Warning if settings.NETRAVEN.allow_missing_keys else checks.Error
        found += [kind(line, id="netraven.E002") for line in findings.missing]
        problem = redaction_key_problem()
        found += [checks.Error(problem, id="netraven.E003")] if problem else []
    except (OperationalError, InterfaceError) as error:
        logger.debug("keys.unchecked", reason="the database does not answer", error=str(error))
    except ProgrammingError as error:
        if not _is_not_set_up(error):
            raise
    return found


def connect() -> None:
    """Stand before every worker and beat, and among Django's checks."""
    for signal in (worker_init, beat_init):
        signal.connect(_on_start, weak=False, dispatch_uid="netraven-key-gate")
    checks.register(check_keys, checks.Tags.database)


def _on_start(**_: Any) -> None:
    require_keys_when_possible()


def _refused(missing: Iterable[str]) -> list[str]:
    """The lines that keep a process from starting; those that it may start with are logged."""
    if not settings.NETRAVEN.allow_missing_keys:
        return list(missing)
    for line in missing:
        _say(f"NETRAVEN_ALLOW_MISSING_KEYS lets this pass: {line}")
    return []


def _is_not_set_up(error: ProgrammingError) -> bool:
    return getattr(error.__cause__, "sqlstate", None) in _NO_TABLE


def _refuse(error: WrongKeysError) -> NoReturn:
    _say(error)
    raise SystemExit(1)


def _say(text: object) -> None:
    """Write ``text``, which holds no secret, past the log: redaction takes "key 'k1'" for one."""
    for line in str(text).splitlines():
        print(f"netraven: {line}", file=sys.__stderr__, flush=True)
