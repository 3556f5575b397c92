"""Reads devices with Netmiko: the only module that imports Netmiko and Paramiko.

Netmiko knows how to log in, prepare the terminal and enter the privileged mode of each platform.
Reading an answer is done here, because Netmiko's own reading has no bound on the output, waits out
the whole timeout when a connection drops, and stops at a line that only looks like the prompt.
"""

from __future__ import annotations

import base64
import io
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import paramiko
from netmiko import NetmikoAuthenticationException, NetmikoTimeoutException, ReadTimeout
from netmiko.base_connection import BaseConnection
from netmiko.channel import SSHChannel
from netmiko.exceptions import NetmikoBaseException
from netmiko.ssh_dispatcher import CLASS_MAPPER

from backups.engine import reach
from backups.engine.collector import SessionLimits
from backups.engine.deadline import Deadline, session_deadline
from backups.engine.errors import DeviceError, ErrorCategory
from backups.engine.types import Collection, CommandOutput, DeviceTarget
from credentials.secret import DeviceCredential
from inventory.platforms import PlatformDefinition
from inventory.platforms.definition import PrivilegedMode

#: What a device may print before the first command: banners, message of the day, prompts.
_MAX_LOGIN_BYTES = 4 * 1024 * 1024
_READ_BYTES = 64 * 1024
#: How much of the end of an answer is searched for the prompt.
_TAIL_BYTES = 1024
#: Silence that tells a prompt from a line that looks like one, where no end marker tells it.
_SETTLE_SECONDS = 0.15
_ESCAPES = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[=>78]")
_KEY_TYPES: tuple[type[paramiko.PKey], ...] = (
    paramiko.Ed25519Key,
    paramiko.ECDSAKey,
    paramiko.RSAKey,
)

_ASKS_FOR_ENABLE = (
    "the device asks for an enable secret and the credential has none; add it, or give the "
    "account privilege level 15"
)
_REFUSED_ENABLE = "the device did not accept the enable secret; check it in the credential"


class NetmikoCollector:
    """The collector for every platform that Netmiko has a driver for."""

    def collect(
        self,
        target: DeviceTarget,
        credential: DeviceCredential,
        platform: PlatformDefinition,
        limits: SessionLimits,
    ) -> Collection:
        """See ``Collector.collect``."""
        driver = _driver(platform)
        started = time.monotonic()
        connection = reach.connect(
            target.address,
            target.port,
            timeout=min(limits.connect_timeout, limits.deadline),
            allowed=limits.allowed_networks,
        )
        connected = time.monotonic()
        remaining = limits.deadline - (connected - started)
        with connection, session_deadline(connection, remaining) as deadline:
            try:
                session = driver(**_arguments(target, credential, limits, connection))
                try:
                    session.log_in(platform, credential, limits)
                    logged_in = time.monotonic()
                    outputs = tuple(
                        CommandOutput(
                            command=command.command,
                            payload=session.ask(command.command, platform, limits),
                        )
                        for command in platform.commands
                    )
                finally:
                    session.disconnect()
            except Exception as error:  # Netmiko and Paramiko raise anything
                raise _as_device_error(error, deadline, limits) from error
        return Collection(
            outputs=outputs,
            host_key=session.host_key,
            phase_seconds={
                "connect": connected - started,
                "login": logged_in - connected,
                "collect": time.monotonic() - logged_in,
            },
        )


