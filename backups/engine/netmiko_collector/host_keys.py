"""Host keys: whether the one that a host shows may be trusted."""

from __future__ import annotations

from collections.abc import Callable

import paramiko

from backups.engine.errors import HostKeyRefused
from backups.engine.types import HostKeyMode
from inventory.host_keys import fingerprint


def _nothing() -> None:
    """For those who do not ask."""


class HostKeyPolicy(paramiko.MissingHostKeyPolicy):
    """Decides about the key that one host shows, before anything secret is sent.

    Paramiko asks for every key, because it is given none of its own to compare with.
    """

    def __init__(
        self,
        known: str | None,
        mode: HostKeyMode,
        *,
        host: str,
        on_accepted: Callable[[], None] = _nothing,
    ) -> None:
        """``known`` is a key as ``"type base64"``; ``host`` names the other side in messages.

        ``on_accepted`` is called when a key may be trusted.
        """
        self._on_accepted = on_accepted
        self.known = None if mode is HostKeyMode.OFF else known
        self._mode = mode
        self._host = host
        #: The key that was shown, as ``"type base64"``; None before the connection.
        self.seen: str | None = None

    @property
    def kept(self) -> str | None:
        """The key to remember; None where none is."""
        return None if self._mode is HostKeyMode.OFF else self.seen

    def missing_host_key(
        self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey
    ) -> None:
        """See Paramiko. Raises HostKeyRefused."""
        self._refuse_untrusted(key)
        self._on_accepted()

    def _refuse_untrusted(self, key: paramiko.PKey) -> None:
        self.seen = f"{key.get_name()} {key.get_base64()}"
        if self._mode is HostKeyMode.OFF or self.seen == self.known:
            return
        if self.known is not None:
            raise HostKeyRefused(
                f"{self._host} shows host key {fingerprint(self.seen)}, known is "
                f"{fingerprint(self.known)}; nothing was sent to it. If it was replaced, compare "
                "the fingerprint and accept the new key",
                shown=self.seen,
            )
        if self._mode is HostKeyMode.STRICT:
            raise HostKeyRefused(
                f"{self._host} shows host key {fingerprint(self.seen)} and none is known; the "
                "zone is strict: compare the fingerprint and accept the key",
                shown=self.seen,
            )
