"""The keys of everything that this installation has encrypted: archives and credentials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backups.models import Archive
from backups.selectors.archives import archive_context
from credentials.key_check import KeyFindings, encryption_key_findings
from credentials.rotation import Rotation, rotate
from credentials.sealed import (
    CREDENTIAL_COLUMNS,
    KeyUses,
    SealedColumn,
    key_uses,
    registered_columns,
)
from credentials.services import installation_cipher

_ARCHIVES: Final = SealedColumn(
    noun="archive",
    model=Archive,
    column="sealed",
    key_column="key_id",
    name_path="device__hostname",
    context=archive_context,
)


def _sealed_columns() -> tuple[SealedColumn, ...]:
    """Every column of the database that holds sealed values."""
    return (*CREDENTIAL_COLUMNS, _ARCHIVES, *registered_columns())


def keys_rotate(*, batch: int, progress: Callable[[str, int], None]) -> Rotation:
    """Encrypt everything anew under the current key; see ``credentials.rotation.rotate``."""
    return rotate(_sealed_columns(), batch=batch, progress=progress)


def keys_in_use() -> KeyUses:
    """How many values need which key."""
    return key_uses(_sealed_columns())


def keys_removable() -> list[str]:
    """Configured keys that no value needs any more; never the current one."""
    cipher, uses = installation_cipher(), keys_in_use()
    return [key for key in cipher.keys if key != cipher.current_key_id and key not in uses]


def keys_check() -> KeyFindings:
    """What is wrong with the configured encryption keys."""
    return encryption_key_findings(_sealed_columns())
