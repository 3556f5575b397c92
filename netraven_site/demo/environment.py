"""Where the demo runs: in a data directory of its own, on embedded servers, on free ports.

Simulated devices must never get into a real inventory, so whatever database the environment names
is left alone.
"""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import MutableMapping
from importlib.util import find_spec
from pathlib import Path

from netraven_site.config import PROJECT_DIR
from netraven_site.stack.state import StackState

_SERVER_VARIABLES = ("DATABASE_URL", "NETRAVEN_DATABASE_URL", "REDIS_URL", "NETRAVEN_REDIS_URL")
_PORTS = {"NETRAVEN_WEB_PORT": 8000, "NETRAVEN_FLOWER_PORT": 5555}
#: Simulated devices listen on loopback, which is refused as the address of a device otherwise.
_DEVICE_NETWORKS = "127.0.0.0/8"
#: Short, so that the demo shows how retries look without making anybody wait.
_BACKOFF_SECONDS = "1"


class DemoUnavailable(Exception):
    """The demo cannot run here now; the message says why and what to do."""


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Point ``environment`` at an empty data directory for the demo.

    The data of the last demo is removed, nothing else. Must run before the settings are loaded.
    Raises DemoUnavailable while another demo uses the directory, or without the packages for it.
    """
    if find_spec("asyncssh") is None:
        raise DemoUnavailable(
            "the demo needs more packages: pip install -r requirements-local.lock"
        )
    parent = Path(environment.get("NETRAVEN_DATA_DIR", PROJECT_DIR / "var"))
    data_dir = parent.resolve() / "demo"
    if StackState.read(data_dir) is not None:
        raise DemoUnavailable("a demo is running already; stop it with Ctrl-C first")
    shutil.rmtree(data_dir, ignore_errors=True)
    for name in _SERVER_VARIABLES:
        environment.pop(name, None)
    environment["NETRAVEN_DATA_DIR"] = str(data_dir)
    environment["NETRAVEN_ALLOWED_NETWORKS"] = _DEVICE_NETWORKS
    environment["NETRAVEN_RETRY_BACKOFF_SECONDS"] = _BACKOFF_SECONDS
    for name, usual in _PORTS.items():
        environment.setdefault(name, str(_free_port(usual)))


def _free_port(usual: int) -> int:
    """``usual``, or any free one when it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", usual))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
