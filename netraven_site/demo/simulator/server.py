"""Accepts SSH connections for one device."""

from __future__ import annotations

import asyncio

import asyncssh

from netraven_site.demo.simulator.device import SimulatedDevice
from netraven_site.demo.simulator.errors import SimulatorError
from netraven_site.demo.simulator.faults import Fault, FaultKind
from netraven_site.demo.simulator.hostkeys import new_host_key
from netraven_site.demo.simulator.session import CliSession

_BANNER_LINE = "Authorised use only. All sessions are recorded.\r\n"
_BANNER_PIECE = _BANNER_LINE * 600
"""So much of a banner fits into one packet (RFC 4253 section 6.1)."""
# Devices and clients share the processor in benchmarks: only the cheapest modern algorithms.
_ALGORITHMS = {
    "kex_algs": ["curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256"],
    "encryption_algs": ["aes128-gcm@openssh.com", "aes128-ctr", "aes256-ctr"],
    "mac_algs": ["hmac-sha2-256", "hmac-sha2-256-etm@openssh.com"],
    "compression_algs": ["none"],
}


class _Connection(asyncssh.SSHServer):
    """One TCP connection: refusal, authentication, session."""

    def __init__(self, device: SimulatedDevice, open_connections: set[_Connection]) -> None:
        self._device = device
        self._open_connections = open_connections
        self._keys_tried: set[bytes] = set()
        self._ended = asyncio.Event()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._device.log.connected()
        self._open_connections.add(self)
        if self._refused():
            conn.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
        self._open_connections.discard(self)
        self._device.log.disconnected()

    def begin_auth(self, username: str) -> bool:
        fault = self._device.fault
        if fault is not None and fault.kind is FaultKind.LONG_BANNER:
            for _ in range(1000 * fault.value // len(_BANNER_PIECE) + 1):
                self._connection.send_auth_banner(_BANNER_PIECE)
        return True

    def auth_completed(self) -> None:
        self._device.log.logins += 1

    def password_auth_supported(self) -> bool:
        return True

    async def validate_password(self, username: str, password: str) -> bool:
        self._device.log.login_attempts += 1
        if self._device.has_fault(FaultKind.HANG_AT_LOGIN):
            await self._ended.wait()
        if self._device.has_fault(FaultKind.AUTH_FAIL):
            return False
        spec = self._device.spec
        return username == spec.username and password == spec.password

    def public_key_auth_supported(self) -> bool:
        return self._device.authorized_key is not None

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        if key.public_data not in self._keys_tried:
            self._keys_tried.add(key.public_data)
            self._device.log.login_attempts += 1
        if self._device.has_fault(FaultKind.AUTH_FAIL):
            return False
        return username == self._device.spec.username and key == self._device.authorized_key

    def session_requested(self) -> CliSession:
        return CliSession(self._device, self._connection)

    def abort(self) -> None:
        """Cut the connection."""
        self._connection.abort()

    def _refused(self) -> bool:
        if self._device.has_fault(FaultKind.DROP_BEFORE_BANNER):
            return True
        if self._device.refusals_left > 0:
            self._device.refusals_left -= 1
            return True
        return False


class DeviceServer:
    """The listener of one device.

    Args:
        device: the device behind it.
        host_key: the key that it shows.
    """

    def __init__(self, device: SimulatedDevice, host_key: asyncssh.SSHKey) -> None:
        self.device = device
        self._host_key = host_key
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._open_connections: set[_Connection] = set()
        self._shows_other_key = False

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens: IP address and TCP port.

        Raises:
            SimulatorError: it does not listen.
        """
        if self._acceptor is None:
            raise SimulatorError(f"{self.device.spec.hostname} is not started: start the fleet")
        return self.device.spec.address, self._acceptor.get_port()

    @property
    def fingerprint(self) -> str:
        """The host key's fingerprint, `SHA256:...`; the true one, whatever the fault."""
        return self._host_key.get_fingerprint()

    async def start(self) -> None:
        """Listen.

        Raises:
            SimulatorError: the address or port cannot be had.
        """
        spec = self.device.spec
        try:
            self._acceptor = await asyncssh.create_server(
                lambda: _Connection(self.device, self._open_connections),
                spec.address,
                spec.port,
                server_host_keys=[self._host_key],
                backlog=1024,
                encoding=None,
                line_editor=False,
                agent_forwarding=False,
                x11_forwarding=False,
                allow_scp=False,
                gss_host=None,
                tcp_keepalive=False,
                **_ALGORITHMS,
            )
        except OSError as error:
            raise SimulatorError(
                f"{spec.hostname} cannot listen on {spec.address} port {spec.port}:"
                f" {error.strerror or error}"
            ) from error
        self._show_right_key()

    def set_fault(self, fault: Fault | None) -> None:
        """Give the device a fault, or none; holds for connections made from now on."""
        self.device.set_fault(fault)
        self._show_right_key()

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        if self._acceptor is None:
            return
        self._acceptor.close()
        for connection in list(self._open_connections):
            connection.abort()
        await self._acceptor.wait_closed()
        self._acceptor = None
        while self._open_connections:
            await asyncio.sleep(0)

    def _show_right_key(self) -> None:
        other = self.device.has_fault(FaultKind.DIFFERENT_HOST_KEY)
        if self._acceptor is None or other == self._shows_other_key:
            return
        self._shows_other_key = other
        self._acceptor.update(server_host_keys=[new_host_key() if other else self._host_key])
