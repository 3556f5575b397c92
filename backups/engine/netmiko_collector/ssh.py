"""Sessions over SSH."""

from __future__ import annotations

from typing import Any

import paramiko
from netmiko.channel import Channel, SSHChannel

from backups.engine.collector import SessionLimits
from backups.engine.netmiko_collector.algorithms import algorithm_arguments
from backups.engine.netmiko_collector.channel import BoundedSSHChannel
from backups.engine.netmiko_collector.host_keys import HostKeyPolicy
from backups.engine.netmiko_collector.private_keys import private_key
from backups.engine.netmiko_collector.session import Session
from backups.engine.types import DeviceTarget, JumpTarget
from credentials.secret import DeviceCredential


class SSHSession(Session):
    """What is added to a Netmiko driver for SSH."""

    def __init__(
        self, *, policy: HostKeyPolicy, client_arguments: dict[str, Any], **arguments: Any
    ) -> None:
        self._policy = policy
        self._client_arguments = client_arguments
        super().__init__(**arguments)
        self.key_policy = policy
        # Some drivers leave the log-in to Paramiko only then; as an argument it wants a file.
        self.use_keys = client_arguments["pkey"] is not None

    @property
    def host_key(self) -> str | None:
        return self._policy.kept

    def _bound(self, opened: Channel) -> BoundedSSHChannel:
        assert isinstance(opened, SSHChannel)  # SSH drivers only
        assert isinstance(opened.remote_conn, paramiko.Channel)  # just opened
        return BoundedSSHChannel(opened.remote_conn, opened.encoding)

    def _connect_params_dict(self) -> dict[str, Any]:
        # Some drivers append options of the terminal to the user name.
        return {**self._client_arguments, "username": self.username}


def client_arguments(
    host: DeviceTarget | JumpTarget,
    credential: DeviceCredential,
    limits: SessionLimits,
    connection: Any,
    policy: HostKeyPolicy,
) -> dict[str, Any]:
    """Arguments of ``SSHClient.connect`` over ``connection``, a socket or a channel.

    The key of the credential is tried first, then its password: as such, and keyboard-interactive
    where that is all the host offers. Raises DeviceError.
    """
    key = None
    if credential.ssh_key is not None:
        key = private_key(credential.ssh_key, credential.ssh_key_passphrase)
    return {
        "hostname": host.address,
        "port": host.port,
        "sock": connection,
        "username": credential.username,
        "password": credential.password or None,
        "pkey": key,
        # The keys of the worker's own account are nobody's credential.
        "look_for_keys": False,
        "allow_agent": False,
        "timeout": limits.login_timeout,
        "auth_timeout": limits.login_timeout,
        "banner_timeout": limits.login_timeout,
        "channel_timeout": limits.login_timeout,
    } | algorithm_arguments(old_allowed=host.legacy_algorithms, known_host_key=policy.known)
