"""Keys for tests: other ones for this process, and commands of manage.py with their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from django.db import connection
from pydantic import SecretStr

from credentials.cipher import generate_key
from credentials.services import installation_cipher

_PROJECT = Path(__file__).parents[2]

OLD, NEW, OTHER = (generate_key(name) for name in ("old", "new", "other"))


@contextmanager
def fresh_cipher() -> Iterator[None]:
    """What is cached of the keys does not outlive a test that changes them."""
    installation_cipher.cache_clear()
    try:
        yield
    finally:
        installation_cipher.cache_clear()


def use_keys(configure: Callable[..., None], *keys: str) -> None:
    """Let this process use ``keys``, the first one to encrypt."""
    configure(encryption_keys=SecretStr(",".join(keys)))
    installation_cipher.cache_clear()


def environment(*keys: str, **settings: str) -> dict[str, str]:
    """The environment of a process that works on the database of the tests with ``keys``."""
    server = urlsplit(os.environ["DATABASE_URL"])
    url = server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()
    return os.environ | {
        "DATABASE_URL": url,
        "NETRAVEN_ENCRYPTION_KEYS": ",".join(keys),
        "DJANGO_SETTINGS_MODULE": "netraven_site.settings",
        **settings,
    }


def start(
    *argv: str, env: dict[str, str], output: IO[str] | int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start Python with arguments, both its outputs going to ``output``; the caller waits."""
    return subprocess.Popen(
        [sys.executable, *argv],
        cwd=_PROJECT,
        env=env,
        stdout=output,
        stderr=output,
        text=True,
    )


def run(*argv: str, env: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run Python with arguments to its end."""
    with start(*argv, env=env) as process:
        try:
            output, errors = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
