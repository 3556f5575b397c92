"""pytest plugin: PostgreSQL, Redis and safe settings for the session, before Django loads.

``tests/conftest.py`` loads it. ``DATABASE_URL`` and ``REDIS_URL`` of the environment win;
otherwise embedded servers start in a temporary directory and go with it. A run of nothing but
``tests/unit`` starts no server. With ``--numprocesses`` each process has servers of its own, and
all of them copy the same prepared database.
"""

from __future__ import annotations

import base64
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from tests.support import prepared

#: Loopback devices are allowed, and nobody waits long for one that does not answer.
_SETTINGS = {
    "NETRAVEN_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
    "NETRAVEN_CONNECT_TIMEOUT_SECONDS": "3",
    "NETRAVEN_LOGIN_TIMEOUT_SECONDS": "5",
    "NETRAVEN_COMMAND_TIMEOUT_SECONDS": "10",
    "NETRAVEN_DEVICE_DEADLINE_SECONDS": "30",
    "NETRAVEN_RETRY_BACKOFF_SECONDS": "0.1",
    "NETRAVEN_RETRY_BACKOFF_MAX_SECONDS": "1",
}
#: A database with all tables, from which pytest-django makes the one of the tests.
_TEMPLATE = "netraven_prepared"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment, then name the settings.

    pytest-django reads the settings before it loads a ``conftest.py`` when the configuration file
    names them, so they are named here: the way it documents for settings made at run time.
    """
    if config.option.help or config.option.version:
        return
    # The tests start hundreds of processes, and each would compile all modules anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    resources = ExitStack()
    config.add_cleanup(resources.close)
    if config.getoption("numprocesses", None):
        # It runs no test itself; its processes come by here and have servers of their own.
        os.environ[prepared.VARIABLE] = str(_temporary_directory(resources) / "prepared")
        return
    if "netraven_site.settings" in sys.modules:
        raise pytest.UsageError("unset DJANGO_SETTINGS_MODULE; tests.support.stack_plugin sets it")
    data_dir = _temporary_directory(resources)
    os.environ.setdefault(prepared.VARIABLE, str(data_dir / "prepared"))
    _set_environment(data_dir)
    template = None
    if _needs_servers(config):
        # A process that is alone makes its tables itself: that takes less than to prepare them.
        template = _TEMPLATE if hasattr(config, "workerinput") else None
        _start_servers(data_dir, resources, template)
    if config.pluginmanager.hasplugin("django"):
        _load_settings(template)


def _temporary_directory(resources: ExitStack) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="netraven-tests-"))
    resources.callback(shutil.rmtree, directory)
    return directory


def _set_environment(data_dir: Path) -> None:
    os.environ["NETRAVEN_DATA_DIR"] = str(data_dir)
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    generated = {
        "NETRAVEN_SECRET_KEY": secrets.token_urlsafe(48),
        "NETRAVEN_ENCRYPTION_KEYS": f"test:{key}",
        "NETRAVEN_REDACTION_KEY": secrets.token_urlsafe(32),
    }
    for name, value in (_SETTINGS | generated).items():
        os.environ.setdefault(name, value)


def _needs_servers(config: pytest.Config) -> bool:
    if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
        return False
    return not config.option.collectonly and not _only_unit_tests(config.option.file_or_dir)


def _only_unit_tests(targets: Sequence[str]) -> bool:
    unit = Path(__file__).parents[1] / "unit"
    paths = [Path(target.split("::")[0]).resolve() for target in targets]
    return bool(paths) and all(path == unit or unit in path.parents for path in paths)


def _start_servers(data_dir: Path, resources: ExitStack, template: str | None) -> None:
    # Imports Celery and Django; a run that needs no server does without.
    from tests.support.servers import local_servers

    if template is not None:
        prepared.copy_database(data_dir)
    servers = resources.enter_context(local_servers(data_dir))
    _allow_test_databases(servers.superuser_url, template)
    os.environ.setdefault("DATABASE_URL", servers.database_url)
    os.environ.setdefault("REDIS_URL", servers.redis_url)


def _allow_test_databases(superuser_url: str, template: str | None) -> None:
    """Have the role make databases, as pytest-django needs it; keep the one with tables apart."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("ALTER ROLE netraven CREATEDB")
        if template is not None:
            connection.execute(f"ALTER DATABASE netraven RENAME TO {template}")
            connection.execute("CREATE DATABASE netraven OWNER netraven")


def _load_settings(template: str | None) -> None:
    """pytest-django sets Django up only when it finds the settings loaded."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "netraven_site.settings"
    from django.conf import settings

    # ``template``: the database that pytest-django's begins as.
    settings.DATABASES["default"]["TEST"] = {"TEMPLATE": template}
    # A million rounds per password are there to cost an attacker time.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
