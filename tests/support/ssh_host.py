"""SSH servers with one peculiarity each, in a thread: what they let in, agree on and forward.

with SshHosts() as hosts:
    bastion = hosts.start(SshHost(forwards=True))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh

from tests.support.loop_thread import LoopThread
from tests.support.scripted_device import ScriptedDevice
from tests.support.scripted_device_script import Recording, load_script

ADDRESS = "127.0.0.1"
USERNAME = "netops"
PASSWORD = "Way-1-secret"
PLATFORM = "frr"
_RECORDING = Path(__file__).parents[1] / "platforms" / PLATFORM / "router.session.toml"


def recording() -> Recording:
    """A device of PLATFORM that needs no privileged mode."""
    return load_script(_RECORDING)


@dataclass(kw_only=True)
class SshHost:
    """One server: a device of PLATFORM, or a jump host."""

    #: Methods of authentication on offer; ``publickey`` wants one of ``keys``.
    methods: Sequence[str] = ("password",)
    #: Public keys in OpenSSH's form.
    keys: Sequence[str] = ()
    #: Whether connections to other places may lead through it.
    forwards: bool = False
    #: Whether it falls silent after the log-in.
    silent: bool = False
    host_key: asyncssh.SSHKey = field(
        default_factory=lambda: asyncssh.generate_private_key("ssh-ed25519")
    )
    #: Host keys that it has beside it.
    more_host_keys: Sequence[asyncssh.SSHKey] = ()
    #: Keyword arguments of ``asyncssh.create_server``.
    algorithms: Mapping[str, Any] = field(default_factory=dict)
    port: int = 0
    #: Methods that were tried, in their order.
    attempts: list[str] = field(default_factory=list)
    #: Host names and ports that were asked for.
    forwarded: list[tuple[str, int]] = field(default_factory=list)
    #: Connections that are open.
    connections: set[asyncssh.SSHServerConnection] = field(default_factory=set)

    @property
    def known_host_key(self) -> str:
        """Its key as NetRaven keeps it."""
        return " ".join(self.host_key.export_public_key().decode().split()[:2])


class _Server(asyncssh.SSHServer):
    def __init__(self, host: SshHost) -> None:
        self._host = host

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._host.connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._host.connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        self._host.attempts.append("name")
        return True

    def password_auth_supported(self) -> bool:
        return "password" in self._host.methods

    def validate_password(self, username: str, password: str) -> bool:
        self._host.attempts.append("password")
        return (username, password) == (USERNAME, PASSWORD)

    def public_key_auth_supported(self) -> bool:
        return "publickey" in self._host.methods

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        self._host.attempts.append("publickey")
        shown = key.export_public_key().decode().split()[:2]
        return any(known.split()[:2] == shown for known in self._host.keys)

    def kbdint_auth_supported(self) -> bool:
        return "keyboard-interactive" in self._host.methods

    def get_kbdint_challenge(
        self, username: str, lang: str, submethods: str
    ) -> tuple[str, str, str, list[tuple[str, bool]]]:
        self._host.attempts.append("keyboard-interactive")
        return "", "Answer me", "", [("Password: ", False)]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool:
        return (username, *responses) == (USERNAME, PASSWORD)

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> bool:
        self._host.forwarded.append((dest_host, dest_port))
        if not self._host.forwards:
            code = asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            raise asyncssh.ChannelOpenError(code, "not allowed")
        return True


async def _serve(host: SshHost, process: asyncssh.SSHServerProcess[bytes]) -> None:
    terminal = ScriptedDevice(recording()).new_terminal()
    printed = terminal.start()
    while not terminal.ended:
        if not host.silent:
            process.stdout.write(printed)
        typed = await process.stdin.read(1024)
        if not typed:
            break
        printed = terminal.feed(typed)
    process.exit(0)


class SshHosts:
    """Any number of servers in one background thread."""

    def __init__(self) -> None:
        self._thread = LoopThread("ssh-hosts")
        self._servers: list[tuple[SshHost, asyncssh.SSHAcceptor]] = []

    def __enter__(self) -> Self:
        asyncssh.set_log_level("WARNING")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.run(self._stop())
        self._thread.stop()

    def start(self, host: SshHost) -> SshHost:
        """Let ``host`` listen on a free port of the loopback address."""
        self._thread.run(self._listen(host))
        return host

    async def _listen(self, host: SshHost) -> None:
        server = await asyncssh.create_server(
            lambda: _Server(host),
            ADDRESS,
            0,
            server_host_keys=[host.host_key, *host.more_host_keys],
            process_factory=lambda process: _serve(host, process),
            encoding=None,
            line_editor=False,
            gss_host=None,
            **host.algorithms,
        )
        host.port = int(server.get_port())
        self._servers.append((host, server))

    async def _stop(self) -> None:
        for host, server in self._servers:
            server.close()
            for connection in list(host.connections):
                connection.abort()
                await connection.wait_closed()
            await server.wait_closed()
