"""How a backup is opened: by the keys of the installation, or by a passphrase from a file."""

from __future__ import annotations

from pathlib import Path

from credentials.sealed_stream import Opener, Passphrase
from credentials.services import installation_cipher
from netraven_site.installation_backup.errors import BackupError

_LONGEST = 4096


def opener_from(passphrase_file: Path | None) -> Opener:
    """The passphrase in the first line of the file, or the installation's keys without one.

    Raises BackupError when the file cannot be read, CipherError when the keys are unusable.
    """
    if passphrase_file is None:
        return installation_cipher()
    try:
        with passphrase_file.open(encoding="utf-8") as file:
            return Passphrase(file.readline(_LONGEST).rstrip("\r\n"))
    except OSError as error:
        raise BackupError(f"{passphrase_file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BackupError(f"{passphrase_file} is not UTF-8 text") from None
