"""The secrets that open a device, as values that do not print themselves."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCredential:
    """What one session needs to log in to one device.

    Built per device, right before the session, and dropped after it. ``repr`` shows the name and
    the user name only, so a credential that ends up in a traceback or a log line gives nothing
    away.
    """

    #: Name of the credential in the inventory; safe to show.
    name: str
    #: User name; safe to show.
    username: str
    #: Log-in password, or None when the log-in is by key.
    password: str | None = field(default=None, repr=False)
    #: Secret for the privileged mode, or None when the device asks for none.
    enable_secret: str | None = field(default=None, repr=False)
    #: Private key in OpenSSH or PEM form, or None.
    ssh_key: str | None = field(default=None, repr=False)
    #: Passphrase of ``ssh_key``, or None when the key is not protected.
    ssh_key_passphrase: str | None = field(default=None, repr=False)

    def secrets(self) -> tuple[str, ...]:
        """All secret values that are set, for scrubbing texts that may echo them."""
        values = (self.password, self.enable_secret, self.ssh_key, self.ssh_key_passphrase)
        return tuple(value for value in values if value)
