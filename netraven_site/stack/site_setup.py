"""Makes the site ready in this process: connections, tables, static files, first user."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from pathlib import Path

import dj_database_url
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection, connections
from django.db.migrations.executor import MigrationExecutor

from credentials.key_check import redaction_key_accept
from netraven_site.accounts.roles import roles_sync
from netraven_site.celery import app as celery_app
from netraven_site.key_gate import DatabaseDownError, WrongKeysError, require_keys
from netraven_site.results import backend_url
from netraven_site.stack.errors import StackError
from netraven_site.stack.state import StackState

ADMIN_USER = "admin"
_STAMP_NAME = ".collected"


def use_stack(state: StackState) -> None:
    """Connect this process to a stack that started after its settings were read."""
    use_database(state.database_url)
    celery_app.conf.update(broker_url=state.redis_url, result_backend=backend_url(state.redis_url))


def use_database(url: str) -> None:
    """Connect this process to a database that started after its settings were read."""
    fresh = dj_database_url.parse(url)
    target = connections.settings["default"]
    options = target.get("OPTIONS", {}) | fresh.get("OPTIONS", {})
    target.update({key: fresh[key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")})
    target["OPTIONS"] = options
    connections.close_all()


def disconnect() -> None:
    """Close what this process has open to the database."""
    connections.close_all()


def migrate() -> bool:
    """Bring tables and roles up to date; whether there was anything to do to the tables."""
    executor = MigrationExecutor(connection)
    if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
        roles_sync()
        return False
    call_command("migrate", interactive=False, verbosity=0)
    return True


def check_keys(*, accept_redaction_key: bool = False) -> None:
    """Compare the keys with what is stored. Raises StackError with one line per wrong key.

    With ``accept_redaction_key`` the redaction key counts as the right one, whatever it is.
    """
    if accept_redaction_key:
        redaction_key_accept()
    try:
        require_keys()
    except WrongKeysError as error:
        raise StackError(str(error)) from None
    except DatabaseDownError:
        raise StackError("the database stopped answering while the keys were checked") from None


def collect_static_files() -> bool:
    """Collect the static files unless nothing has changed; whether there was anything to do."""
    root = Path(settings.STATIC_ROOT)
    stamp = root / _STAMP_NAME
    fingerprint = _fingerprint(_static_files())
    if stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint:
        return False
    call_command("collectstatic", interactive=False, verbosity=0, clear=True)
    stamp.write_text(fingerprint, encoding="utf-8")
    return True


def create_first_user() -> str | None:
    """Make the administrator when there is no user at all; the password, or None."""
    users = get_user_model()._default_manager
    if users.exists():
        return None
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN_USER, password=password)
    return password


def _static_files() -> Iterable[Path]:
    for finder in get_finders():
        for name, storage in finder.list([]):
            yield Path(storage.path(name))


def _fingerprint(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        status = file.stat()
        digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
