"""What would open the installation to others does not start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from netraven_site.config import Config, ConfigurationError
from netraven_site.exposure import exposure_check

DATABASE = "postgresql://u:p@db/x"


@pytest.fixture(autouse=True)
def no_other_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests themselves run on is not what is asked about."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"debug": True, "web_bind": "0.0.0.0"}, "NETRAVEN_DEBUG"),  # noqa: S104  # refused
        ({"debug": True, "https": True}, "NETRAVEN_DEBUG"),
        ({"debug": True, "database_url": DATABASE}, "NETRAVEN_DEBUG"),
        ({"redis_url": "redis://redis:6379/0"}, "names no password"),
        ({"redis_url": "redis://user@redis:6379/0"}, "names no password"),
        ({"redis_url": "rediss://10.0.0.1/0"}, "names no password"),
    ],
)
def test_is_refused(values: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        exposure_check(Config(data_dir=tmp_path, **values))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"debug": True},
        {"redis_url": "redis://:secret@redis:6379/0"},
        {"redis_url": "redis://127.0.0.1:6379/0"},
    ],
)
def test_is_let_through(values: dict[str, Any], tmp_path: Path) -> None:
    config = Config(data_dir=tmp_path, **values)
    assert exposure_check(config) is config


def test_messages_are_json_and_nothing_else_is_read() -> None:
    for name in ("ACCEPT_CONTENT", "RESULT_ACCEPT_CONTENT"):
        assert getattr(settings, f"CELERY_{name}") == ["json"]
    assert settings.CELERY_TASK_SERIALIZER == settings.CELERY_RESULT_SERIALIZER == "json"