class _BoundedChannel(SSHChannel):
    """Netmiko's channel with a bound on what may come, and an ear for the dropped connection."""

    def __init__(self, conn: paramiko.Channel, encoding: str, *, limit: int) -> None:
        super().__init__(conn, encoding)
        self._limit = limit
        self._received = 0
        #: The last bytes that came.
        self.tail = b""

    def expect(self, limit: int) -> None:
        """Start counting anew, up to ``limit`` bytes."""
        self._limit = limit
        self._received = 0

    def read_bytes(self, timeout: float) -> bytes:
        """The next bytes, or none when the device was silent for ``timeout`` seconds.

        Raises DeviceError when the connection is gone or the bound is reached.
        """
        assert self.remote_conn is not None  # set by __init__; Netmiko's type allows None
        self.remote_conn.settimeout(timeout)
        try:
            data = self.remote_conn.recv(_READ_BYTES)
        except TimeoutError:
            return b""
        if not data:
            raise DeviceError(
                ErrorCategory.SESSION_DROPPED,
                "the device closed the connection in mid-session; look at its log",
            )
        self._received += len(data)
        if self._received > self._limit:
            raise DeviceError(
                ErrorCategory.OUTPUT_TOO_LARGE,
                f"the device printed more than {self._limit} bytes; raise "
                "NETRAVEN_MAX_OUTPUT_BYTES if its configuration is really that large",
            )
        self.tail = (self.tail + data)[-_TAIL_BYTES:]
        return data

    def read_buffer(self) -> str:
        assert self.remote_conn is not None  # as above
        if not self.remote_conn.recv_ready() and not self._gone():
            return ""
        return self.read_bytes(timeout=0.0).decode(self.encoding, "ignore")

    def _gone(self) -> bool:
        assert self.remote_conn is not None  # as above
        return bool(self.remote_conn.closed or self.remote_conn.eof_received)


class _Session(BaseConnection):
    """What is added to each Netmiko driver."""

    channel: _BoundedChannel

    def __init__(self, *, known_host_key: str | None, **arguments: Any) -> None:
        self._known_host_key = known_host_key
        self._policy = _FirstUsePolicy(known_host_key)
        super().__init__(auto_connect=False, **arguments)
        self.key_policy = self._policy
        # Some drivers leave the log-in to Paramiko only then; as an argument it wants a file.
        self.use_keys = self.pkey is not None

    @property
    def host_key(self) -> str | None:
        """The key that the device showed, as ``"type base64"``."""
        return self._policy.seen or self._known_host_key

    def establish_connection(self, width: int = 511, height: int = 1000) -> None:
        super().establish_connection(width=width, height=height)
        assert isinstance(self.remote_conn, paramiko.Channel)  # SSH drivers only
        self.channel = _BoundedChannel(self.remote_conn, self.encoding, limit=_MAX_LOGIN_BYTES)

    def _connect_params_dict(self) -> dict[str, Any]:
        # The keys of the worker's own account are nobody's credential.
        return super()._connect_params_dict() | {"look_for_keys": False}

    def _build_ssh_client(self) -> paramiko.SSHClient:
        client = super()._build_ssh_client()
        if self._known_host_key is not None:
            kind, key = _parse_host_key(self._known_host_key)
            name = self.host if self.port == 22 else f"[{self.host}]:{self.port}"
            client.get_host_keys().add(name, kind, key)
        return client

    def cleanup(self, command: str = "") -> None:
        """Nothing to clean up: no configuration mode was entered; the transport is closed."""

    def log_in(
        self, platform: PlatformDefinition, credential: DeviceCredential, limits: SessionLimits
    ) -> None:
        """Log in, prepare the terminal and reach the mode that the commands need."""
        self._open()
        mode = platform.privileged_mode
        if mode is PrivilegedMode.NEVER or self._is_privileged():
            return
        secret = credential.enable_secret
        if mode is PrivilegedMode.IF_SECRET_GIVEN and secret is None:
            return
        # A refused secret is asked for again, and Netmiko would wait for another prompt.
        self.read_timeout_override = limits.login_timeout
        try:
            self.enable()  # without a secret as well: devices in a lab often ask for none
        except (ValueError, NetmikoBaseException) as error:
            raise DeviceError(
                ErrorCategory.ENABLE, _ASKS_FOR_ENABLE if secret is None else _REFUSED_ENABLE
            ) from error
        finally:
            self.read_timeout_override = None

    def _is_privileged(self) -> bool:
        return _plain(self.channel.tail).rstrip().endswith(b"#")

    def ask(self, command: str, platform: PlatformDefinition, limits: SessionLimits) -> bytes:
        """The bytes that the device prints for ``command``, without echo and prompt."""
        prompt = _prompt_pattern(self.base_prompt, platform)
        self._drain()
        self.channel.expect(limits.max_output_bytes)
        self.write_channel(self.normalize_cmd(command))
        answer = bytearray()
        for chunk in self._until_silent_too_long(limits.command_timeout):
            answer += chunk
            if _ends_with_prompt(answer, prompt) and self._has_settled(answer, platform):
                return _between_echo_and_prompt(bytes(answer), command)
        raise DeviceError(
            ErrorCategory.READ_TIMEOUT,
            f"the device did not finish '{command}' within {limits.command_timeout:g} s of silence",
        )

    def _drain(self) -> None:
        while self.channel.read_buffer():
            continue

    def _until_silent_too_long(self, timeout: float) -> Iterator[bytes]:
        while chunk := self.channel.read_bytes(timeout):
            yield chunk

    def _has_settled(self, answer: bytearray, platform: PlatformDefinition) -> bool:
        """Whether the prompt at the end of ``answer`` is the prompt and not a line of the text."""
        if _has_end_marker(answer, platform):
            return True
        more = self.channel.read_bytes(_SETTLE_SECONDS)
        answer += more
        return not more


