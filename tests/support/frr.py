"""Real FRRouting routers: the daemons of Debian's package, each router in a network of its own.

A router's daemons run in a network namespace without any interface but ``lo``, so nothing that
they do reaches the routes of this machine. Their sockets lie under ``/run/frr`` in a directory per
router (``-N``, the daemons' and vtysh's own option for that), the rest in a directory of the
caller's.
"""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.waiting import wait_for

GROUP = "frrvty"
"""Members may talk to the daemons: Debian gives the group the daemons' sockets."""

_DAEMONS = Path("/usr/lib/frr")
_SOCKETS = Path("/run/frr")
#: ospfd puts this file here whatever ``-N`` says.
_OSPF_STATE = _SOCKETS / "ospfd-gr.json"
#: In the order of their start. mgmtd came with FRRouting 9 and has to run first there.
_NAMES = ("mgmtd", "zebra", "staticd", "bgpd", "ospfd", "ripd")
_USER = "frr"
_STOP_SECONDS = 10
#: Two routers of one process may have the same name: a laboratory lives as long as its tests.
_NUMBERS = itertools.count(1)


def missing() -> str | None:
    """Why no router can run on this machine; None when it can."""
    if os.geteuid() != 0:
        return "FRRouting's daemons start as root"
    if shutil.which("vtysh") is None or not (_DAEMONS / "zebra").exists():
        return "FRRouting is not installed: apt-get install frr"
    if subprocess.run(["unshare", "--net", "true"], capture_output=True).returncode != 0:
        return "FRRouting needs CAP_NET_ADMIN and CAP_SYS_ADMIN, and root has not got them here"
    return None


class Frr:
    """The daemons of one router. Not usable before ``frr_router`` has started them."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self._directory = directory
        self._pathspace = f"netraven-test-{os.getpid()}-{next(_NUMBERS)}-{name}"
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def vtysh(self) -> Sequence[str]:
        """The command line that opens this router's vtysh."""
        return ("vtysh", "-N", self._pathspace, "--config_dir", str(self._directory))

    def configure(self, *lines: str) -> None:
        """Change the configuration through vtysh.

        The lines go in over standard input: as arguments everybody on the machine could read the
        secrets among them.
        """
        text = "\n".join(["configure terminal", *lines, "end", ""])
        done = subprocess.run(self.vtysh, input=text, capture_output=True, text=True, check=True)
        refused = [line for line in done.stdout.splitlines() if line.startswith("% ")]
        assert not refused, f"{self.name}: {refused}"

    def running_config(self) -> str:
        """What vtysh prints of it without a terminal."""
        command = [*self.vtysh, "-c", "show running-config"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    @contextmanager
    def running(self) -> Iterator[Frr]:
        """Start the daemons, and stop them at the end."""
        with ExitStack() as resources:
            self._make_directories(resources)
            resources.callback(self._stop)
            for daemon in _NAMES:
                if (_DAEMONS / daemon).exists():
                    self._start(daemon)
            yield self

    def _make_directories(self, resources: ExitStack) -> None:
        if not _SOCKETS.exists():  # no service has run since the machine was started
            _SOCKETS.mkdir(mode=0o755)
            shutil.chown(_SOCKETS, _USER, _USER)
            resources.callback(shutil.rmtree, _SOCKETS)
        if not _OSPF_STATE.exists():
            resources.callback(_OSPF_STATE.unlink, missing_ok=True)
        sockets = _SOCKETS / self._pathspace
        sockets.mkdir(mode=0o750)
        resources.callback(shutil.rmtree, sockets)
        shutil.chown(sockets, _USER, GROUP)
        config = self._directory / self._pathspace  # vtysh, too, puts -N behind its directory
        config.mkdir(parents=True)
        (config / "vtysh.conf").write_text(f"hostname {self.name}\n", encoding="utf-8")
        (config / "daemon.conf").write_text(f"hostname {self.name}\n", encoding="utf-8")

    def _start(self, daemon: str) -> None:
        config = self._directory / self._pathspace / "daemon.conf"
        command = [*self._own_network(), str(_DAEMONS / daemon), "-N", self._pathspace]
        command += ["-f", str(config), "-u", _USER, "-g", _USER, "--log", "stdout", "-P", "0"]
        with (self._directory / f"{daemon}.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self._processes.append(process)
        socket = _SOCKETS / self._pathspace / f"{daemon}.vty"
        wait_for(lambda: socket.exists() or process.poll() is not None, f"{daemon} listens", 20)
        assert process.poll() is None, (self._directory / f"{daemon}.log").read_text()

    def _own_network(self) -> Sequence[str]:
        """The first daemon makes the namespace, the others join it; it goes with the last one."""
        if not self._processes:
            return ("unshare", "--net", "--")
        return ("nsenter", f"--net=/proc/{self._processes[0].pid}/ns/net", "--")

    def _stop(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
