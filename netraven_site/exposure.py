"""Configurations that would open the installation to others: with them nothing starts."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from netraven_site.config import Config, ConfigurationError

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def exposure_check(config: Config) -> Config:
    """``config`` itself. Raises ConfigurationError, which names every such setting."""
    problems = [problem for problem in (_debug(config), _open_broker(config)) if problem]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return config


def _debug(config: Config) -> str | None:
    is_private = config.embedded and config.web_bind in _THIS_MACHINE and not config.https
    if not config.debug or is_private:
        return None
    return (
        "NETRAVEN_DEBUG=true shows code and settings to whoever reaches the web; it is for the "
        "embedded stack on a loopback address only"
    )


def _open_broker(config: Config) -> str | None:
    if config.redis_url is None:
        return None
    parts = urlsplit(config.redis_url.get_secret_value())
    if parts.password or parts.hostname in _THIS_MACHINE:
        return None
    return (
        "REDIS_URL names no password: whoever reaches that Redis gives orders to the workers; set "
        "one there (requirepass), and redis://:PASSWORD@HOST here"
    )
