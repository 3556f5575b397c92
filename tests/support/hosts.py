"""Hosts with nothing but workers: directories and processes of their own, shared servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from django.db import connection

from netraven_site.config import PROJECT_DIR
from tests.support.waiting import wait_for

_READY_SECONDS = 240
#: Times short enough for a test, long enough for a busy machine.
_TIMES = {
    "NETRAVEN_LEASE_SECONDS": "6",
    "NETRAVEN_HEARTBEAT_SECONDS": "1",
    "NETRAVEN_RECONCILE_SECONDS": "1",
    "NETRAVEN_MESSAGE_TTL_SECONDS": "6",
}


def database_url() -> str:
    """``DATABASE_URL`` of the database that the running test works on."""
    server = urlsplit(os.environ["DATABASE_URL"])
    return server._replace(path=f"/{connection.settings_dict['NAME']}").geturl()


class Host:
    """``manage.py worker`` with a data directory of its own. A context, so that nothing is left."""

    def __init__(self, directory: Path, *options: str, **settings: str) -> None:
        """``options`` are those of the command, ``settings`` environment variables."""
        directory.mkdir()
        self.data_dir = directory / "data"
        self._output = directory / "output"
        self._options = options
        self._environment = os.environ | {
            "DATABASE_URL": database_url(),
            "NETRAVEN_DATA_DIR": str(self.data_dir),
            **_TIMES,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until its workers answer."""
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "manage.py", "worker", *self._options],
                cwd=PROJECT_DIR,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self._ready_or_over, "the workers answer", _READY_SECONDS)
        assert self._process.poll() is None, self.output()

    def kill(self) -> None:
        """Take its power away: the supervisor is killed, and the kernel kills its workers."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Stop it as an operator does; its exit code."""
        return self._end(signal.SIGTERM)

    def output(self) -> str:
        return self._output.read_text(encoding="utf-8")

    def __enter__(self) -> Host:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return self._process.wait(timeout=60)

    def _ready_or_over(self) -> bool:
        assert self._process is not None
        return self._process.poll() is not None or "netraven: ready" in self.output()
