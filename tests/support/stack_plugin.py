"""pytest plugin: PostgreSQL, Redis and safe settings for the session, before Django loads.

``tests/conftest.py`` loads it. ``DATABASE_URL`` and ``REDIS_URL`` of the environment win;
otherwise embedded servers start in a temporary directory and go with it. A run of nothing but
``tests/unit`` starts no server. With ``--numprocesses`` each process has servers of its own.
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

import pytest

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


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Prepare the environment, then name the settings.

    pytest-django reads the settings before it loads a ``conftest.py`` when the configuration file
    names them, so they are named here: the way it documents for settings made at run time.
    """
    if config.option.help or config.option.version:
        return
    if config.getoption("numprocesses", None):
        return  # runs no test itself; its processes come by here and have servers of their own
    if "netraven_site.settings" in sys.modules:
        raise pytest.UsageError("unset DJANGO_SETTINGS_MODULE; tests.support.stack_plugin sets it")
    resources = ExitStack()
    config.add_cleanup(resources.close)
    data_dir = Path(tempfile.mkdtemp(prefix="netraven-tests-"))
    resources.callback(shutil.rmtree, data_dir)
    _set_environment(data_dir)
    if _needs_servers(config):
        _start_servers(data_dir, resources)
    if config.pluginmanager.hasplugin("django"):
        _load_settings()


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


def _start_servers(data_dir: Path, resources: ExitStack) -> None:
    # Imports Celery and Django; a run that needs no server does without.
    from tests.support.servers import local_servers

    servers = resources.enter_context(local_servers(data_dir))
    os.environ.setdefault("DATABASE_URL", servers.database_url)
    os.environ.setdefault("REDIS_URL", servers.redis_url)


def _load_settings() -> None:
    """pytest-django sets Django up only when it finds the settings loaded."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "netraven_site.settings"
    from django.conf import settings

    settings.INSTALLED_APPS  # noqa: B018 - reading one loads them all
