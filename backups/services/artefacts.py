"""Binary artefacts of devices: files that are kept beside the configuration, encrypted as well.

A UCS of an F5, a VLAN database, an XML export, a licence: what a device needs to come back and
does not print.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import datetime

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from backups.models import Archive
from backups.selectors.archives import artefact_newest
from backups.services.archives import archive_write
from backups.services.redaction import redaction_key
from backups.services.store import locked_device
from credentials.services import installation_cipher
from inventory.models import Device

#: A plain file name, on every file system and in a zip.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]{0,99}")
#: RFC 6838 section 4.2, without parameters.
_MEDIA_PART = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,48}"
_MEDIA_TYPE = re.compile(rf"{_MEDIA_PART}/{_MEDIA_PART}")
DEFAULT_MEDIA_TYPE = "application/octet-stream"


@transaction.atomic
def artefact_store(
    *,
    device: Device,
    name: str,
    payload: bytes,
    media_type: str = DEFAULT_MEDIA_TYPE,
    collected_at: datetime | None = None,
    run_id: int | None = None,
) -> tuple[Archive, bool]:
    """Keep ``payload`` as the file ``name`` of ``device``; the row, and whether it is a new one.

    The newest bytes of this name once more make no row, unless the key to those that are kept is
    lost. ``collected_at`` is now unless given. The row of the device is locked. Raises
    ValidationError for a name, a media type or a size that is not allowed.
    """
    _validate(name, payload, media_type)
    digest = hmac.digest(redaction_key(), payload, hashlib.sha256).hex()
    device = locked_device(device.pk)
    newest = artefact_newest(device=device, name=name)
    if newest is not None and newest.raw_digest == digest and _can_be_opened(newest):
        return newest, False
    archive = archive_write(
        device=device,
        raw=payload,
        raw_digest=digest,
        collected_at=collected_at or timezone.now(),
        run_id=run_id,
        name=name,
        media_type=media_type,
    )
    return archive, True


def _can_be_opened(archive: Archive) -> bool:
    return archive.key_id in installation_cipher().keys


def _validate(name: str, payload: bytes, media_type: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 100 or name.endswith("."):
        raise ValidationError(
            {"name": "A name has 1 to 100 letters, digits, '.', '_', '+' or '-', no '.' first."}
        )
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ValidationError({"media_type": "This is no media type such as application/zip."})
    limit = settings.NETRAVEN.max_artefact_bytes
    if not payload:
        raise ValidationError({"payload": "There is nothing in it."})
    if len(payload) > limit:
        raise ValidationError(
            {"payload": f"It has more than {limit} bytes; NETRAVEN_MAX_ARTEFACT_BYTES allows more."}
        )
