"""Whether the configured keys are those that the stored values need.

A key that is missing or wrong is found out when NetRaven starts, not when a device has to be
restored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings
from django.utils import timezone

from credentials.cipher import Cipher, CipherError, is_key_id, key_fingerprint
from credentials.models import InstallationKey
from credentials.sealed import KeyUses, SealedColumn, counted, key_uses
from credentials.services import installation_cipher

REDACTION: Final = "redaction"
#: Which values of a column and key are opened: the oldest and the newest; one may be damaged.
_SAMPLES = ("pk", "-pk")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFindings:
    """What the stored values need, and what is wrong with the configured keys."""

    uses: KeyUses
    #: One line per key that is needed and not configured.
    missing: tuple[str, ...]
    #: One line per key that is configured under the right id and is another key.
    wrong: tuple[str, ...]


def encryption_key_findings(columns: Sequence[SealedColumn]) -> KeyFindings:
    """Compare the encryption keys with the values of ``columns``.

    Counts the values by key and opens a few of each. Raises CipherError when the configured keys
    are unusable as such.
    """
    cipher, uses = installation_cipher(), key_uses(columns)
    return KeyFindings(
        uses=uses,
        missing=tuple(
            f"encryption key '{key_id}' is not configured, but {counted(counts)} need it: add it "
            "to NETRAVEN_ENCRYPTION_KEYS, behind the first one; if it is lost for good, set "
            "NETRAVEN_ALLOW_MISSING_KEYS=true"
            for key_id, counts in uses.items()
            # What is no id of a key stands in a damaged value, which no key would open.
            if key_id not in cipher.keys and is_key_id(key_id)
        ),
        wrong=tuple(
            f"encryption key '{key_id}' of NETRAVEN_ENCRYPTION_KEYS is not the key of this name "
            f"that {counted(counts)} were encrypted with: configure that one again, and another "
            "key under another name"
            for key_id, counts in uses.items()
            if key_id in cipher.keys and not _opens_any(cipher, columns, key_id)
        ),
    )


def redaction_key_problem() -> str | None:
    """What is wrong with the redaction key, in one line; None when it is the one that was kept.

    None as well when none was kept yet.
    """
    kept = InstallationKey.objects.filter(name=REDACTION).first()
    if kept is None or kept.fingerprint == redaction_fingerprint():
        return None
    return (
        f"NETRAVEN_REDACTION_KEY is not the key that has made the tokens since "
        f"{kept.created_at:%Y-%m-%d}; every token in every configuration would change: configure "
        "that key again, or accept the new one with "
        "'python manage.py rotate_keys --accept-redaction-key' or, where NetRaven brings its own "
        "database, 'python manage.py up --accept-redaction-key'"
    )


def redaction_key_keep() -> None:
    """Keep the fingerprint of the redaction key unless one is kept already."""
    InstallationKey.objects.bulk_create(
        [InstallationKey(name=REDACTION, fingerprint=redaction_fingerprint())],
        ignore_conflicts=True,
    )


def redaction_key_accept() -> bool:
    """Keep the fingerprint of the redaction key of now; whether it is another than before."""
    fingerprint = redaction_fingerprint()
    if InstallationKey.objects.filter(name=REDACTION, fingerprint=fingerprint).exists():
        return False
    InstallationKey.objects.update_or_create(
        name=REDACTION, defaults={"fingerprint": fingerprint, "created_at": timezone.now()}
    )
    return True


def redaction_fingerprint() -> str:
    """What tells the configured redaction key from others without telling it."""
    return key_fingerprint(settings.NETRAVEN.key("redaction_key").encode())


def _opens_any(cipher: Cipher, columns: Sequence[SealedColumn], key_id: str) -> bool:
    """Whether one of a few values that name ``key_id`` can be opened."""
    for column in columns:
        rows = column.values().filter(needs_key=key_id)
        for order in _SAMPLES:
            sample = rows.order_by(order).values_list("seal_id", column.column).first()
            if sample is not None and _opens(cipher, bytes(sample[1]), column.context(sample[0])):
                return True
    return False


def _opens(cipher: Cipher, sealed: bytes, context: str) -> bool:
    try:
        cipher.open(sealed, context=context)
    except CipherError:
        return False
    return True
