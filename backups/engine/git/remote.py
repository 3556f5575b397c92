"""Addresses of Git repositories elsewhere, and what is needed to push to one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from credentials.secret import DeviceCredential

_SCP_LIKE = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*)@([A-Za-z0-9][A-Za-z0-9._-]*):(?!//)(\S+)")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*|[0-9A-Fa-f:]+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,127}")
_SSH_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_PRINTABLE = re.compile(r"[!-~]+")
_SHAPE = "it must look like https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteAddress:
    """Where a remote is. No part of it is secret."""

    scheme: Literal["https", "ssh"]
    #: None where the address names no user.
    user: str | None
    host: str
    #: None for the scheme's own.
    port: int | None
    #: As it stands behind the host, with the slash in front where it is one.
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as ``https://git.example.net:8443``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (f":{self.port}" if self.port else "")

    def url_for(self, user: str | None) -> str:
        """Return the address for git, with this user; a path without a slash is one of home."""
        if user is None:
            return f"{self.origin}{self.path}"
        if not self.path.startswith("/"):
            return f"{user}@{self.host}:{self.path}"
        return self.origin.replace("://", f"://{user}@", 1) + self.path


def parse_remote(url: str) -> RemoteAddress:
    """Return the parts of ``https://…``, ``ssh://…`` or ``user@host:path``.

    Raises ValueError in plain words for anything else, for a password in the address, and for
    characters that do not belong there. The message does not repeat the address.
    """
    if not _PRINTABLE.fullmatch(url):
        raise ValueError("an address has no blank, no control character and only ASCII letters")
    match = _SCP_LIKE.fullmatch(url)
    if match is not None:
        user, host, path = match.groups()
        return RemoteAddress(scheme="ssh", user=user, host=host, port=None, path=path)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(_SHAPE) from error
    return _checked(parts, port)


def _checked(parts: SplitResult, port: int | None) -> RemoteAddress:
    if parts.scheme not in ("https", "ssh"):
        raise ValueError(_SHAPE)
    if parts.password is not None:
        raise ValueError("it must not hold a password; name a credential instead")
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or len(parts.path) < 2:
        raise ValueError(_SHAPE)
    if parts.query or parts.fragment:
        raise ValueError("it must end with the path; '?' and '#' have no meaning here")
    user = parts.username or None
    if user is not None and not (_SSH_USER if parts.scheme == "ssh" else _USER).fullmatch(user):
        raise ValueError("the user name in it has characters that no user name has")
    scheme: Literal["https", "ssh"] = "https" if parts.scheme == "https" else "ssh"
    return RemoteAddress(scheme=scheme, user=user, host=host, port=port, path=parts.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    """One remote with what opens it; built for one push and dropped after it."""

    address: RemoteAddress
    #: None: over SSH the account's own keys and agent, over HTTPS nothing.
    credential: DeviceCredential | None = None
    #: Host key that is accepted over SSH, ``"ssh-ed25519 AAAA..."``; "" takes the first one.
    host_key: str = ""
    #: Certificates that are believed over HTTPS; None for those of the system.
    ca_file: Path | None = None


class PushFailed(Exception):
    """Nothing was pushed. The message is one line without a secret and says what to do."""


class RemoteDiverged(PushFailed):
    """The remote has commits that are not in the history of what was pushed."""


class RemoteKeyRefused(PushFailed):
    """The remote showed another SSH host key than the one that is accepted."""

    def __init__(self, message: str, *, shown: str) -> None:
        super().__init__(message)
        #: The key as ``"ssh-ed25519 AAAA..."``; "" where it could not be read.
        self.shown = shown