class _FirstUsePolicy(paramiko.MissingHostKeyPolicy):
    """Trust on first use: any key is taken when none is known, no other afterwards."""

    def __init__(self, known: str | None) -> None:
        self._known = known
        self.seen: str | None = None

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        seen = f"{key.get_name()} {key.get_base64()}"
        if self._known is not None:
            raise _host_key_changed(self._known, key)
        self.seen = seen


def _driver(platform: PlatformDefinition) -> type[_Session]:
    """The Netmiko driver of the platform, with our session around it."""
    driver = CLASS_MAPPER.get(platform.driver)
    if driver is None:
        raise DeviceError(
            ErrorCategory.UNKNOWN_PLATFORM,
            f"platform '{platform.name}' names the driver '{platform.driver}', "
            "which Netmiko does not have",
        )
    return type(f"Session_{platform.driver}", (_Session, driver), {})


def _arguments(
    target: DeviceTarget,
    credential: DeviceCredential,
    limits: SessionLimits,
    connection: socket.socket,
) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "host": target.address,
        "port": target.port,
        "sock": connection,
        "username": credential.username,
        "password": credential.password or "",
        "secret": credential.enable_secret or "",
        "conn_timeout": limits.login_timeout,
        "auth_timeout": limits.login_timeout,
        "banner_timeout": limits.login_timeout,
        "use_keys": False,
        "allow_agent": False,
        "known_host_key": target.host_key,
    }
    if credential.ssh_key is not None:
        arguments["pkey"] = _private_key(credential.ssh_key, credential.ssh_key_passphrase)
    return arguments


def _private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    for key_type in _KEY_TYPES:
        try:
            return key_type.from_private_key(io.StringIO(text), password=passphrase)
        except (paramiko.SSHException, ValueError):
            continue
    raise DeviceError(
        ErrorCategory.AUTHENTICATION,
        "the SSH key of the credential cannot be read; check its format and passphrase",
    )


def _parse_host_key(text: str) -> tuple[str, paramiko.PKey]:
    kind, _, encoded = text.partition(" ")
    return kind, paramiko.PKey.from_type_string(kind, base64.b64decode(encoded))


def _host_key_changed(known: str, shown: paramiko.PKey) -> DeviceError:
    return DeviceError(
        ErrorCategory.HOST_KEY,
        f"the device shows host key {_fingerprint(shown)}, known is "
        f"{_fingerprint(_parse_host_key(known)[1])}; nothing was sent to it. If the device was "
        "replaced, forget its host key and run again",
    )


