"""Values that pass between the steps of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from credentials.secret import DeviceCredential
from inventory.platforms.definition import Role


class Transport(StrEnum):
    """How the command line of a device is reached. The values are part of the API."""

    SSH = "ssh"
    TELNET = "telnet"


class HostKeyMode(StrEnum):
    """What is done about the host key of a device. The values are part of the API."""

    #: Only a key that is known already is accepted.
    STRICT = "strict"
    #: Trust on first use: the first key is kept, from then on no other is accepted.
    TOFU = "tofu"
    #: Any key is accepted, and none is kept.
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class JumpTarget:
    """One host that the way to a device leads through."""

    #: Unique among the jump hosts of the installation.
    name: str
    address: str
    port: int
    credential: DeviceCredential
    host_key: str | None = None
    legacy_algorithms: bool = False
    host_key_mode: HostKeyMode = HostKeyMode.TOFU
    #: Of the stored credential; None where it is none.
    credential_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTarget:
    """Where and how to reach one device."""

    device_id: int
    hostname: str
    #: IPv4 or IPv6 address, or a DNS name that is resolved when connecting.
    address: str
    port: int
    #: Name of a platform definition.
    platform: str
    #: Host key of an earlier session as ``"ssh-ed25519 AAAA..."``; None before the first one.
    host_key: str | None = None
    host_key_mode: HostKeyMode = HostKeyMode.TOFU
    transport: Transport = Transport.SSH
    #: Whether SHA-1 and other algorithms of old devices may be agreed on.
    legacy_algorithms: bool = False
    #: The way to the device, nearest first; empty for a direct one.
    jumps: tuple[JumpTarget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutput:
    """What a device printed in answer to one command, without echo and prompt."""

    command: str
    role: Role = Role.RUNNING
    #: The bytes as they came over the wire, line ends and all.
    payload: bytes = field(repr=False)
    #: What ``backups.engine.outputs`` has made of ``payload``, by what it took out.
    texts: dict[object, str] = field(default_factory=dict, init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Everything one session brought home."""

    outputs: tuple[CommandOutput, ...]
    #: Host key that the device showed, as ``"ssh-ed25519 AAAA..."``; None over Telnet and where
    #: none is kept.
    host_key: str | None
    #: Seconds per phase: connect, login, collect.
    phase_seconds: Mapping[str, float]
    #: The same of jump hosts, by their names.
    jump_host_keys: Mapping[str, str] = field(default_factory=dict)
    #: What went wrong with commands that the backup does without; one line each.
    notes: tuple[str, ...] = ()
    #: The prompt behind which the commands were typed, without blanks around it; None if unknown.
    prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedactedConfig:
    """A configuration that may be shown, logged and committed.

    Only ``backups.engine.redaction`` makes one; the Git store accepts nothing else. mypy and a
    test hold both.
    """

    text: str = field(repr=False)
    #: How often each rule replaced something, by rule name.
    replaced: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRequest:
    """One revision of one device, ready for the Git store."""

    #: Path inside the repository, made by ``config_path``.
    path: str
    config: RedactedConfig
    hostname: str
    device_id: int
    #: None where the commit belongs to no run (a repair by the reconciler keeps the run's id).
    run_id: int | None
    job_name: str
    #: Author shown in the history, ``"Name <address>"``; None for NetRaven itself.
    author: str | None = None
    #: Unix time of the collection in seconds, UTC.
    collected_at: int = 0
    #: Branch of the store, ``[a-z0-9][a-z0-9-]{0,60}``.
    branch: str = "main"
    #: Unix time of the commit in seconds, UTC; None for now.
    committed_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedRevision:
    """What the Git store says about one saved revision."""

    commit: str
    blob: str
    path: str
    #: False when the repository already held this very content; ``commit`` is then the newest
    #: commit, in which the path has it, and may be another device's change.
    changed: bool
    size_bytes: int
    lines_added: int
    lines_removed: int
    #: SHA-256 in hex over the added and removed lines without their numbers: equal for equal
    #: changes of several devices. Empty for a first revision and where nothing changed.
    change_digest: str
