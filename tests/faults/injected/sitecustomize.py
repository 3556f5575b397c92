"""Faults inside the worker processes of a stack under test, where no device could cause them.

Python imports this module at its start in every process whose PYTHONPATH names this folder; nothing
of the product knows of it. What is to go wrong stands as an empty file in the folder that
``FAULTS`` names: ``exit-<hostname>``, ``raise-<hostname>``, ``eat-<hostname>``, ``hang-<hostname>``
for the session with that device, ``deaf-<process id>`` for a worker that takes no more messages
(which makes ``is-deaf-<process id>``); ``clock`` holds the seconds by which all clocks are wrong.
"""

from __future__ import annotations

import datetime
import importlib.abc
import importlib.machinery
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_FOLDER = Path(os.environ["FAULTS"])
_MEGABYTE = 1024 * 1024


def _spoil_collector(module: Any) -> None:
    collect = module.NetmikoCollector.collect

    def spoilt(self: Any, target: Any, *arguments: Any) -> Any:
        for kind, act in _ACTS.items():
            if (_FOLDER / f"{kind}-{target.hostname}").exists():
                act()
        return collect(self, target, *arguments)

    module.NetmikoCollector.collect = spoilt


def _exit() -> None:
    os._exit(3)


def _raise() -> None:
    raise LookupError("nobody foresaw this")


def _eat() -> None:
    """As with a real shortage of memory: it is taken, and then the kernel kills the process."""
    taken = [bytearray(_MEGABYTE) for _ in range(200)]
    assert taken
    os.kill(os.getpid(), signal.SIGKILL)


def _hang() -> None:
    threading.Event().wait()


_ACTS: dict[str, Callable[[], None]] = {
    "exit": _exit,
    "raise": _raise,
    "eat": _eat,
    "hang": _hang,
}


def _spoil_transport(module: Any) -> None:
    start = module.Channel._brpop_start

    def spoilt(self: Any, *arguments: Any, **options: Any) -> Any:
        if not (_FOLDER / f"deaf-{os.getpid()}").exists():
            return start(self, *arguments, **options)
        (_FOLDER / f"is-deaf-{os.getpid()}").touch()
        return None

    module.Channel._brpop_start = spoilt


def _wrong_by() -> float:
    try:
        return float((_FOLDER / "clock").read_text())
    except OSError:
        return 0.0


def _spoil_timezone(module: Any) -> None:
    now = module.now
    module.now = lambda: now() + datetime.timedelta(seconds=_wrong_by())


def _spoil_time() -> None:
    """For all who take the time from here afterwards: this module is the first of all."""
    now = time.time
    time.time = lambda: now() + _wrong_by()


_SPOILT: dict[str, Callable[[Any], None]] = {
    "backups.engine.netmiko_collector.collector": _spoil_collector,
    "kombu.transport.redis": _spoil_transport,
    "django.utils.timezone": _spoil_timezone,
}


class _Finder(importlib.abc.MetaPathFinder):
    """Has the modules above changed right after they were loaded."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in _SPOILT:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        loader: Any = spec.loader if spec else None
        if loader is None:
            return None
        execute = loader.exec_module

        def execute_and_spoil(module: ModuleType) -> None:
            execute(module)
            _SPOILT[name](module)

        loader.exec_module = execute_and_spoil
        return spec


if "worker" in sys.orig_argv:
    _spoil_time()
    sys.meta_path.insert(0, _Finder())
