"""Devices that play a ``CASE.session.toml`` on loopback, over SSH and over Telnet.

with ScriptedPlayer() as player:
    device = player.play(load_script(path))
    connect(device.host, device.port, USERNAME, PASSWORD)
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import asyncssh

from backups.engine.types import Transport
from tests.support.loop_thread import LoopThread
from tests.support.scripted_device_script import Recording
from tests.support.scripted_device_telnet import TelnetConnection
from tests.support.scripted_device_terminal import ENABLE_SECRET, Terminal

__all__ = ["ENABLE_SECRET", "PASSWORD", "USERNAME", "ScriptedDevice", "ScriptedPlayer"]

USERNAME = "netops"
PASSWORD = "Login-1-secret"

_HOST = "127.0.0.1"


class ScriptedDevice:
    """One device of a player, for the test that talks to it."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.host = _HOST
        self.port = 0
        #: Every command that was typed, one list per log-in; no passwords.
        self.sessions: list[list[str]] = []
        #: The user names of the log-ins.
        self.usernames: list[str] = []

    def new_terminal(self) -> Terminal:
        """The command line of the next log-in."""
        commands: list[str] = []
        self.sessions.append(commands)
        return Terminal(self.recording, first=len(self.sessions) == 1, heard=commands.append)

    def accepts(self, username: str, password: str) -> bool:
        """Whether this log-in is the right one."""
        self.usernames.append(username)
        # Behind a plus sign stand terminal options, which Netmiko's MikroTik driver uses.
        return (username.partition("+")[0], password) == (USERNAME, PASSWORD)


class _Session(asyncssh.SSHServerSession[bytes]):
    """One terminal over SSH."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def pty_requested(self, *_: object) -> bool:
        return True

    def shell_requested(self) -> bool:
        return True

    def session_started(self) -> None:
        self._channel.write(self._terminal.start())

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if self._terminal.ended:
            return
        self._channel.write(self._terminal.feed(data))
        if self._terminal.ended:
            self._channel.exit(0)


class _SshConnection(asyncssh.SSHServer):
    """One SSH connection: log-in by password or keyboard-interactive, then terminals."""

    def __init__(self, device: ScriptedDevice, open_: set[asyncssh.SSHServerConnection]) -> None:
        self._device = device
        self._open = open_

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._open.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        return not self._device.recording.script.login_by_questions

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return self._device.accepts(username, password)

    def session_requested(self) -> _Session:
        return _Session(self._device.new_terminal())


class ScriptedPlayer:
    """Any number of devices in one background thread; `play` may be called from any thread."""

    def __init__(self) -> None:
        self._thread = LoopThread("scripted-devices")
        self._key = asyncssh.generate_private_key("ssh-ed25519")
        self._ssh: list[asyncssh.SSHAcceptor] = []
        self._telnet: list[asyncio.Server] = []
        self._open_ssh: set[asyncssh.SSHServerConnection] = set()
        self._open_telnet: set[asyncio.Transport] = set()

    def __enter__(self) -> Self:
        asyncssh.set_log_level("WARNING")  # it tells every step of every connection at INFO
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

    def play(self, recording: Recording, transport: Transport = Transport.SSH) -> ScriptedDevice:
        """A device that listens on a free port of the loopback address."""
        device = ScriptedDevice(recording)
        listen = self._listen_ssh if transport is Transport.SSH else self._listen_telnet
        device.port = self._thread.run(listen(device))
        return device

    async def _listen_ssh(self, device: ScriptedDevice) -> int:
        acceptor = await asyncssh.create_server(
            lambda: _SshConnection(device, self._open_ssh),
            _HOST,
            0,
            server_host_keys=[self._key],
            encoding=None,
            line_editor=False,
            gss_host=None,
        )
        self._ssh.append(acceptor)
        return int(acceptor.get_port())

    async def _listen_telnet(self, device: ScriptedDevice) -> int:
        server = await self._thread.loop.create_server(
            lambda: TelnetConnection(device, self._open_telnet), _HOST, 0
        )
        self._telnet.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _stop(self) -> None:
        for acceptor in self._ssh:
            acceptor.close()
        for server in self._telnet:
            server.close()
        for transport in list(self._open_telnet):
            transport.abort()
        for connection in list(self._open_ssh):
            connection.abort()
            await connection.wait_closed()
        for acceptor in self._ssh:
            await acceptor.wait_closed()
        for server in self._telnet:
            await server.wait_closed()
