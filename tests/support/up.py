"""``manage.py up`` as its operator runs it: real processes, a data directory of their own."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import psutil

from netraven_site.stack import leftovers
from netraven_site.stack.keys import EmbeddedKeys
from netraven_site.stack.ports import free_port
from tests.support import prepared
from tests.support.waiting import wait_for

_PROJECT = Path(__file__).parents[2]
#: Ten times what a first start takes on a quiet machine with two cores.
READY_SECONDS = 240
LOGIN = re.compile(r"log in as (\S+) with password (\S+)")


class Up:
    """One ``manage.py up`` on a data directory, and commands of ``manage.py`` beside it.

    Attributes:
        project: the checkout whose code runs; that of the tests unless set.
    """

    @classmethod
    def prepared(cls, data_dir: Path, **settings: str) -> Up:
        """One that has nothing left to do for its first start but to make a user."""
        data_dir.mkdir(mode=0o700, exist_ok=True)
        EmbeddedKeys.load_or_create(data_dir)
        prepared.copy_database(data_dir)
        prepared.copy_static_files(data_dir)
        return cls(data_dir, **settings)

    def __init__(self, data_dir: Path, **settings: str) -> None:
        """``settings`` are environment variables on top of small default sizes."""
        self.project = _PROJECT
        self.data_dir = data_dir
        self.output_file = data_dir.with_suffix(".out")
        self.web_port, self.flower_port = free_port(), free_port()
        self.environment = prepared.clean_environment() | {
            "NETRAVEN_DATA_DIR": str(data_dir),
            "NETRAVEN_WEB_PORT": str(self.web_port),
            "NETRAVEN_FLOWER_PORT": str(self.flower_port),
            "NETRAVEN_WEB_WORKERS": "1",
            "NETRAVEN_WORKER_PROCESSES": "1",
            **settings,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def command(
        self, *arguments: str, stdin: str | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of manage.py to its end, with the same settings; output as text."""
        done = self.command_bytes(*arguments, stdin=stdin, timeout=timeout)
        output, errors = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(done.args, done.returncode, output, errors)

    def command_bytes(
        self, *arguments: str, stdin: str | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[bytes]:
        """The same with the output's very bytes."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.project,
            env=self.environment,
            timeout=timeout,
            input=None if stdin is None else stdin.encode(),
            capture_output=True,
        )

    def start_command(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command of manage.py; the caller waits for it."""
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start_process(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Python with these arguments as one more process of the stack."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.project,
            env=self.environment | {"DJANGO_SETTINGS_MODULE": "netraven_site.settings"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def start(self, *options: str) -> Up:
        """Start it and wait until it says that it is ready."""
        with self.output_file.open("wb") as output:
            self.process = self.popen(*options, stdout=output)
        wait_for(self._ready_or_over, "up is ready", READY_SECONDS)
        assert self.process.poll() is None, self.output()
        return self

    def popen(self, *options: str, stdout: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        return subprocess.Popen(
            [sys.executable, "manage.py", "up", *options],
            cwd=self.project,
            env=self.environment,
            stdout=stdout,
            stderr=subprocess.STDOUT,
        )

    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8")

    def login(self) -> tuple[str, str]:
        """Name and password of the first user, as the first start shows them."""
        shown = LOGIN.search(self.output())
        assert shown is not None, self.output()
        return shown[1], shown[2]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def kill_all(self) -> None:
        """Leave nothing behind, whatever the test did."""
        if self.process is not None and self.process.poll() is None:
            self.stop()
        for process in self.processes():
            process.kill()

    def processes(self) -> list[psutil.Process]:
        """Everything that lives on the data directory, ``up`` itself excepted."""
        return [process for process in psutil.process_iter() if _belongs(process, self.data_dir)]

    def child(self, *words: str) -> int | None:
        """The process id of the child with all these arguments."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            if set(words) <= set(_arguments(child)):
                return child.pid
        return None

    def answers(self, path: str) -> bool:
        """Whether the web answers a GET of ``path`` with a 200."""
        try:
            return self.http_status(self.web_port, path) == http.HTTPStatus.OK
        except OSError:
            return False

    def http_get(self, port: int, path: str, authorization: str) -> tuple[int, bytes]:
        """Status and body of the answer to a GET."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": authorization})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def http_status(self, port: int, path: str, authorization: str = "") -> int:
        """Status of the answer to a GET."""
        return self.http_get(port, path, authorization)[0]

    def http_json(self, port: int, path: str, authorization: str) -> Any:
        """The parsed answer to a GET, which has to be a 200."""
        status, body = self.http_get(port, path, authorization)
        assert status == http.HTTPStatus.OK, f"{path}: {status} {body[:200]!r}"
        return json.loads(body)

    def api_authorization(self) -> str:
        """An ``Authorization`` header for the API, as the first user."""
        username, password = self.login()
        connection = http.client.HTTPConnection("127.0.0.1", self.web_port, timeout=10)
        try:
            connection.request(
                "POST",
                "/api/v1/token/",
                body=json.dumps({"username": username, "password": password}),
                headers={"Content-Type": "application/json"},
            )
            return f"Bearer {json.load(connection.getresponse())['access']}"
        finally:
            connection.close()

    def _ready_or_over(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None or "netraven: ready" in self.output()


def _belongs(process: psutil.Process, data_dir: Path) -> bool:
    if process.pid == os.getpid() or not _alive(process):
        return False
    try:
        named = any(str(data_dir) in word for word in process.cmdline())
        return named or process.environ().get(leftovers.MARKER) == str(data_dir)
    except psutil.Error:
        return False


def _arguments(process: psutil.Process) -> list[str]:
    """The command line of a process; empty for one that has ended meanwhile."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
