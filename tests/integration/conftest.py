"""Real parts for integration tests: a Celery worker and a Git store of their own.

Django is set up after pytest has loaded this file, so models are imported inside the fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

QUEUES = ("control", "devices", "isolated", "git")


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings of the typed configuration for one test."""
    from django.conf import settings

    def change(**values: Any) -> None:
        config = settings.NETRAVEN.model_copy(update=values)
        monkeypatch.setattr(settings, "NETRAVEN", config)

    return change


@pytest.fixture
def git_directory(tmp_path: Path, configure: Callable[..., None]) -> Iterator[Path]:
    """A Git store of this test's own."""
    from backups.selectors.git import git_store

    path = tmp_path / "configs.git"
    configure(git_path=path)
    git_store.cache_clear()
    yield path
    git_store.cache_clear()


@pytest.fixture
def worker(transactional_db: None, git_directory: Path) -> Iterator[None]:
    """A worker in this process, on the real broker, for all queues."""
    from tests.support.worker_in_process import worker_in_process

    with worker_in_process(*QUEUES, concurrency=8):
        yield


@pytest.fixture
def web(settings: Any, tmp_path: Path) -> None:
    """Pages and API without collected static files; nobody has tried to log in lately."""
    from django.core.cache import cache

    cache.clear()
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATIC_ROOT.mkdir()
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
