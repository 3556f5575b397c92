"""A real BIRD router: the daemon of Debian's package ``bird2``, in namespaces of its own.

It has a network without any interface but ``lo``, and its own files under ``/etc/bird`` and
``/run/bird``. The files of this machine stay as they are; whoever shall meet the router's files
has to run in its ``namespace``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.waiting import wait_for

GROUP = "bird"
"""Members may read the configuration and talk to the daemon: Debian gives the group both."""

_USER = "bird"
_SOCKETS = Path("/run/bird")
_STOP_SECONDS = 10
#: Puts two directories where BIRD looks for its files, and becomes BIRD.
_START = (
    'mount --bind "$0" /etc/bird && mount --bind "$1" /run/bird'
    f" && exec bird -f -u {_USER} -g {GROUP}"
)


def missing() -> str | None:
    """Why no router can run on this machine; None when it can."""
    if os.geteuid() != 0:
        return "BIRD starts as root"
    if shutil.which("bird") is None or shutil.which("birdc") is None:
        return "BIRD is not installed: apt-get install bird2"
    unshare = ["unshare", "--net", "--mount", "true"]
    if subprocess.run(unshare, capture_output=True, check=False).returncode != 0:
        return "BIRD needs CAP_NET_ADMIN and CAP_SYS_ADMIN, and root has not got them here"
    return None


class Bird:
    """One router. ``running`` starts it with the files that were written before."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._log = directory / "bird.log"
        self._etc = _bird_directory(directory / "etc")
        self._run = _bird_directory(directory / "run")
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, name: str, text: str, *, mode: int = 0o640) -> None:
        """Write a file below ``/etc/bird``, as the package leaves them."""
        path = self._etc / name
        if path.parent != self._etc and not path.parent.exists():
            _bird_directory(path.parent)
        path.write_text(text, encoding="utf-8")
        shutil.chown(path, "root", GROUP)
        path.chmod(mode)

    def remove(self, name: str) -> None:
        (self._etc / name).unlink()

    @property
    def namespace(self) -> Sequence[str]:
        """What runs a command where the router's files are."""
        assert self._process is not None
        return ("nsenter", f"--mount=/proc/{self._process.pid}/ns/mnt", "--")

    def configure(self) -> None:
        """Make the daemon take over the files as they are now."""
        command = [*self.namespace, "birdc", "configure"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "Reconfigur" in done.stdout, done.stdout

    @contextmanager
    def running(self) -> Iterator[Bird]:
        """Start the daemon, and stop it at the end."""
        with ExitStack() as resources:
            if not _SOCKETS.exists():  # no service has run since the machine was started
                _SOCKETS.mkdir(mode=0o755)
                resources.callback(_SOCKETS.rmdir)
            resources.callback(self._stop)
            self._start()
            yield self

    def _start(self) -> None:
        command = ["unshare", "--net", "--mount", "--", "sh", "-c", _START]
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [*command, str(self._etc), str(self._run)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._process = process
        socket = self._run / "bird.ctl"
        wait_for(lambda: socket.exists() or process.poll() is not None, "BIRD listens", 20)
        assert process.poll() is None, self._log.read_text()

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _bird_directory(path: Path) -> Path:
    path.mkdir()
    shutil.chown(path, _USER, GROUP)
    path.chmod(0o750)
    return path
