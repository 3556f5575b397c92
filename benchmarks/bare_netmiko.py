"""The yardsticks: Netmiko in a thread pool, alone and with a Git commit per device.

Reads ``{"threads", "directory", "commands", "commits", "username", "password", "devices":
[[hostname, address, port]]}`` as JSON from standard input. Each device is asked ``commands``, and
the first answer becomes a file in ``directory``. With ``commits`` that is a Git repository, and
each file is committed by itself with GitPython's index, under a lock.

Each further line ``go`` reads all devices once and prints one line with ``{"wall_seconds",
"cpu_seconds", "complete"}``; CPU includes that of child processes.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import git
from netmiko import ConnectHandler


class Client:
    """Reads devices as ``job`` says."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._job = job
        self._directory = Path(job["directory"])
        self._repository = git.Repo.init(self._directory) if job["commits"] else None
        self._turn = threading.Lock()

    def back_up(self, device: tuple[str, str, int]) -> bool:
        """Read one device; gives whether the configuration is complete."""
        hostname, address, port = device
        with ConnectHandler(
            device_type="cisco_ios",
            host=address,
            port=port,
            username=self._job["username"],
            password=self._job["password"],
        ) as session:
            text, *_ = [str(session.send_command(command)) for command in self._job["commands"]]
        self._keep(f"{hostname}.cfg", text)
        return text.rstrip().endswith("end")

    def _keep(self, name: str, text: str) -> None:
        if self._repository is None:
            (self._directory / name).write_text(text, encoding="utf-8")
            return
        with self._turn:
            (self._directory / name).write_text(text, encoding="utf-8")
            self._repository.index.add([name])
            self._repository.index.commit(f"backup of {name}")


def main() -> None:
    job = json.loads(sys.stdin.readline())
    client = Client(job)
    for _ in sys.stdin:
        begin, begin_cpu = time.perf_counter(), _cpu()
        with ThreadPoolExecutor(job["threads"]) as pool:
            complete = sum(pool.map(client.back_up, job["devices"]))
        result = {
            "wall_seconds": time.perf_counter() - begin,
            "cpu_seconds": _cpu() - begin_cpu,
            "complete": complete,
        }
        print(json.dumps(result), flush=True)


def _cpu() -> float:
    """Seconds that this process and its ended children have used."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    main()
