"""Whether this process can do its work: database, tables, keys, broker, Git store.

Reasons are for whoever may reach the site: they name no host, path or user.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import ProgrammingError

from backups.selectors.git import git_is_queued
from common.commands import ask_database
from jobs.monitoring.attention import git_store_problem
from jobs.monitoring.broker import broker_state
from netraven_site.key_gate import DatabaseDownError, WrongKeysError, require_keys

#: Somebody who asks again and again gets the same answer for so long.
_FRESH_SECONDS = 2.0
_DATABASE_DOWN = "the database does not answer"
_UNKNOWN = "not known while the database does not answer"


@dataclass(slots=True)
class Readiness:
    """Answers for one process. What cannot become wrong while it runs is asked until it is right.

    Counting which keys are needed takes a while, and no other code comes while this one runs.
    """

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _settled: set[str] = field(default_factory=set)
    _asked_at: float = -_FRESH_SECONDS
    _problems: dict[str, str] = field(default_factory=dict)

    def problems(self) -> dict[str, str]:
        """For each part what is wrong with it, one line; empty for what is well."""
        with self._lock:
            if time.monotonic() - self._asked_at >= _FRESH_SECONDS:
                self._problems = self._ask()
                self._asked_at = time.monotonic()
            return self._problems

    def _ask(self) -> dict[str, str]:
        found = {"database": _database(), "broker": broker_state(queues=()).problem}
        if found["database"]:
            return {**found, "migrations": _UNKNOWN, "keys": _UNKNOWN, "git": _UNKNOWN}
        try:
            found["migrations"] = self._once("migrations", _migrations)
            found["keys"] = self._once("keys", _keys)
            found["git"] = "" if found["migrations"] else _git()
        except (OperationalError, InterfaceError, ProgrammingError) as error:
            found["database"] = f"{_DATABASE_DOWN} as it should ({type(error).__name__})"
        finally:
            connection.close()
        return found

    def _once(self, name: str, ask: Callable[[], str]) -> str:
        problem = "" if name in self._settled else ask()
        if not problem:
            self._settled.add(name)
        return problem


def _database() -> str:
    try:
        ask_database()
    except (OperationalError, InterfaceError):
        return f"{_DATABASE_DOWN}; check that it runs, and DATABASE_URL"
    return ""


def _migrations() -> str:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not missing:
        return ""
    return f"{len(missing)} migrations are not applied; run 'python manage.py migrate'"


def _keys() -> str:
    try:
        require_keys()
    except WrongKeysError:
        return "the keys do not fit what is stored; 'python manage.py check_keys' says which"
    except DatabaseDownError:
        return _UNKNOWN
    return ""


def _git() -> str:
    if git_is_queued() or not git_store_problem():
        return ""  # where only the queue writes to Git, other hosts do without
    return "this host does not reach the Git store; check that its disk is mounted"