def _fingerprint(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


def _plain(data: bytes) -> bytes:
    return _ESCAPES.sub(b"", data).replace(b"\x00", b"")


def _prompt_pattern(base_prompt: str, platform: PlatformDefinition) -> re.Pattern[bytes]:
    """A pattern for the line that the prompt stands on, from its start."""
    if platform.prompt is not None:
        return re.compile(platform.prompt.pattern.encode())
    return re.compile(re.escape(base_prompt.strip().encode()) + rb"[^\r\n]{0,80}[>#$%:\]]\s*\Z")


def _ends_with_prompt(answer: bytearray, prompt: re.Pattern[bytes]) -> bool:
    last_line = re.split(rb"[\r\n]", _plain(bytes(answer[-_TAIL_BYTES:])))[-1]
    return prompt.match(last_line.strip()) is not None


def _has_end_marker(answer: bytearray, platform: PlatformDefinition) -> bool:
    lines = bytes(answer[-_TAIL_BYTES:]).decode("utf-8", "replace").splitlines()[-4:-1]
    return any(marker.search(line) for marker in platform.end_markers for line in lines)


def _between_echo_and_prompt(answer: bytes, command: str) -> bytes:
    """``answer`` without the echoed command before it and the prompt after it."""
    echo = answer.find(command.encode(), 0, _TAIL_BYTES + len(command))
    start = 0
    if echo >= 0:
        line_end = answer.find(b"\n", echo)
        start = line_end + 1 if line_end >= 0 else echo + len(command)
    end = answer.rfind(b"\n") + 1
    return answer[start : max(start, end)]


def _as_device_error(error: Exception, deadline: Deadline, limits: SessionLimits) -> DeviceError:
    """What went wrong, in our words: messages of the libraries may quote what a device sent."""
    if deadline.expired:
        return DeviceError(
            ErrorCategory.DEADLINE,
            f"the session was not done after {limits.deadline:g} s and was cut off",
        )
    chain = tuple(_chain(error))
    for kind in chain:
        if isinstance(kind, DeviceError):
            return kind
        if isinstance(kind, paramiko.BadHostKeyException):
            known = f"{kind.expected_key.get_name()} {kind.expected_key.get_base64()}"
            return _host_key_changed(known, kind.key)
    for exception_type, category, message in _MESSAGES:
        if any(isinstance(kind, exception_type) for kind in chain):
            return DeviceError(category, message)
    return DeviceError(
        ErrorCategory.UNEXPECTED,
        f"the session ended with an unexpected {type(error).__name__}; the worker's log has more",
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """``error`` and what led to it: Netmiko raises one class for several causes."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        yield current
        seen.add(id(current))
        current = current.__cause__ or current.__context__


#: Tried in this order over the whole chain of causes, so the particular come before the general:
#: Netmiko's log-in failures are Paramiko SSHExceptions, its time-outs have them as context.
_MESSAGES: tuple[tuple[type[BaseException], ErrorCategory, str], ...] = (
    (
        NetmikoAuthenticationException,
        ErrorCategory.AUTHENTICATION,
        "the device refused the log-in; check the user name and password of the credential",
    ),
    (
        paramiko.AuthenticationException,
        ErrorCategory.AUTHENTICATION,
        "the device refused the log-in; check the user name and password of the credential",
    ),
    (
        ReadTimeout,
        ErrorCategory.READ_TIMEOUT,
        "the device did not show its prompt in time after the log-in",
    ),
    (
        EOFError,
        ErrorCategory.SESSION_DROPPED,
        "the device closed the connection in mid-session; look at its log",
    ),
    (
        ConnectionError,
        ErrorCategory.SESSION_DROPPED,
        "the device reset the connection; look at its log",
    ),
    (
        paramiko.SSHException,
        ErrorCategory.SSH_NEGOTIATION,
        "no SSH session could be agreed on; the port may not be SSH, or the device only offers "
        "algorithms that are no longer accepted",
    ),
    (
        NetmikoTimeoutException,
        ErrorCategory.SSH_NEGOTIATION,
        "the SSH session was not set up in time",
    ),
    (
        TimeoutError,
        ErrorCategory.READ_TIMEOUT,
        "the device did not answer in time",
    ),
    (
        OSError,
        ErrorCategory.SESSION_DROPPED,
        "the connection to the device broke; look at the network",
    ),
)
